"""A rung against its parent on the same examples: by how much, how sure, and which examples changed sides."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from components.errors import DataError
from components.evaluation.metrics import mcnemar_exact, paired_bootstrap
from components.records import Comparison, Score

Scores = Mapping[str, Score]


@dataclass(frozen=True)
class Changes:
    """Ids of the examples that a rung answers right where its parent was wrong, and the other way round."""

    fixed: tuple[str, ...]
    broken: tuple[str, ...]


def changes(parent: Scores, child: Scores) -> Changes:
    """Which examples were fixed and which broken. Both map example id → score.

    Raises:
        DataError: The two were not scored on the same examples.
    """
    _check_same_examples(parent, child)
    fixed = tuple(key for key, score in child.items() if score.passed and not parent[key].passed)
    broken = tuple(key for key, score in parent.items() if score.passed and not child[key].passed)
    return Changes(fixed, broken)


def compare(parent: Scores, child: Scores, seed: int = 0) -> Comparison:
    """The difference in accuracy (child − parent) with its bootstrap interval, and McNemar's exact p-value.

    Raises:
        DataError: The two were not scored on the same examples, or on none.
    """
    moved = changes(parent, child)
    before = np.array([score.passed for score in parent.values()])
    after = np.array([child[key].passed for key in parent])
    delta = paired_bootstrap(before, after, seed)
    return Comparison(
        delta=delta.value,
        low=delta.low,
        high=delta.high,
        p_value=mcnemar_exact(len(moved.fixed), len(moved.broken)),
        fixed=len(moved.fixed),
        broken=len(moved.broken),
    )


def _check_same_examples(parent: Scores, child: Scores) -> None:
    only_parent, only_child = parent.keys() - child.keys(), child.keys() - parent.keys()
    if only_parent or only_child:
        some = min(only_parent | only_child)
        raise DataError(
            f"expected scores of the same examples, found {len(only_parent):,} only in the parent's and "
            f"{len(only_child):,} only in the child's, such as {some}"
        )
