"""Statistics for examples that come in groups: the design effect, and tests and intervals that allow for it. Pure.

Examples in a group (a customer's, near-duplicates) tend to be right or wrong together, so that n of them are only as
informative as n / effect independent ones. The variance of a mean is computed between groups, with a correction for
each group's leverage (CR2: Bell and McCaffrey 2002). Intervals are score intervals, whose variance at a hypothesis is
only scaled by the effect, so that normal quantiles hold with few groups too; tests count few or unequal groups as
degrees of freedom of Student's t (Satterthwaite's, assuming homogeneous groups).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Half a group of each extreme is added before the effect is computed: three wrong answers that happen to be in three
# groups do not prove that groups do not matter. docs/gate.md compares it with less, and with Student's quantiles.
_UNSEEN = 0.5


@dataclass(frozen=True)
class Design:
    """How much the variance of a mean exceeds that of independent examples, and its degrees of freedom.

    `freedom` is infinite if every example is its own group.
    """

    effect: float = 1.0
    freedom: float = math.inf

    def critical(self, confidence: float = 0.95) -> float:
        """The half-width of an interval, in standard errors of independent examples."""
        return NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(self.effect)

    def tail(self, z: float) -> float:
        """The one-sided p-value of a statistic z standard errors (of independent examples) above the null."""
        if math.isinf(self.freedom):
            return 1 - NormalDist().cdf(z / math.sqrt(self.effect))
        from scipy.stats import t

        return float(t.sf(z / math.sqrt(self.effect), self.freedom))


INDEPENDENT = Design()


@dataclass(frozen=True)
class Grouped:
    """The sums of values and the sizes of groups, in the order of their first examples."""

    sums: NDArray[Any]
    sizes: NDArray[Any]

    @property
    def alone(self) -> bool:
        """Whether every example is its own group."""
        return bool(self.sizes.max(initial=1) == 1)

    @property
    def typical(self) -> float:
        """The mean, over examples, of the size of their group (Kish)."""
        return float((self.sizes**2).sum() / self.sizes.sum())


def grouped(values: NDArray[Any], groups: Sequence[Any] | NDArray[Any] | None) -> Grouped:
    """Group the values; None: each is its own group."""
    if groups is None:
        return Grouped(np.asarray(values, dtype=float), np.ones(len(values)))
    codes = codes_of(groups)
    return Grouped(np.bincount(codes, weights=values), np.bincount(codes).astype(float))


def codes_of(groups: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
    """Group names as integers from 0."""
    if isinstance(groups, np.ndarray) and groups.dtype.kind in "iu":
        return np.unique(groups, return_inverse=True)[1]
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in groups])


def design(values: NDArray[Any], groups: Sequence[Any] | NDArray[Any] | None, ends: tuple[float, float]) -> Design:
    """The design of a mean of values between `ends`; if they do not vary, each group counts as one example."""
    parts = grouped(values, groups)
    if parts.alone:
        return INDEPENDENT
    n, sizes, typical = float(parts.sizes.sum()), parts.sizes, parts.typical
    if len(sizes) == 1:
        return Design(n, 1.0)
    mean = float(parts.sums.sum()) / n
    unseen = _UNSEEN * ((ends[0] - mean) ** 2 + (ends[1] - mean) ** 2)
    between = float(((parts.sums - mean * sizes) ** 2 / (1 - sizes / n)).sum()) + unseen * typical**2
    simple = float(((values - mean) ** 2).sum()) * n / (n - 1)
    if not simple:
        return Design(typical, freedom(sizes))
    return Design(min(n, max(1.0, between / (simple + unseen * typical))), freedom(sizes))


def freedom(sizes: NDArray[Any]) -> float:
    """Degrees of freedom of the variance between groups of these sizes: k − 1 for k equal groups, else fewer."""
    weights = sizes**2
    return max(1.0, float(weights.sum() ** 2 / (weights**2).sum()) - 1)


def flip_p(sums: NDArray[Any]) -> tuple[float, float]:
    """Exact two-sided and one-sided p-values of integers whose signs are random under the null hypothesis.

    Each group's sum is then as likely as its negative, and the distribution of the total is a product of polynomials
    ½ x^s + ½ x^−s, one per group. For groups of one this is McNemar's exact test.
    """
    sums = np.rint(sums).astype(int)
    sizes, counts = np.unique(np.abs(sums[sums != 0]), return_counts=True)
    from scipy.stats import binom

    chances = np.ones(1)  # of totals − Σ|s|, …, Σ|s| in steps of two
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        part = np.zeros(size * count + 1)
        part[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, part)
    index = (int(sums.sum()) + int(np.abs(sums).sum())) // 2
    greater, less = float(chances[index:].sum()), float(chances[: index + 1].sum())
    return min(1.0, 2 * min(greater, less)), min(1.0, greater)
