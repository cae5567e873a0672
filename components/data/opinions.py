"""Opinions of people and scorers on production answers, as preferences, thumbs and scored logs for training.

Decides which of them may be used: none on an input in an evaluation split (including this harvest's additions), and a
limited number of each kind from each sender who is not a reviewer.
"""

from collections import Counter
from collections.abc import Collection, Sequence

from components.data.harvest import as_production_keeps
from components.data.similarity import near_duplicates
from components.records import Example, Logged, Preference, Record, Thumb

PREFERENCES, THUMBS, LOGS = "preferences", "thumbs", "logs"
KINDS: dict[str, type[Preference | Thumb | Logged]] = {PREFERENCES: Preference, THUMBS: Thumb, LOGS: Logged}
"""The kinds of files next to a harvest, and the record on their lines."""


class Opinion(Record):
    """An opinion on an answer to an input, and its sender: "" of the anonymous, None of a scorer or a judge."""

    said: Preference | Thumb | Logged
    sender: str | None = ""
    reviewed: bool = False


def taught(
    opinions: Sequence[Opinion], judged: Collection[Example], similarity: float, most_by_sender: int
) -> dict[str, list[Record]]:
    """The usable opinions by kind of file; `judged` are the examples of dev, test and the sealed split."""
    counts, allowed = Counter[tuple[str | None, type[Record]]](), list[Opinion]()
    for opinion in opinions:
        source = (opinion.sender, type(opinion.said))
        counts[source] += not opinion.reviewed
        if opinion.reviewed or opinion.sender is None or counts[source] <= most_by_sender:
            allowed.append(opinion)
    records = [
        opinion.said for opinion, seen in zip(allowed, _seen(allowed, judged, similarity), strict=True) if not seen
    ]
    return {kind: [opinion for opinion in records if isinstance(opinion, record)] for kind, record in KINDS.items()}


def _seen(opinions: Sequence[Opinion], judged: Collection[Example], similarity: float) -> list[bool]:
    """Whether each is on an input similar to a judged example's."""
    inputs = [opinion.said.input for opinion in opinions]
    examples = as_production_keeps(judged, inputs)
    alike = near_duplicates([*examples, *("\n".join(given.values()) for given in inputs)], similarity)
    taken = set(alike[: len(examples)])
    return [bundle in taken for bundle in alike[len(examples) :]]
