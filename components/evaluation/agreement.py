"""Agreement of a scorer with people, and intervals for shares of clustered answers. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.errors import DataError
from components.evaluation.clusters import codes_of, freedom
from components.evaluation.metrics import share_design, share_of, wilson
from components.records import Interval

Verdict = tuple[str, bool]  # (cluster, outcome): all answers to an example are a cluster


class Share(Interval):
    """A share in [0, 1] of `n` answers, with a 95 % interval."""

    n: int


def share(verdicts: Sequence[Verdict]) -> Share:
    """The share of true outcomes, with an interval that accounts for clusters, also few and unequal ones.

    Raises:
        DataError: There are no outcomes.
    """
    if not verdicts:
        raise DataError("expected at least one answer for a share, found none")
    outcomes = np.array([float(outcome) for _, outcome in verdicts])
    of_clusters = share_design(outcomes, [cluster for cluster, _ in verdicts])
    interval = wilson(float(outcomes.sum()), len(outcomes), design=of_clusters)
    return Share(value=interval.value, low=interval.low, high=interval.high, n=len(outcomes))


def kappa_interval(clusters: Sequence[str], some: Sequence[bool], others: Sequence[bool]) -> Interval:
    """Cohen's kappa with a 95 % interval that accounts for clusters.

    Kappa is 1 − D / E, where D is the share of answers on which the raters differ and E its expectation by chance. D
    has the interval of a share; E varies by its jackknife over clusters. If the raters cannot differ by chance, or
    there is only one cluster, the interval is −1 to 1.
    """
    from scipy.stats import t

    codes = codes_of(clusters)
    k, value = int(codes.max()) + 1, cohens_kappa(some, others)
    cells = np.zeros((k, 2, 2))
    np.add.at(cells, (codes, np.array(some, dtype=int), np.array(others, dtype=int)), 1.0)
    total = cells.sum(axis=0)
    chance = float(_differing_by_chance(total[None])[0])
    if k < 2 or not chance:
        return Interval(value=value, low=-1.0, high=1.0)
    apart = share_of([first != second for first, second in zip(some, others, strict=True)], clusters)
    left = _differing_by_chance(total - cells)
    error = math.sqrt((k - 1) / k * float(((left - left.mean()) ** 2).sum()))
    moved = apart.value / chance**2 * error * float(t.ppf(0.975, freedom(cells.sum(axis=(1, 2)))))
    low = value - math.hypot((apart.high - apart.value) / chance, moved)
    high = value + math.hypot((apart.value - apart.low) / chance, moved)
    return Interval(value=value, low=max(-1.0, low), high=min(1.0, high))


def _differing_by_chance(cells_K_2_2: NDArray[Any]) -> NDArray[Any]:
    """The share of answers on which two raters with these tables would differ by chance alone."""
    n = np.maximum(cells_K_2_2.sum(axis=(1, 2)), 1.0)
    return 1 - (cells_K_2_2.sum(axis=1) * cells_K_2_2.sum(axis=2)).sum(axis=1) / n**2


def cohens_kappa(some: Sequence[bool], others: Sequence[bool]) -> float:
    """Agreement of two raters beyond chance, in [−1, 1] (Cohen 1960); 1 if they agree on everything.

    Raises:
        DataError: They rated no answers, or different numbers of answers.
    """
    if not some or len(some) != len(others):
        raise DataError(f"expected two ratings of the same answers, found {len(some)} and {len(others)}")
    if list(some) == list(others):
        return 1.0  # also with a single class, for which the formula is undefined
    from sklearn.metrics import cohen_kappa_score

    return float(cohen_kappa_score(list(some), list(others)))


def krippendorffs_alpha(ratings: Iterable[Mapping[str, bool]]) -> float | None:
    """Agreement of any number of raters, with missing ratings (Krippendorff 2004, nominal): 1 perfect, 0 chance.

    A rating maps rater → verdict on an answer. None if no answer has two raters, or all verdicts are equal.
    """
    from nltk.metrics.agreement import AnnotationTask

    shared = [(str(unit), rating) for unit, rating in enumerate(ratings) if len(rating) > 1]
    rows = [(rater, unit, verdict) for unit, rating in shared for rater, verdict in rating.items()]
    if len({verdict for *_, verdict in rows}) < 2:
        return None
    return float(AnnotationTask(rows).alpha())
