"""Which new examples resemble none in any split: additions to train must not be close to evaluation data."""

from collections.abc import Mapping, Sequence

from components.data.similarity import near_duplicates
from components.records import Example

THEMSELVES = "themselves"


def resembled(by_split: Mapping[str, Sequence[Example]], new: Sequence[Example], threshold: float) -> list[str | None]:
    """For each new example, the split with a similar one, `themselves` for an earlier new one, or None.

    Similar means near-duplicate, as in validation, directly or through others: character 5-grams of the normalised
    texts overlap by `threshold`.
    """
    splits = [split for split, examples in by_split.items() for _ in examples]
    rows = [*(example for examples in by_split.values() for example in examples), *new]
    first = near_duplicates(["\n".join(example.input.values()) for example in rows], threshold)
    return [
        splits[like] if like < len(splits) else THEMSELVES if like < place else None
        for place, like in enumerate(first)
        if place >= len(splits)
    ]
