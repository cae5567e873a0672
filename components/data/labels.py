"""Labels that are the same word in other forms: composed or not, with characters that nobody sees, in another case.

Decides which of them is meant; whether they are mended or only told is a setting.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from components.data.checks import SIDES, label_sets, parsed
from components.data.forms import folded
from components.data.sources import Row
from components.params import Workload
from components.scorers.answers import write


def counted(rows: Sequence[Row], workload: Workload) -> dict[str, Counter[str]]:
    """Field of labels → how many demonstrations have each text there, known label or not."""
    found = {field: Counter[str]() for field in label_sets(workload)}
    for row in rows:
        for field, value in _texts(parsed(row.example.demonstration, workload), found):
            found[field][value] += 1
    return found


def forms(rows: Sequence[Row], workload: Workload) -> dict[str, list[list[str]]]:
    """Field → labels that are one word in several forms, the one that is meant first: the commonest of the schema's."""
    counts, found = counted(rows, workload), dict[str, list[list[str]]]()
    for field, labels in label_sets(workload).items():
        alike: dict[str, list[str]] = {}
        for label in dict.fromkeys([*labels, *counts[field]]):
            alike.setdefault(folded(label), []).append(label)
        ordered = [
            sorted(some, key=lambda label: (label not in labels, -counts[field][label])) for some in alike.values()
        ]
        several = [some for some in ordered if len(some) > 1 and some[0] in labels]
        if several:
            found[field] = several
    return found


def mended(rows: Sequence[Row], workload: Workload) -> list[Row]:
    """The rows with one form of each label, on both sides of the answer."""
    meant = {
        field: {label: some[0] for some in several for label in some[1:]}
        for field, several in forms(rows, workload).items()
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
