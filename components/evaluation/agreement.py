"""How far a scorer and people agree, and how sure a share is whose answers come in clusters. Pure numbers."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from components.errors import DataError
from components.evaluation.metrics import wilson
from components.records import Interval

Verdict = tuple[str, bool]  # (cluster, outcome): answers about one example are a cluster


class Share(Interval):
    """A share in [0, 1] of `n` answers, with its 95 % interval."""

    n: int


def share(verdicts: Sequence[Verdict]) -> Share:
    """The share of true outcomes, with Wilson's interval at the effective sample size.

    Answers about one example are alike, so n of them tell less than n examples would: the effective size is
    p(1 − p) / v, with v the variance of the mean between clusters (Korn and Graubard 1998). Where all outcomes are
    equal nothing tells v, and the number of clusters stands for it.

    Raises:
        DataError: There is no outcome.
    """
    if not verdicts:
        raise DataError("expected at least one answer for a share, found none")
    clusters: dict[str, list[bool]] = defaultdict(list)
    for cluster, outcome in verdicts:
        clusters[cluster].append(outcome)
    n, k = len(verdicts), len(clusters)
    value = sum(outcome for _, outcome in verdicts) / n
    effective = float(k)
    if k == n:
        effective = float(n)
    elif 0 < value < 1 and k > 1:
        spread = sum((sum(found) - value * len(found)) ** 2 for found in clusters.values()) * k / (k - 1) / n**2
        effective = max(1.0, min(float(n), value * (1 - value) / spread)) if spread else float(n)
    found = wilson(value * effective, effective)
    return Share(value=value, low=found.low, high=found.high, n=n)


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
