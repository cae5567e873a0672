"""The rows of an interpreted source, in the form for the data stage."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from components.data.columns import as_text, booleans, numbers
from components.data.dates import iso_dates
from components.data.reading.folders import Part, Source
from components.data.understanding import Understood
from components.errors import DataError


def rows_of(source: Source, meaning: Understood) -> dict[Part, list[dict[str, Any]]]:
    """The rows for the data stage: cleaned and typed, with inputs by name and answers by field."""
    parts: dict[Part, list[dict[str, Any]]] = {}
    written = meaning.kind in ("label", "text")  # such answers are texts: `no` stays `no`, 12.50 keeps its zero
    kinds = {
        column: _unchanged if written else _typed(meaning.columns[column].values)
        for column, _ in meaning.output.values()
    }
    dates = _date_texts(meaning)
    index = 0
    for part, table in source.parts.items():
        rows: list[dict[str, Any]] = []
        for _ in table.rows:
            cells = {name: column.values[index] for name, column in meaning.columns.items()}
            rows.append(_row(cells, meaning, kinds, dates[index] if dates else None))
            index += 1
        parts[part] = rows
    return parts


def _row(
    cells: Mapping[str, Any], meaning: Understood, kinds: Mapping[str, Callable[[Any], Any]], date: str | None
) -> dict[str, Any]:
    row: dict[str, Any] = {name: cells[column] for name, column in meaning.inputs.items()}
    answer: dict[str, Any] = {}
    for name, (column, _) in meaning.output.items():
        value = cells[column]
        if meaning.expanded:
            if isinstance(value, dict) and name in value:
                answer[name] = value[name]
        else:
            answer[name] = kinds[column](value)
    row |= {answer_column(name, meaning): value for name, value in answer.items()}
    for column in (meaning.id, meaning.group, *meaning.slices):
        if column is not None:
            row[column] = cells[column]
    if meaning.date is not None:
        row[meaning.date] = date
    return row


def answer_column(name: str, meaning: Understood) -> str:
    """The column for a field of the answer: its own name, unless an input has it."""
    taken = {*meaning.inputs, meaning.id, meaning.group, meaning.date, *meaning.slices}
    return name if name not in taken else f"{name} (answer)"


def _date_texts(meaning: Understood) -> list[str | None]:
    if meaning.date is None:
        return []
    values = meaning.columns[meaning.date].values
    filled = iso_dates([value for value in values if value is not None])
    if filled is None:
        found = next(str(value) for value in values if value is not None)[:40]
        raise DataError(
            f"expected dates in `{meaning.date}` that can be read in one way (2024-12-31, 31.12.2024), found others, "
            f"such as {found!r}"
        )
    dates = iter(filled)
    return [None if value is None else next(dates) for value in values]


def _typed(values: Sequence[Any]) -> Callable[[Any], Any]:
    """The conversion of a column's cells: to numbers or booleans if all are, else to texts; lists and objects stay."""
    filled = [value for value in values if value is not None]
    if all(isinstance(value, bool) for value in filled) or any(isinstance(value, dict | list) for value in filled):
        return _unchanged
    if booleans([as_text(value) for value in filled]):
        return lambda value: value if value is None else as_text(value).lower() in ("true", "yes")
    if read := numbers(filled):
        by_text = {value: number for value, number in zip(filled, read, strict=True) if isinstance(value, str)}
        return lambda value: by_text[value] if isinstance(value, str) else value
    return lambda value: value if value is None else as_text(value)


def _unchanged(value: Any) -> Any:
    return value
