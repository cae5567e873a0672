"""JSON as tables: one object a line, an array of objects, objects one behind the other, or an object that holds rows.

Decides what a JSON value becomes: numbers beyond a double are null, NaN is null, whole numbers of more than 18 digits
stay texts, since they name something and count nothing.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from components.data.reading.table import Table
from components.errors import DataError

MOST_DEPTH = 60  # of nested objects and lists
_MOST_DIGITS = 18
_ROW_KEYS = (
    "data", "rows", "records", "examples", "items", "results", "tests", "traces", "observations", "samples", "entries",
    "dataset", "documents", "utterances", "messages_list", "train",
)  # fmt: skip


def parse(text: str, path: Path) -> Table:
    """The table of a JSON text; columns in the order in which they first occur.

    Raises:
        DataError: It is no JSON, or holds something else than objects; the message says where.
    """
    stripped = text.lstrip()
    if stripped.startswith("["):
        return _tabulated(_array(text, path), path)
    if not stripped.startswith("{") or _is_by_line(stripped):
        return _tabulated(_lines(text, path), path)
    values = list(_sequence(text, path))
    if len(values) == 1 and isinstance(values[0][0], dict):
        return _contained(values[0][0], path)
    return _tabulated(values, path)


def loads(text: str) -> Any:
    """The value of a JSON text, by this module's rules.

    Raises:
        ValueError: It is no JSON, or nested too deeply.
    """
    try:
        value = _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError(f"nested more than {MOST_DEPTH} levels deep") from error
    if text.count("[") + text.count("{") > MOST_DEPTH and depth(value) > MOST_DEPTH:
        raise ValueError(f"nested more than {MOST_DEPTH} levels deep")
    return value


def depth(value: Any) -> int:
    """How deeply objects and lists are nested in a value."""
    level, found = [value], 0
    while level := [one for one in level if isinstance(one, dict | list)]:
        found += 1
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return found


def looks_like_json(text: str) -> bool:
    """Whether a text begins with a JSON object, or with a list of some."""
    stripped = text.lstrip()
    if stripped.startswith("["):
        return stripped[1:].lstrip()[:1] in ("{", "]", "[", '"')
    return stripped.startswith("{") and stripped[1:].lstrip()[:1] in ('"', "}")


def _is_by_line(text: str) -> bool:
    """Whether the first line is an object by itself, and other lines follow."""
    head, _, rest = text.partition("\n")
    if not rest.strip():
        return False
    try:
        loads(head)
    except ValueError:
        # A damaged line among whole ones is damage, and not the first line of an object over several.
        return any(_is_object(line) for line in rest.split("\n", 3)[:3])
    return True


def _is_object(line: str) -> bool:
    try:
        return isinstance(loads(line), dict) and len(line) > 2
    except ValueError:
        return False


def _lines(text: str, path: Path) -> Iterator[tuple[Any, int]]:
    # Not splitlines: JSON strings may hold U+2028 and other characters that Python takes for line ends.
    for line, written in enumerate(text.split("\n"), start=1):
        if written.strip():
            yield _read(written, path, line), line


def _read(written: str, path: Path, line: int) -> Any:
    try:
        return loads(written)
    except json.JSONDecodeError as error:
        raise DataError(f"expected a JSON object, found {error.msg} at column {error.colno} ({path}:{line})") from error
    except ValueError as error:
        raise DataError(f"expected a JSON object, found one {error} ({path}:{line})") from error


def _array(text: str, path: Path) -> Iterator[tuple[Any, int]]:
    """The items of an array and their lines."""
    at, places = text.index("[") + 1, _Lines(text)
    at = _after_space(text, at)
    while text[at : at + 1] != "]":
        line = places.of(at)
        value, at = _decoded(text, at, path)
        yield value, line
        at = _after_space(text, at)
        if text[at : at + 1] == ",":
            at = _after_space(text, at + 1)
        elif text[at : at + 1] != "]":
            raise DataError(
                f"expected a comma or ] in the JSON array, found {_shown(text, at)} ({path}:{places.of(at)})"
            )
    end = _after_space(text, at + 1)
    if end < len(text):
        raise DataError(f"expected the end of the JSON array, found {_shown(text, end)} ({path}:{places.of(end)})")


def _sequence(text: str, path: Path) -> Iterator[tuple[Any, int]]:
    """Objects one behind the other, commas between them allowed."""
    at, places = _after_space(text, 0), _Lines(text)
    while at < len(text):
        line = places.of(at)
        value, at = _decoded(text, at, path)
        yield value, line
        at = _after_space(text, at)
        if text[at : at + 1] == ",":
            at = _after_space(text, at + 1)


def _decoded(text: str, at: int, path: Path) -> tuple[Any, int]:
    try:
        value, end = _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        place = f"{path}:{error.lineno}"
        raise DataError(f"expected a JSON object, found {error.msg} at column {error.colno} ({place})") from error
    except RecursionError as error:
        place = f"{path}:{_Lines(text).of(at)}"
        raise DataError(
            f"expected a JSON object, found one nested more than {MOST_DEPTH} levels deep ({place})"
        ) from error
    return value, end


class _Lines:
    """The line of a position, asked in ascending order."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._line = text, 0, 1

    def of(self, at: int) -> int:
        self._line += self._text.count("\n", self._at, at)
        self._at = at
        return self._line


