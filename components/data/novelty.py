"""Which new examples resemble none in any split: additions to train must not be close to evaluation data."""

from collections.abc import Mapping, Sequence

from components.data.similarity import near_duplicates
from components.records import Example

THEMSELVES = "themselves"


def resembled(by_split: Mapping[str, Sequence[Example]], new: Sequence[Example], threshold: float) -> list[str | None]:
    """For each new example, the split with a similar one, `themselves` for an earlier new one, or None.

    Similar means near-duplicate, as in validation, directly or through others: character 5-grams of the normalised
    texts overlap by `threshold`. Those of the splits are compared by the columns that new ones have.
    """
    columns = dict.fromkeys(tuple(example.input) for example in new)
    known = [
        (split, "\n".join(example.input[name] for name in names if name in example.input))
        for split, examples in by_split.items()
        for names in columns
        for example in examples
    ]
    first = near_duplicates(
        [*(text for _, text in known), *("\n".join(example.input.values()) for example in new)], threshold
    )
    return [
        known[like][0] if like < len(known) else THEMSELVES if like < place else None
        for place, like in enumerate(first)
        if place >= len(known)
    ]
