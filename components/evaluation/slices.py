"""Whether a slice speaks against a challenger that is better overall, and how small a loss it could have shown.

It does if it got significantly worse (Holm over all slices), or if too large a loss is not ruled out. The loss that
must be ruled out grows continuously as a slice gets smaller than `large_share`; such a slice's interval borrows from
the whole.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

from components.evaluation.paired import holm
from components.evaluation.power import mean_examples
from components.params import GateParams
from components.records import Comparison, GateNumbers, SliceComparison, SliceFindings

POWER = 0.8  # for the smallest detectable loss
INTERVAL_ALPHA = 0.05  # of the comparisons' intervals
MOST_TOLERATED = 0.5  # a loss this large must be ruled out on every slice that can do so
BORROWED = 10  # examples of the whole that the smallest slice counts besides its own


def refused(params: GateParams, slices: Sequence[SliceComparison]) -> dict[str, float]:
    """Slices that got significantly worse, with Holm-corrected p-values."""
    adjusted = holm([part.p_value for part in slices])
    return {
        part.name: p for part, p in zip(slices, adjusted, strict=True) if part.delta < 0 and p < params.slices.alpha
    }


def unsure(params: GateParams, numbers: GateNumbers) -> list[SliceComparison]:
    """Slices on which an intolerable loss is not ruled out."""
    assert numbers.versus is not None
    return [
        part for part in numbers.slices
        if pooled_low(params, part, numbers.versus, part.n / numbers.n) <= -tolerated(params, part.n / numbers.n)
    ]  # fmt: skip


def findings(params: GateParams, numbers: GateNumbers) -> SliceFindings | None:
    """The summary of the slices for the decision; None if there are none."""
    if not numbers.slices or numbers.versus is None:
        return None
    worse, doubtful = refused(params, numbers.slices), unsure(params, numbers)
    against = worse.keys() | {part.name for part in doubtful}
    more = [needed(params, numbers, part) if part.high >= 0 else None for part in doubtful if part.name not in worse]
    settled = [examples for examples in more if examples is not None]
    shown = [smallest_loss(params, numbers, part) for part in numbers.slices]
    return SliceFindings(
        n=len(numbers.slices),
        against=len(against),
        refused=len(worse),
        needed=max(settled) if settled and len(settled) == len(against) else None,
        least=min(shown),
        most=max(shown),
    )


def tolerated(params: GateParams, share: float) -> float:
    """The tolerable loss on a slice with this share of the examples."""
    smaller = max(1.0, params.slices.large_share / share)
    return max(params.slices.margin, min(MOST_TOLERATED, params.slices.margin * smaller**2))


def borrowed(params: GateParams, share: float) -> float:
    """How many examples of the whole a slice counts besides its own: none from `large_share` on."""
    return BORROWED * max(0.0, 1 - share / params.slices.large_share)


def pooled_low(params: GateParams, part: SliceComparison, whole: Comparison, share: float) -> float:
    """The lower end of a slice's interval, partly pooled with the whole if the slice is small."""
    own = part.n / (part.n + borrowed(params, share))
    return own * part.delta + (1 - own) * whole.delta - math.sqrt(own) * (part.delta - part.low)


def needed(params: GateParams, numbers: GateNumbers, part: SliceComparison) -> int:
    """The total number of examples that would rule out the slice's loss, if it changes as the whole should."""
    worth = params.margin if params.test == "superiority" else 0.0
    ruled_out = tolerated(params, part.n / numbers.n) + worth
    of_slice = part.effect * mean_examples(_deviation(numbers), ruled_out, INTERVAL_ALPHA, params.power)
    return max(numbers.n + 1, math.ceil(of_slice * numbers.n / part.n))


def smallest_loss(params: GateParams, numbers: GateNumbers, part: SliceComparison) -> float:
    """About the smallest loss that would count against a challenger with a chance of 80 %; 1 if none would.

    By normal approximation, with the whole's deviation. Of outcomes only the number of changes is used, so that it may
    be told of a sealed split.
    """
    assert numbers.versus is not None
    share, z = part.n / numbers.n, NormalDist().inv_cdf
    error = _deviation(numbers) * math.sqrt(numbers.versus.effect / part.n)
    own = part.n / (part.n + borrowed(params, share))
    reach = z(1 - INTERVAL_ALPHA / 2) * math.sqrt(own) * error
    not_ruled_out = (tolerated(params, share) - reach) / own + z(POWER) * error
    level = params.slices.alpha / len(numbers.slices)
    significant = (z(1 - level / 2) + z(POWER)) * error if 2.0 ** (1 - part.n) < level else 1.0
    return min(1.0, max(0.0, not_ruled_out), significant)


def _deviation(numbers: GateNumbers) -> float:
    """The standard deviation of an example's difference; as if one in n had changed, if none has."""
    return max(numbers.deviation or 0.0, math.sqrt(1 / numbers.n))
