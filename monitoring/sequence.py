"""Compares shares of two versions while answers come in, by intervals that hold however often one looks.

A confidence sequence for the difference of two shares: the one-sided normal mixture boundary of Howard, Ramdas,
McAuliffe and Sekhon (2021, Annals of Statistics 49, equation 14), in the asymptotic form of Waudby-Smith, Arbour,
Sinha, Kennedy and Ramdas (2024). The variance is clustered by customer. What follows from an interval is decided
elsewhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_PSEUDO = 2  # customers of the usual size that are added to the variance, one always right and one always wrong


@dataclass(frozen=True)
class Share:
    """How many of a version's answers are good, and the variance of that share over customers.

    `weight` is how many answers each label counts for.
    """

    good: float
    n: int
    customers: int
    variance: float
    weight: float = 1.0

    @property
    def value(self) -> float:
        """The share, in [0, 1]."""
        return self.good / self.n if self.n else 0.0

    @property
    def effective(self) -> float:
        """The effective sample size: the number of independent, labelled answers with the same variance."""
        seen = min(max((self.good + 1) / (self.n + 2), 0.0), 1.0)
        return seen * (1 - seen) / self.variance if self.variance else 0.0


def share_of(good: Sequence[float], customers: Sequence[str], weight: float = 1.0) -> Share:
    """The share of good answers, clustered by customer; an answer without a customer is a cluster of its own.

    `good` are 0 and 1, or corrected values where each label counts for `weight` answers (`read_twice`).

    The variance is the sandwich estimate for a ratio of sums over customers. Two customers are added, one always right
    and one always wrong, because it would be 0 if all answers were good (Agresti and Caffo 2000, for clusters).
    """
    names = [name or f"answer {at}" for at, name in enumerate(customers)]
    places = np.unique(names, return_inverse=True)[1] if names else np.zeros(0, int)
    sizes_C = np.bincount(places).astype(float)
    good_C = np.bincount(places, weights=np.asarray(good, float), minlength=len(sizes_C))
    return Share(float(good_C.sum()), len(names), len(sizes_C), variance_of(good_C, sizes_C, weight), weight)


def variance_of(good_C: np.ndarray, sizes_C: np.ndarray, weight: float = 1.0) -> float:
    """The variance of a share from sums and sizes by customer, both [customers]; infinite without customers."""
    if not sizes_C.sum():
        return math.inf
    usual = float((sizes_C**2).sum() / sizes_C.sum())
    sizes, good = np.append(sizes_C, [usual, usual]), np.append(good_C, [usual * weight, usual * (1.0 - weight)])
    value, count = good.sum() / sizes.sum(), len(sizes)
    apart = float(((good - value * sizes) ** 2).sum()) * count / (count - 1)
    return apart / float(sizes_C.sum()) ** 2


@dataclass(frozen=True)
class Difference:
    """A difference of shares; `low` and `high` are one-sided bounds, each at its level, that hold at every look."""

    value: float
    low: float
    high: float


def difference(now: Share, before: Share, margin: float, levels: tuple[float, float]) -> Difference:
    """The difference of two shares, with the given levels of the lower and the upper bound.

    The boundary is narrowest about where a difference of the margin becomes visible. The lower bound tests a loss of
    the margin, so it uses the variance under such a loss: for a share near 1 that is larger than the observed one
    (Farrington and Manning 1990).
    """
    if math.isinf(now.variance + before.variance):
        return Difference(0.0, -1.0, 1.0)
    value = now.value - before.value
    errors = (
        math.sqrt(now.variance * _if_worse(now, before, margin) + before.variance),
        math.sqrt(now.variance + before.variance),
    )
    low, high = (error * boundary((margin / error) ** 2, level) for error, level in zip(errors, levels, strict=True))
    return Difference(value, value - low, value + high)


def _if_worse(now: Share, before: Share, margin: float) -> float:
    """The factor by which a share's variance would grow if it were worse than the other by the margin."""
    seen, worse = min(max((now.good + 1) / (now.n + 2), 1e-6), 1 - 1e-6), min(1.0, max(0.0, before.value - margin))
    return max(1.0, worse * (1 - worse) / (seen * (1 - seen)))


def boundary(information: float, level: float) -> float:
    """How many standard errors a sum may lie from its mean at any look, with a one-sided error of `level`.

    `information` is the square of the margin in standard errors. The mixture is tuned to the point where the bound is
    as wide as the margin.
    """
    wanted = 2 * math.log(1 / (2 * level)) + math.log(1 + 2 * math.log(1 / (2 * level)))
    ratio = information * wanted / _RESOLVED
    return math.sqrt(2 * (1 + 1 / ratio) * math.log(math.sqrt(1 + ratio) / (2 * level) + 1))


_RESOLVED = 8.0  # information at which a 5 % bound is about as wide as the margin: 2.8 standard errors
