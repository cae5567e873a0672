"""The rows of a source that was understood, as they are written for the data stage."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from components.data.columns import booleans, cell, numbers
from components.data.dates import iso_dates
from components.data.reading.folders import Part, Source
from components.data.understanding import Understood
from components.errors import DataError


def rows_of(source: Source, made: Understood) -> dict[Part, list[dict[str, Any]]]:
    """The rows as they are written for the data stage: cleaned, typed, inputs by their names, answers by field."""
    parts: dict[Part, list[dict[str, Any]]] = {}
    kinds = {column: _typed(made.columns[column].values) for column, _ in made.output.values()}
    dates = _date_texts(made)
    at = 0
    for part, table in source.parts.items():
        rows: list[dict[str, Any]] = []
        for _ in table.rows:
            cells = {name: column.values[at] for name, column in made.columns.items()}
            rows.append(_row(cells, made, kinds, dates[at] if dates else None))
            at += 1
        parts[part] = rows
    return parts


def _row(
    cells: Mapping[str, Any], made: Understood, kinds: Mapping[str, Callable[[Any], Any]], date: str | None
) -> dict[str, Any]:
    row: dict[str, Any] = {name: cells[column] for name, column in made.inputs.items()}
    answer: dict[str, Any] = {}
    for name, (column, _) in made.output.items():
        value = cells[column]
        if made.expanded:
            if isinstance(value, dict) and name in value:
                answer[name] = value[name]
        else:
            answer[name] = kinds[column](value)
    row |= {answer_column(name, made): value for name, value in answer.items()}
    for column in (made.id, made.group, *made.slices):
        if column is not None:
            row[column] = cells[column]
    if made.date is not None:
        row[made.date] = date
    return row


def answer_column(name: str, made: Understood) -> str:
    """The column in which a field of the answer is written: its own name, where no input has it."""
    taken = {*made.inputs, made.id, made.group, made.date, *made.slices}
    return name if name not in taken else f"{name} (answer)"


def _date_texts(made: Understood) -> list[str | None]:
    if made.date is None:
        return []
    values = made.columns[made.date].values
    filled = iso_dates([value for value in values if value is not None])
    if filled is None:
        raise DataError(f"expected dates in `{made.date}`, found others, such as {str(values[0])[:40]!r}")
    dates = iter(filled)
    return [None if value is None else next(dates) for value in values]


def _typed(values: Sequence[Any]) -> Callable[[Any], Any]:
    """How a column's cells become values: numbers and booleans where all are, else as they are."""
    filled = [cell(value) for value in values if cell(value) is not None]
    texts = [str(value) for value in filled]
    if not filled or not any(isinstance(value, str) for value in filled):
        return lambda value: value
    if any(isinstance(value, dict | list) for value in filled):
        return lambda value: value
    if booleans(texts):
        return lambda value: value if value is None else str(value).lower() in ("true", "yes")
    if read := numbers(texts):
        by_text = dict(zip(texts, read, strict=True))
        return lambda value: by_text.get(str(value), value)
    return lambda value: value if value is None else str(value)
