"""A rung against its parent on the same examples: by how much, how sure, and which examples changed sides."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from components.errors import DataError
from components.evaluation.metrics import accuracy, mcnemar_exact, paired_bootstrap
from components.evaluation.paired import sign_flip, tango
from components.records import Comparison, Interval, Score, SliceComparison

Scores = Mapping[str, Score]
Measure = Literal["accuracy", "score"]


@dataclass(frozen=True)
class Changes:
    """Ids of the examples that a rung answers right where its parent was wrong, and the other way round."""

    fixed: tuple[str, ...]
    broken: tuple[str, ...]


def common(parent: Scores, child: Scores) -> tuple[Scores, Scores]:
    """Both on the examples that a scorer could decide for either; both map example id → score."""
    return (
        {key: score for key, score in parent.items() if key in child},
        {key: score for key, score in child.items() if key in parent},
    )


def changes(parent: Scores, child: Scores) -> Changes:
    """Which examples were fixed and which broken. Both map example id → score.

    Raises:
        DataError: The two were not scored on the same examples.
    """
    _check_same_examples(parent, child)
    fixed = tuple(key for key, score in child.items() if score.passed and not parent[key].passed)
    broken = tuple(key for key, score in parent.items() if score.passed and not child[key].passed)
    return Changes(fixed, broken)


def compare(parent: Scores, child: Scores, seed: int = 0, measure: Measure = "accuracy") -> Comparison:
    """The difference (child − parent) with its 95 % interval and the two-sided p-value of no difference.

    Accuracies by Tango's score interval and McNemar's exact test; mean scores by the paired bootstrap and the
    permutation test, which draw from the seed.

    Raises:
        DataError: The two were not scored on the same examples, or on none.
    """
    moved = changes(parent, child)
    fixed, broken = len(moved.fixed), len(moved.broken)
    if measure == "accuracy":
        delta, p_value = tango(fixed, broken, len(parent)), mcnemar_exact(fixed, broken)
    else:
        change = differences(parent, child, measure)
        delta, p_value = paired_bootstrap(np.zeros_like(change), change, seed), sign_flip(change, seed)[0]
    return Comparison(
        delta=delta.value, low=delta.low, high=delta.high, p_value=p_value, fixed=fixed, broken=broken
    )  # fmt: skip


def compare_slices(
    parent: Scores, child: Scores, slices: Mapping[str, Mapping[str, str]], seed: int, measure: Measure
) -> tuple[SliceComparison, ...]:
    """The comparison on each slice by itself, named `slice=value`; `slices` maps example id → slice → value."""
    members: dict[str, list[str]] = defaultdict(list)
    for key in child:
        for name, value in slices.get(key, {}).items():
            members[f"{name}={value}"].append(key)
    found: list[SliceComparison] = []
    for name, keys in sorted(members.items()):
        versus = compare({key: parent[key] for key in keys}, {key: child[key] for key in keys}, seed, measure)
        found.append(SliceComparison(name=name, n=len(keys), **versus.model_dump()))
    return tuple(found)


def differences(parent: Scores, child: Scores, measure: Measure) -> NDArray[Any]:
    """Child − parent for each of n examples, in [−1, 1]."""
    values = [(_value(child[key], measure), _value(score, measure)) for key, score in parent.items()]
    return np.array([after - before for after, before in values])


def level_of(scores: Scores, measure: Measure, seed: int) -> Interval:
    """The accuracy by Wilson's interval, or the mean score by the bootstrap."""
    if measure == "accuracy":
        return accuracy(scores.values())
    values = np.array([score.value for score in scores.values()])
    return paired_bootstrap(np.zeros_like(values), values, seed)


def _value(score: Score, measure: Measure) -> float:
    return float(score.passed) if measure == "accuracy" else score.value


def _check_same_examples(parent: Scores, child: Scores) -> None:
    only_parent, only_child = parent.keys() - child.keys(), child.keys() - parent.keys()
    if only_parent or only_child:
        some = min(only_parent | only_child)
        raise DataError(
            f"expected scores of the same examples, found {len(only_parent):,} only in the parent's and "
            f"{len(only_child):,} only in the child's, such as {some}"
        )