def _after_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def _shown(text: str, at: int) -> str:
    return repr(text[at : at + 20]) if at < len(text) else "its end"


def _contained(value: dict[str, Any], path: Path) -> Table:
    """The rows of one object: the list under a usual name, columns side by side, or the object itself."""
    lists = {name: items for name, items in value.items() if isinstance(items, list)}
    rows = {name: items for name, items in lists.items() if items and all(isinstance(item, dict) for item in items)}
    names = [name for name in _ROW_KEYS if name in rows] or (list(rows) if len(rows) == 1 else [])
    if names and not {"resourceSpans", "messages", "choices"} & value.keys():
        note = f"the rows are the list under `{names[0]}`"
        return _tabulated([(item, 1) for item in rows[names[0]]], path, (note,))
    if len(lists) == len(value) > 1 and len({len(items) for items in lists.values()}) == 1:
        columns = list(lists)
        listed = [dict(zip(columns, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]
        return _tabulated([(row, 1) for row in listed], path, ("the columns stand side by side",))
    inner = list(value.values())
    if len(value) > 1 and all(isinstance(item, dict) for item in inner):
        if all(isinstance(item, dict) and item and all(key.isdigit() for key in item) for item in inner):
            indices = list(inner[0])
            listed = [{name: column.get(index) for name, column in value.items()} for index in indices]
            return _tabulated([(row, 1) for row in listed], path, ("the columns stand side by side",))
        listed = [{"key": key, **item} for key, item in value.items()]
        return _tabulated([(row, 1) for row in listed], path, ("the rows are the values of one object",))
    return _tabulated([(value, 1)], path)


def _tabulated(values: Iterable[tuple[Any, int]], path: Path, notes: tuple[str, ...] = ()) -> Table:
    columns: dict[str, None] = {}
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    for value, line in values:
        if not isinstance(value, dict):
            raise DataError(f"expected a JSON object, found {_NAMES[type(value)]} ({path}:{line})")
        if depth(value) > MOST_DEPTH:
            raise DataError(
                f"expected a JSON object, found one nested more than {MOST_DEPTH} levels deep ({path}:{line})"
            )
        columns.update(dict.fromkeys(value))
        rows.append(value)
        lines.append(line)
    return Table(path, tuple(columns), tuple(rows), tuple(lines), notes)


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MOST_DIGITS else digits


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if abs(number) < float("inf") else None


def _nothing(constant: str) -> None:
    """NaN and Infinity are no JSON, and stand for a value that is missing."""


_NAMES = {list: "a list", str: "a string", int: "a number", float: "a number", bool: "a boolean", type(None): "null"}
_DECODER = json.JSONDecoder(parse_int=_whole, parse_float=_finite, parse_constant=_nothing)
