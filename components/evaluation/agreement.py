"""How far a scorer and people agree, and how sure a share is whose answers come in clusters. Pure numbers."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.errors import DataError
from components.evaluation.clusters import codes_of, freedom
from components.evaluation.metrics import share_design, share_of, wilson
from components.records import Interval

Verdict = tuple[str, bool]  # (cluster, outcome): answers about one example are a cluster


class Share(Interval):
    """A share in [0, 1] of `n` answers, with its 95 % interval."""

    n: int


def share(verdicts: Sequence[Verdict]) -> Share:
    """The share of true outcomes, with an interval that respects clusters, few and unequal ones too.

    Raises:
        DataError: There is no outcome.
    """
    if not verdicts:
        raise DataError("expected at least one answer for a share, found none")
    outcomes = np.array([float(outcome) for _, outcome in verdicts])
    of_clusters = share_design(outcomes, [cluster for cluster, _ in verdicts])
    found = wilson(float(outcomes.sum()), len(outcomes), design=of_clusters)
    return Share(value=found.value, low=found.low, high=found.high, n=len(outcomes))


def kappa_interval(clusters: Sequence[str], some: Sequence[bool], others: Sequence[bool]) -> Interval:
    """Cohen's kappa with its 95 % interval, which respects clusters.

    Kappa is 1 − D / E, with D the share of answers on which raters differ and E what chance would make of it. D has the
    interval of a share; E moves by its jackknife over clusters. Where chance leaves nothing to differ on, or there is
    one cluster, nothing is known but that kappa lies between −1 and 1.
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
    apart = share_of([one != other for one, other in zip(some, others, strict=True)], clusters)
    left = _differing_by_chance(total - cells)
    error = math.sqrt((k - 1) / k * float(((left - left.mean()) ** 2).sum()))
    moved = apart.value / chance**2 * error * float(t.ppf(0.975, freedom(cells.sum(axis=(1, 2)))))
    low = value - math.hypot((apart.high - apart.value) / chance, moved)
    high = value + math.hypot((apart.value - apart.low) / chance, moved)
    return Interval(value=value, low=max(-1.0, low), high=min(1.0, high))


def _differing_by_chance(cells_K_2_2: NDArray[Any]) -> NDArray[Any]:
    """The share of answers on which two raters with these tables would differ by chance."""
    n = np.maximum(cells_K_2_2.sum(axis=(1, 2)), 1.0)
    return 1 - (cells_K_2_2.sum(axis=1) * cells_K_2_2.sum(axis=2)).sum(axis=1) / n**2


def cohens_kappa(some: Sequence[bool], others: Sequence[bool]) -> float:
    """Agreement of two raters beyond chance, in [−1, 1] (Cohen 1960); 1 where both say the same of everything.

    Raises:
        DataError: They judged nothing, or not the same number of answers.
    """
    if not some or len(some) != len(others):
        raise DataError(f"expected two ratings of the same answers, found {len(some)} and {len(others)}")
    if list(some) == list(others):
        return 1.0  # also where there is one class only, of which the formula says nothing
    from sklearn.metrics import cohen_kappa_score

    return float(cohen_kappa_score(list(some), list(others)))


def krippendorffs_alpha(ratings: Iterable[Mapping[str, bool]]) -> float | None:
    """Agreement of any raters, some of whom may be silent (Krippendorff 2004, nominal): 1 perfect, 0 as chance has it.

    A rating maps rater → verdict on one answer. None where no answer has two raters, or all verdicts are the same.
    """
    from nltk.metrics.agreement import AnnotationTask

    shared = [(str(unit), rating) for unit, rating in enumerate(ratings) if len(rating) > 1]
    rows = [(rater, unit, verdict) for unit, rating in shared for rater, verdict in rating.items()]
    if len({verdict for *_, verdict in rows}) < 2:
        return None
    return float(AnnotationTask(rows).alpha())
