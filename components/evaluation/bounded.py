"""How far the mean of bounded values is from a hypothesis, with losses allowed for that were too rare to be seen. Pure.

The hypothesis is the distribution with that mean and values between the ends that is nearest to the sample (empirical
likelihood; Honda and Takemura 2010). For right and wrong answers the score statistic is Wilson's, for pairs of them
Tango's.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluation.clusters import Grouped

_ALMOST = 1e-9  # a sum this small is nought, a difference this small none


@dataclass(frozen=True)
class Hypothesis:
    """The nearest distribution of k groups' sums above `at`, and the sample's mean, which is not negative.

    `values` occur with the chances `weights`; the last one is the extreme, which the sample may lack.
    """

    k: int
    mean: float
    values: NDArray[Any]
    weights: NDArray[Any]

    @property
    def variance(self) -> float:
        """Of a group's sum."""
        return float((self.weights * self.values**2).sum())


def bounded_z(parts: Grouped, ends: tuple[float, float], at: float) -> float:
    """How many standard errors the mean of bounded values is above `at`, for tests by Student's t."""
    sign, null = _nearest(parts, ends, at)
    # Half a group's correction because the mean is from the same sample, as in Student's variance.
    return sign * _score(null) * math.sqrt((null.k - 1) / null.k if null.k > 1 else 1.0)


def bounded_root(parts: Grouped, ends: tuple[float, float], at: float) -> float:
    """The same for intervals by normal quantiles: the mean of the score statistic and the signed likelihood root.

    Where values are skewed, the one is too large on the side where the other is too small. docs/gate.md compares them.
    """
    sign, null = _nearest(parts, ends, at)
    score = _score(null)
    return sign * (score + _root(null)) / 2 if 0 < score < math.inf else sign * score


def _nearest(parts: Grouped, ends: tuple[float, float], at: float) -> tuple[int, Hypothesis]:
    """Whether the mean is above or below `at` (1 or −1), and the hypothesis, mirrored if it is below."""
    above, k = parts.sums - at * parts.sizes, len(parts.sums)
    if above.sum() < 0:
        return -1, _nearest(Grouped(-parts.sums, parts.sizes), (-ends[1], -ends[0]), -at)[1]
    worst = parts.typical * (ends[0] - at)
    kinds, counts = np.unique(np.round(above, 12), return_counts=True)
    tilt = _tilt(kinds, counts / k, 1 / max(-worst, -float(kinds[0]), 1e-12))
    weights = counts / k / np.maximum(1 + tilt * kinds, 1e-12)
    rest = max(0.0, 1 - float(weights.sum()))
    return 1, Hypothesis(k, float(above.sum()) / k, np.append(kinds, worst), np.append(weights, rest))


def _score(null: Hypothesis) -> float:
    """The mean in standard errors under the hypothesis."""
    if null.variance <= 1e-18:
        return 0.0 if null.k * null.mean < _ALMOST else math.inf
    return null.mean * math.sqrt(null.k / null.variance)


def _root(null: Hypothesis) -> float:
    """The root of twice the log likelihood ratio of the mean and of 0, among exponential tilts of the hypothesis."""
    values, weights = null.values[null.weights > 0], null.weights[null.weights > 0]
    top = float(values.max())

    def tilted(tilt: float) -> tuple[float, float]:
        """The mean and the log of the mean exponential, with values taken from the largest."""
        mass = weights * np.exp(tilt * (values - top))
        return float((mass * values).sum() / mass.sum()), math.log(float(mass.sum()))

    if top - null.mean <= _ALMOST * max(1.0, top):  # all are alike: the tilt is without bound
        return math.sqrt(max(0.0, -2 * null.k * math.log(float(weights[values >= top - _ALMOST].sum()))))
    high = null.mean / null.variance
    while tilted(high)[0] < null.mean:
        high *= 2
    from scipy.optimize import brentq

    solved: Any = brentq(lambda tilt: tilted(tilt)[0] - null.mean, 0.0, high, xtol=1e-12 * high)
    return math.sqrt(max(0.0, 2 * null.k * (solved * (null.mean - top) - tilted(solved)[1])))


def _tilt(kinds: NDArray[Any], shares: NDArray[Any], most: float) -> float:
    """λ in [0, most] with Σ share · u / (1 + λ u) = 0; `most` if the sum is still positive there."""

    def mean(tilt: float) -> float:
        return float((shares * kinds / np.maximum(1 + tilt * kinds, 1e-12)).sum())

    if mean(0.0) <= 0:
        return 0.0
    if mean(most) > 0:
        return most
    from scipy.optimize import brentq

    root: Any = brentq(mean, 0.0, most, xtol=1e-10 * most)
    return float(root)
