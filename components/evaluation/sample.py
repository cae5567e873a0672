"""Samples that stand for a split: drawn with a seed, group by group, never its first rows.

Files come sorted by label, date or customer; their first rows stand for nothing. Everything that looks at a part of a
split draws it here, so that all who ask for so many examples of a run see the same ones.
"""

import random
from collections.abc import Sequence

from components.records import Example


def places(examples: Sequence[Example], n: int, seed: int) -> list[int]:
    """The positions of n examples, in order: whole groups in the order of a draw, of the last one as many as fit.

    All of them where there are no more than n.
    """
    if n >= len(examples):
        return list(range(len(examples)))
    groups: dict[str, list[int]] = {}
    for place, example in enumerate(examples):
        groups.setdefault(example.group, []).append(place)
    names = list(groups)
    random.Random(f"sample/{seed}").shuffle(names)
    return sorted([place for name in names for place in groups[name]][:n])


def sample(examples: Sequence[Example], n: int, seed: int) -> list[Example]:
    """So many examples that stand for all, in their order."""
    return [examples[place] for place in places(examples, n, seed)]
