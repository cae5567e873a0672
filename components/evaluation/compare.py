"""A rung against its parent on the same examples: the difference, its uncertainty, and which examples changed sides."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from components.errors import DataError
from components.evaluation.clusters import INDEPENDENT, Design, design, flip_p, grouped
from components.evaluation.metrics import mcnemar_exact, share_of
from components.evaluation.paired import Groups, mean_of, mean_p, tango
from components.records import Comparison, Interval, Score, SliceComparison

Scores = Mapping[str, Score]
Measure = Literal["accuracy", "score"]


@dataclass(frozen=True)
class Changes:
    """The ids of the examples that only the rung answers right, and of those that only its parent does."""

    fixed: tuple[str, ...]
    broken: tuple[str, ...]


def common(parent: Scores, child: Scores) -> tuple[Scores, Scores]:
    """Both restricted to the examples that the scorer could decide for both; both map example id → score."""
    return (
        {key: score for key, score in parent.items() if key in child},
        {key: score for key, score in child.items() if key in parent},
    )


def changes(parent: Scores, child: Scores) -> Changes:
    """The examples that were fixed and those that were broken. Both map example id → score.

    Raises:
        DataError: The two have not been scored on the same examples.
    """
    _check_same_examples(parent, child)
    fixed = tuple(key for key, score in child.items() if score.passed and not parent[key].passed)
    broken = tuple(key for key, score in parent.items() if score.passed and not child[key].passed)
    return Changes(fixed, broken)


def compare(
    parent: Scores,
    child: Scores,
    seed: int = 0,
    measure: Measure = "accuracy",
    groups: Mapping[str, str] | None = None,
) -> Comparison:
    """The difference (child − parent) with its 95 % interval and the two-sided p-value of no difference.

    `groups` maps example id → group; an example without one is its own group.

    Raises:
        DataError: The two have not been scored on the same examples, or on none.
    """
    _check_same_examples(parent, child)
    if not parent:
        raise DataError("expected examples that the scorer decided for both, found none")
    before, after = values(parent, parent, measure), values(child, parent, measure)
    return compare_values(before, after, seed, measure, groups_of(parent, groups))


def compare_values(
    before: NDArray[Any], after: NDArray[Any], seed: int, measure: Measure, groups: Groups = None
) -> Comparison:
    """The same for n values each; `fixed` counts those that rose, `broken` those that fell.

    For accuracies, Tango's score interval and McNemar's exact test; for mean scores, the score interval for bounded
    means and its test (`paired.mean_p`, with random draws from the seed). For grouped examples, the design effect
    widens the interval, and the test flips whole groups.
    """
    change = after - before
    fixed, broken = int(np.sum(change > 0)), int(np.sum(change < 0))
    of_groups = paired_design(change, groups)
    if measure == "accuracy":
        delta, p_value = tango(fixed, broken, len(change), design=of_groups), _flipped(change, fixed, broken, groups)
    else:
        delta, p_value = mean_of(change, groups), mean_p(change, groups, seed)[0]
    return Comparison(
        delta=delta.value, low=delta.low, high=delta.high, p_value=p_value, fixed=fixed, broken=broken,
        effect=of_groups.effect,
    )  # fmt: skip


def paired_design(change: NDArray[Any], groups: Groups) -> Design:
    """The design of the mean of paired differences."""
    return INDEPENDENT if groups is None else design(change, groups, (-1.0, 1.0))


def _flipped(change: NDArray[Any], fixed: int, broken: int, groups: Groups) -> float:
    parts = grouped(change, groups)
    return mcnemar_exact(fixed, broken) if parts.alone else flip_p(parts.sums)[0]


def groups_of(keys: Iterable[str], groups: Mapping[str, str] | None) -> list[str] | None:
    """Each example's group, by its id."""
    return None if groups is None else [groups.get(key, f"\0{key}") for key in keys]


@dataclass(frozen=True)
class Layout:
    """The indices of each slice's examples, by names like `channel=chat`; the seed for draws; each example's group."""

    members: Mapping[str, NDArray[Any]]
    seed: int
    groups: NDArray[Any] | None = None

    def groups_at(self, indices: NDArray[Any]) -> NDArray[Any] | None:
        """The groups of the examples at these indices."""
        return None if self.groups is None else self.groups[indices]


def compare_slices(
    before: NDArray[Any], after: NDArray[Any], layout: Layout, measure: Measure
) -> tuple[SliceComparison, ...]:
    """The comparison on each slice separately."""
    return tuple(
        SliceComparison(
            name=name, n=len(rows),
            **compare_values(before[rows], after[rows], layout.seed, measure, layout.groups_at(rows)).model_dump(),
        )
        for name, rows in layout.members.items()
    )  # fmt: skip


def slice_members(keys: Iterable[str], slices: Mapping[str, Mapping[str, str]]) -> dict[str, NDArray[Any]]:
    """Slices, named like `channel=chat`, → indices of their examples; `slices` maps example id → slice → value."""
    members: dict[str, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        for name, value in slices.get(key, {}).items():
            members[f"{name}={value}"].append(index)
    return {name: np.array(indices) for name, indices in sorted(members.items())}


def values(scores: Scores, order: Iterable[str], measure: Measure) -> NDArray[Any]:
    """The values to compare, in the order of these ids: 1 for an answer that passed and 0 otherwise, or the score."""
    return np.array([float(scores[key].passed) if measure == "accuracy" else scores[key].value for key in order])


def level_of(values: NDArray[Any], measure: Measure, groups: Sequence[str] | None = None) -> Interval:
    """The accuracy with Wilson's interval, or the mean score with the score interval for bounded means."""
    if measure == "accuracy":
        return share_of(values.tolist(), groups)
    return mean_of(values, groups, (0.0, 1.0))


def _check_same_examples(parent: Scores, child: Scores) -> None:
    only_parent, only_child = parent.keys() - child.keys(), child.keys() - parent.keys()
    if only_parent or only_child:
        some = min(only_parent | only_child)
        raise DataError(
            f"expected scores of the same examples, found {len(only_parent):,} only in the parent's and "
            f"{len(only_child):,} only in the child's, such as {some}"
        )
