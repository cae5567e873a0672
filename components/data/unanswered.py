"""Leaves out of a source what has no answer to learn from or to measure by.

Decides which parts and rows these are: parts without any answer, such as a competition's test file; rows that nobody
labelled; answers of another kind than nearly all others.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from components.data.cells import Column, in_texts, names_labels
from components.data.reading.folders import Part, Source
from components.data.reading.table import Table
from components.data.understanding import Understood


def answered(source: Source, meaning: Understood) -> Source:
    """The source without them, with a note on each reason; the same object if nothing is left out."""
    answers = [meaning.columns[name] for name in dict.fromkeys(column for column, _ in meaning.output.values())]
    names = " or ".join(f"`{column.name}`" for column in answers)
    empty = _empty_rows(answers)
    unlabelled = empty if _is_expected(answers, meaning) else set[int]()
    misfits = {index for column in answers for index in column.misfits}
    parts, notes, start = dict[Part, Table](), list[str](), 0
    for part, table in source.parts.items():
        places = range(start, start + len(table.rows))
        start = places.stop
        if len(source.parts) > 1 and empty.issuperset(places):
            notes.append(f"the part {part} is left out: none of its {len(places):,} rows has {names}")
            unlabelled, misfits = unlabelled.difference(places), misfits.difference(places)
        elif kept := [index for index in places if index not in unlabelled and index not in misfits]:
            parts[part] = _only(table, [index - places.start for index in kept])
    if misfits:
        notes.append(f"{len(misfits):,} of {start:,} rows are left out: {names} is of another kind than in the others")
    if unlabelled := unlabelled - misfits:
        notes.append(f"{len(unlabelled):,} of {start:,} rows are left out: they have no {names}")
    return replace(source, parts=parts, notes=(*notes, *source.notes)) if notes and parts else source


def _empty_rows(answers: Sequence[Column]) -> set[int]:
    """The rows without any answer, by their index in all parts together."""
    cells = zip(*(column.values for column in answers), strict=True)
    return {index for index, row in enumerate(cells) if all(value is None for value in row)}


def _is_expected(answers: Sequence[Column], meaning: Understood) -> bool:
    """Whether a row without its only answer was not labelled, rather than having nothing to say.

    A label, a text, a list and a whole object are expected; a number or a code, and what is copied from the text, may
    be missing there.
    """
    if len(answers) != 1:
        return False
    column, (_, schema) = answers[0], next(iter(meaning.output.values()))
    if meaning.kind != "object" or meaning.expanded is not None:
        return True
    labels = "enum" in schema or "boolean" in _kinds(schema) or names_labels(column)
    return labels and not in_texts(column, [meaning.columns[name] for name in meaning.inputs.values()])


def _kinds(schema: dict[str, Any]) -> list[str]:
    kinds = schema.get("type", [])
    return kinds if isinstance(kinds, list) else [kinds]


def _only(table: Table, places: Sequence[int]) -> Table:
    """The table's rows at these places."""
    return replace(
        table, rows=tuple(table.rows[place] for place in places), lines=tuple(table.lines[place] for place in places)
    )
