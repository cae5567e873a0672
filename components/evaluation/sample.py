"""Representative samples of a split: drawn with a seed, group by group, never its first rows.

Files are often sorted by label, date or customer, so their first rows are not representative. All code that uses part
of a split draws it here, so that samples of the same size are the same throughout a run.
"""

import random
from collections.abc import Sequence

from components.records import Example


def places(examples: Sequence[Example], n: int, seed: int) -> list[int]:
    """The indices of n examples, in order: whole groups in random order, the last one cut to fit.

    All indices if there are no more than n.
    """
    if n >= len(examples):
        return list(range(len(examples)))
    groups: dict[str, list[int]] = {}
    for index, example in enumerate(examples):
        groups.setdefault(example.group, []).append(index)
    names = list(groups)
    random.Random(f"sample/{seed}").shuffle(names)
    return sorted([index for name in names for index in groups[name]][:n])


def sample(examples: Sequence[Example], n: int, seed: int) -> list[Example]:
    """A representative sample of n examples, in their order."""
    return [examples[index] for index in places(examples, n, seed)]
