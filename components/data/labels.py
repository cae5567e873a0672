"""Labels that are the same word in different forms: composition, invisible characters, case.

Decides which of them is meant; a setting decides whether they are mended or only reported.
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
"""The texts in a demonstration's label fields: field → text."""


def labels_of(rows: Sequence[Row], workload: Workload) -> list[Labels]:
    """For each row, the texts in its demonstration's label fields, whether they are labels of the schema or not."""
    fields, by_answer = label_sets(workload), dict[str, Labels]()
    answers = [row.example.demonstration for row in rows]
    for answer in answers:
        if answer not in by_answer:
            by_answer[answer] = dict(_texts(parsed(answer, workload) or {}, fields))
    return [by_answer[answer] for answer in answers]


def counted(labels: Iterable[Labels]) -> dict[str, Counter[str]]:
    """Label field → how many of these demonstrations have each text in it."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for of_row in labels:
        for field, text in of_row.items():
            counts[field][text] += 1
    return counts


def forms(counts: Mapping[str, Counter[str]], workload: Workload) -> dict[str, list[list[str]]]:
    """Field → labels that are the same word in several forms, first the one that is meant: the schema's most common.

    `counts` are over all demonstrations.
    """
    by_field = dict[str, list[list[str]]]()
    for field, labels in label_sets(workload).items():
        times = counts.get(field, Counter[str]())
        alike: dict[str, list[str]] = {}
        for label in dict.fromkeys([*labels, *times]):
            alike.setdefault(folded(label), []).append(label)
        ordered = [sorted(some, key=lambda label: (label not in labels, -times[label])) for some in alike.values()]
        several = [some for some in ordered if len(some) > 1 and some[0] in labels]
        if several:
            by_field[field] = several
    return by_field


def with_mended_labels(rows: Sequence[Row], workload: Workload) -> list[Row]:
    """The rows with a single form of each label, on both sides of the answer."""
    meant = {
        field: {label: some[0] for some in several for label in some[1:]}
        for field, several in forms(counted(labels_of(rows, workload)), workload).items()
    }
    return [_mended(row, meant, workload) for row in rows] if meant else list(rows)


def _mended(row: Row, meant: Mapping[str, Mapping[str, str]], workload: Workload) -> Row:
    changed: dict[str, str] = {}
    for side in SIDES:
        content = parsed(str(getattr(row.example, side)), workload) or {}
        wrong = {field: meant[field][value] for field, value in _texts(content, meant) if value in meant[field]}
        if wrong:
            changed[side] = write({**content, **wrong}, workload.output)
    return replace(row, example=row.example.model_copy(update=changed)) if changed else row


def _texts(content: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The fields of an answer that are texts."""
    yield from ((field, content[field]) for field in fields if isinstance(content.get(field), str))
