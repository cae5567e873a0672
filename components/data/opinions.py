"""Opinions: what people and scorers said of production's answers, as preferences, thumbs and scored logs for training.

Decides which of them may be learnt from: none on an input that an evaluation split has, or will have by the same
harvest, and no more than a cap of each sender who is no reviewer.
"""

from collections import Counter
from collections.abc import Collection, Sequence

from components.data.similarity import near_duplicates
from components.records import Example, Logged, Preference, Record, Thumb

PREFERENCES, THUMBS, LOGS = "preferences", "thumbs", "logs"
KINDS: dict[str, type[Preference | Thumb | Logged]] = {PREFERENCES: Preference, THUMBS: Thumb, LOGS: Logged}
"""Kinds of files beside a harvest, and what a line of each is."""


class Opinion(Record):
    """What was said of an answer to an input, and whose word it is."""

    said: Preference | Thumb | Logged
    sender: str = ""
    reviewed: bool = False


def taught(
    opinions: Sequence[Opinion], judged: Collection[Example], similarity: float, most_by_sender: int
) -> dict[str, list[Record]]:
    """What may be learnt from, by kind of file; `judged` are the examples of dev, test and the sealed split."""
    counts, kept = Counter[str](), list[Opinion]()
    for one in opinions:
        counts[one.sender] += not one.reviewed
        if one.reviewed or counts[one.sender] <= most_by_sender:
            kept.append(one)
    said = [one.said for one, seen in zip(kept, _seen(kept, judged, similarity), strict=True) if not seen]
    return {kind: [one for one in said if isinstance(one, record)] for kind, record in KINDS.items()}


def _seen(opinions: Sequence[Opinion], judged: Collection[Example], similarity: float) -> list[bool]:
    """Whether each is on an input that a judged example resembles."""
    if not opinions:
        return []
    columns = list(opinions[0].said.input)
    examples = ["\n".join(one.input[name] for name in columns if name in one.input) for one in judged]
    alike = near_duplicates([*examples, *("\n".join(one.said.input.values()) for one in opinions)], similarity)
    taken = set(alike[: len(examples)])
    return [bundle in taken for bundle in alike[len(examples) :]]
