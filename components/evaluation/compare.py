"""A rung against its parent on the same examples: by how much, how sure, and which examples changed sides."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from components.errors import DataError
from components.evaluation.metrics import mcnemar_exact, wilson
from components.evaluation.paired import mean_difference, sign_flip, tango
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

    Raises:
        DataError: The two were not scored on the same examples, or on none.
    """
    _check_same_examples(parent, child)
    return compare_values(values(parent, parent, measure), values(child, parent, measure), seed, measure)


def compare_values(before: NDArray[Any], after: NDArray[Any], seed: int, measure: Measure) -> Comparison:
    """The same of n values each; `fixed` counts those that rose, `broken` those that fell.

    Accuracies by Tango's score interval and McNemar's exact test, mean scores by Student's interval and the
    permutation test, which draws from the seed.
    """
    fixed, broken = int(np.sum(after > before)), int(np.sum(after < before))
    if measure == "accuracy":
        delta, p_value = tango(fixed, broken, len(before)), mcnemar_exact(fixed, broken)
    else:
        delta, p_value = mean_difference(after - before), sign_flip(after - before, seed)[0]
    return Comparison(
        delta=delta.value, low=delta.low, high=delta.high, p_value=p_value, fixed=fixed, broken=broken
    )  # fmt: skip


def compare_slices(
    before: NDArray[Any], after: NDArray[Any], members: Mapping[str, NDArray[Any]], seed: int, measure: Measure
) -> tuple[SliceComparison, ...]:
    """The comparison on each slice by itself; `members` maps a slice's name to the places of its examples."""
    return tuple(
        SliceComparison(
            name=name, n=len(at), **compare_values(before[at], after[at], seed, measure).model_dump()
        )
        for name, at in members.items()
    )  # fmt: skip


def slice_members(keys: Iterable[str], slices: Mapping[str, Mapping[str, str]]) -> dict[str, NDArray[Any]]:
    """Slices, named as `channel=chat`, and the places of their examples; `slices` maps example id → slice → value."""
    members: dict[str, list[int]] = defaultdict(list)
    for place, key in enumerate(keys):
        for name, value in slices.get(key, {}).items():
            members[f"{name}={value}"].append(place)
    return {name: np.array(places) for name, places in sorted(members.items())}


def values(scores: Scores, order: Iterable[str], measure: Measure) -> NDArray[Any]:
    """What is compared, in the order of these ids: 1 for an answer that passed and 0 for others, or the score."""
    return np.array([float(scores[key].passed) if measure == "accuracy" else scores[key].value for key in order])


def level_of(found: NDArray[Any], measure: Measure) -> Interval:
    """The accuracy by Wilson's interval, or the mean score by Student's."""
    if measure == "accuracy":
        return wilson(int(found.sum()), len(found))
    return mean_difference(found)


def _check_same_examples(parent: Scores, child: Scores) -> None:
    only_parent, only_child = parent.keys() - child.keys(), child.keys() - parent.keys()
    if only_parent or only_child:
        some = min(only_parent | only_child)
        raise DataError(
            f"expected scores of the same examples, found {len(only_parent):,} only in the parent's and "
            f"{len(only_child):,} only in the child's, such as {some}"
        )
