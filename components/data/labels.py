"""Labels that are the same word in other forms: composed or not, with characters that nobody sees, in another case.

Decides which of them is meant; whether they are mended or only told is a setting.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from components.data.checks import SIDES, label_sets, parsed
from components.data.forms import folded
from components.data.sources import Row
from components.params import Workload
from components.scorers.answers import write

Labels = Mapping[str, str]
"""What a demonstration has in the fields of labels: field → text."""


def labels_of(rows: Sequence[Row], workload: Workload) -> list[Labels]:
    """For each row what its demonstration has in the fields of labels: field → text, known label or not."""
    fields, known = label_sets(workload), dict[str, Labels]()
    answers = [row.example.demonstration for row in rows]
    for answer in answers:
        if answer not in known:
            known[answer] = dict(_texts(parsed(answer, workload), fields))
    return [known[answer] for answer in answers]


def counted(labels: Iterable[Labels]) -> dict[str, Counter[str]]:
    """Field of labels → how many of these demonstrations have each text there."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for of_row in labels:
        for field, text in of_row.items():
            found[field][text] += 1
    return found


def forms(counts: Mapping[str, Counter[str]], workload: Workload) -> dict[str, list[list[str]]]:
    """Field → labels that are one word in several forms, the one that is meant first: the commonest of the schema's.

    `counts` are those of all demonstrations.
    """
    found = dict[str, list[list[str]]]()
    for field, labels in label_sets(workload).items():
        times = counts.get(field, Counter[str]())
        alike: dict[str, list[str]] = {}
        for label in dict.fromkeys([*labels, *times]):
            alike.setdefault(folded(label), []).append(label)
        ordered = [sorted(some, key=lambda label: (label not in labels, -times[label])) for some in alike.values()]
        several = [some for some in ordered if len(some) > 1 and some[0] in labels]
        if several:
            found[field] = several
    return found


def mended(rows: Sequence[Row], workload: Workload) -> list[Row]:
    """The rows with one form of each label, on both sides of the answer."""
    meant = {
        field: {label: some[0] for some in several for label in some[1:]}
        for field, several in forms(counted(labels_of(rows, workload)), workload).items()
    }
    return [_mended(row, meant, workload) for row in rows] if meant else list(rows)


def _mended(row: Row, meant: Mapping[str, Mapping[str, str]], workload: Workload) -> Row:
    changed: dict[str, str] = {}
    for side in SIDES:
        content = parsed(str(getattr(row.example, side)), workload)
        wrong = {field: meant[field][value] for field, value in _texts(content, meant) if value in meant[field]}
        if wrong:
            changed[side] = write({**content, **wrong}, workload.output)
    return replace(row, example=row.example.model_copy(update=changed)) if changed else row


def _texts(content: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The fields of an answer that hold a text."""
    yield from ((field, content[field]) for field in fields if isinstance(content.get(field), str))
