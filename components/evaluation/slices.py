"""Whether a slice speaks against a challenger that is better on the whole, and how small a loss it could have shown.

Two ways: a slice got significantly worse (Holm over all), or a loss is not ruled out there. What must be ruled out
grows as a slice gets smaller than `large_share`, without a step; the interval of such a slice borrows from the whole.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

from components.evaluation.paired import holm
from components.evaluation.power import mean_examples
from components.params import GateParams
from components.records import Comparison, GateNumbers, SliceComparison, SliceFindings

POWER = 0.8  # with which a smallest loss is told
INTERVAL_ALPHA = 0.05  # of the intervals that comparisons carry
MOST_TOLERATED = 0.5  # a loss so large must be ruled out on any slice that can rule it out
BORROWED = 10  # examples of the whole that the smallest slice counts beside its own


def refused(params: GateParams, slices: Sequence[SliceComparison]) -> dict[str, float]:
    """Slices that got significantly worse, and their p-values by Holm's correction."""
    adjusted = holm([one.p_value for one in slices])
    return {one.name: p for one, p in zip(slices, adjusted, strict=True) if one.delta < 0 and p < params.slices.alpha}


def unsure(params: GateParams, numbers: GateNumbers) -> list[SliceComparison]:
    """Slices on which the loss that they may have is not ruled out."""
    assert numbers.versus is not None
    return [
        one for one in numbers.slices
        if pooled_low(params, one, numbers.versus, one.n / numbers.n) <= -tolerated(params, one.n / numbers.n)
    ]  # fmt: skip


def findings(params: GateParams, numbers: GateNumbers) -> SliceFindings | None:
    """What a decision needs to know of the slices; None where there are none."""
    if not numbers.slices or numbers.versus is None:
        return None
    worse, doubtful = refused(params, numbers.slices), unsure(params, numbers)
    against = worse.keys() | {one.name for one in doubtful}
    more = [needed(params, numbers, one) if one.high >= 0 else None for one in doubtful if one.name not in worse]
    settled = [one for one in more if one is not None]
    shown = [smallest_loss(params, numbers, one) for one in numbers.slices]
    return SliceFindings(
        n=len(numbers.slices),
        against=len(against),
        refused=len(worse),
        needed=max(settled) if settled and len(settled) == len(against) else None,
        least=min(shown),
        most=max(shown),
    )


def tolerated(params: GateParams, share: float) -> float:
    """The loss that need not be ruled out on a slice of this share of the examples."""
    smaller = max(1.0, params.slices.large_share / share)
    return max(params.slices.margin, min(MOST_TOLERATED, params.slices.margin * smaller**2))


def borrowed(params: GateParams, share: float) -> float:
    """How many examples of the whole a slice counts beside its own: none from `large_share` on."""
    return BORROWED * max(0.0, 1 - share / params.slices.large_share)


def pooled_low(params: GateParams, one: SliceComparison, whole: Comparison, share: float) -> float:
    """The lower end of a slice's interval, partly pooled with the whole where the slice is small."""
    own = one.n / (one.n + borrowed(params, share))
    return own * one.delta + (1 - own) * whole.delta - math.sqrt(own) * (one.delta - one.low)


def needed(params: GateParams, numbers: GateNumbers, one: SliceComparison) -> int:
    """Examples in all with so many of the slice that its loss is ruled out, if it changes as the whole should."""
    worth = params.margin if params.test == "superiority" else 0.0
    ruled_out = tolerated(params, one.n / numbers.n) + worth
    found = one.effect * mean_examples(_deviation(numbers), ruled_out, INTERVAL_ALPHA, params.power)
    return max(numbers.n + 1, math.ceil(found * numbers.n / one.n))


def smallest_loss(params: GateParams, numbers: GateNumbers, one: SliceComparison) -> float:
    """The smallest loss that would have spoken against a challenger with a chance of 80 %, about; 1 where none would.

    By the normal distribution, with the whole's deviation: the slice's own outcomes are not looked at.
    """
    assert numbers.versus is not None
    share, z = one.n / numbers.n, NormalDist().inv_cdf
    error = _deviation(numbers) * math.sqrt(numbers.versus.effect / one.n)
    own = one.n / (one.n + borrowed(params, share))
    reach = z(1 - INTERVAL_ALPHA / 2) * math.sqrt(own) * error
    not_ruled_out = (tolerated(params, share) - reach + (1 - own) * numbers.versus.delta) / own + z(POWER) * error
    level = params.slices.alpha / len(numbers.slices)
    significant = (z(1 - level / 2) + z(POWER)) * error if 2.0 ** (1 - one.n) < level else 1.0
    return min(1.0, max(0.0, not_ruled_out), significant)


def _deviation(numbers: GateNumbers) -> float:
    """Of one example's difference; as if one in n had changed where none has."""
    return max(numbers.deviation or 0.0, math.sqrt(1 / numbers.n))
