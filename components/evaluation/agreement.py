"""How far a scorer and people agree, and how sure a share is whose answers come in clusters. Pure numbers."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.errors import DataError
from components.evaluation.clusters import codes_of, freedom
from components.evaluation.metrics import share_design, wilson
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
    """Cohen's kappa with its 95 % interval: the jackknife over clusters, with Student's distribution.

    Of one cluster, or where no rater ever says otherwise, nothing is known but that it lies between −1 and 1.
    """
    from scipy.stats import t

    codes = codes_of(clusters)
    k = int(codes.max()) + 1
    cells = np.zeros((k, 2, 2))
    np.add.at(cells, (codes, np.array(some, dtype=int), np.array(others, dtype=int)), 1.0)
    value = cohens_kappa(some, others)
    if k < 2:
        return Interval(value=value, low=-1.0, high=1.0)
    # One more answer of each kind, a quarter each: agreement without exception does not show that there are none.
    left = _kappa(cells.sum(axis=0) - cells + 0.25)
    error = math.sqrt((k - 1) / k * float(((left - left.mean()) ** 2).sum()))
    sizes = cells.sum(axis=(1, 2))
    half = float(t.ppf(0.975, freedom(sizes))) * error
    middle = float(_kappa(cells.sum(axis=0)[None] + 0.25)[0])
    return Interval(value=value, low=max(-1.0, min(value, middle - half)), high=min(1.0, max(value, middle + half)))


def _kappa(cells_K_2_2: NDArray[Any]) -> NDArray[Any]:
    """Kappa of tables of two raters."""
    n = cells_K_2_2.sum(axis=(1, 2))
    agreed = (cells_K_2_2[:, 0, 0] + cells_K_2_2[:, 1, 1]) / n
    chance = (cells_K_2_2.sum(axis=1) * cells_K_2_2.sum(axis=2)).sum(axis=1) / n**2
    return (agreed - chance) / np.maximum(1 - chance, 1e-12)


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
