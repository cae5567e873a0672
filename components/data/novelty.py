"""Which new examples no split has in some form: what is added to train must not be near what it is measured by."""

from collections.abc import Mapping, Sequence

from components.data.similarity import near_duplicates
from components.records import Example

THEMSELVES = "themselves"


def resembled(known: Mapping[str, Sequence[Example]], new: Sequence[Example], threshold: float) -> list[str | None]:
    """For each new example the split that has its like, `themselves` where an earlier new one is, None where none is.

    Alike are near-duplicates as validation finds them, directly or through others: texts in one case and form whose
    character 5-grams overlap by `threshold`.
    """
    splits = [split for split, examples in known.items() for _ in examples]
    rows = [*(example for examples in known.values() for example in examples), *new]
    first = near_duplicates(["\n".join(example.input.values()) for example in rows], threshold)
    return [
        splits[like] if like < len(splits) else THEMSELVES if like < place else None
        for place, like in enumerate(first)
        if place >= len(splits)
    ]
