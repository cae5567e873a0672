"""Reads JSON as tables: an object per line, an array of objects, consecutive objects, or an object with rows.

Decides how JSON values are converted: numbers beyond a double and NaN are null; integers of more than 18 digits stay
texts, because they are identifiers.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.data.reading.parts import part_of
from components.data.reading.table import Table
from components.data.texts import listed
from components.errors import DataError

MOST_DEPTH = 60  # levels of nested objects and lists
_MOST_DIGITS = 18
_SPLIT = "split"  # the column that says which split a row belongs to
_ROW_KEYS = (
    "data", "rows", "records", "examples", "items", "results", "tests", "traces", "observations", "samples", "entries",
    "dataset", "documents", "utterances", "messages_list", "train",
)  # fmt: skip


def parse(text: str, path: Path, *, splits: bool = False) -> Table:
    """The table in a JSON text; columns are in the order of their first occurrence.

    An object with the rows of several splits gives all of them with a column `split`, if `splits` allows it.

    Raises:
        DataError: It is not JSON, or has values other than objects, or several splits; the message says where.
    """
    stripped = text.lstrip()
    if stripped.startswith("["):
        return _tabulated(_array(text, path), path)
    if not stripped.startswith("{") or _is_by_line(stripped):
        return _tabulated(_lines(text, path), path)
    values = list(_sequence(text, path))
    if len(values) == 1 and isinstance(values[0][0], dict):
        return _contained(values[0][0], path, splits=splits)
    return _tabulated(values, path)


def consecutive(text: str, path: Path) -> Iterator[tuple[Any, int]]:
    """Values one after the other, one a line or, as printed for people, over several; with their lines.

    Raises:
        DataError: They are not JSON, or nested too deeply; the message says where.
    """
    stripped = text.lstrip()
    by_line = not stripped.startswith("{") or _is_by_line(stripped)
    for value, line in _lines(text, path) if by_line else _sequence(text, path):
        _refuse_depth(value, path, line)
        yield value, line


def loads(text: str) -> Any:
    """The value of a JSON text, under this module's rules.

    Raises:
        ValueError: It is not JSON, or nested too deeply.
    """
    try:
        value = _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError(f"nested more than {MOST_DEPTH} levels deep") from error
    if text.count("[") + text.count("{") > MOST_DEPTH and depth(value) > MOST_DEPTH:
        raise ValueError(f"nested more than {MOST_DEPTH} levels deep")
    return value


def depth(value: Any) -> int:
    """The depth to which objects and lists are nested in a value."""
    level, levels = [value], 0
    while level := [item for item in level if isinstance(item, dict | list)]:
        levels += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return levels


def looks_like_json(text: str) -> bool:
    """Whether a text begins with a JSON object or a list of objects."""
    stripped = text.lstrip()
    if stripped.startswith("["):
        return stripped[1:].lstrip()[:1] in ("{", "]", "[", '"')
    return stripped.startswith("{") and stripped[1:].lstrip()[:1] in ('"', "}")


def _is_by_line(text: str) -> bool:
    """Whether the first line is a complete object, followed by other lines."""
    head, _, rest = text.partition("\n")
    if not rest.strip():
        return False
    try:
        loads(head)
    except ValueError:
        # A damaged line among complete ones is damage, not the first line of an object that spans several.
        return any(_is_object(line) for line in rest.split("\n", 3)[:3])
    return True


def _is_object(line: str) -> bool:
    try:
        return isinstance(loads(line), dict) and len(line) > 2
    except ValueError:
        return False


def _lines(text: str, path: Path) -> Iterator[tuple[Any, int]]:
    # Not splitlines: JSON strings may contain U+2028 and other characters that Python treats as line ends.
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
    """An array's items and their lines."""
    position, lines = text.index("[") + 1, _Lines(text)
    position = _after_space(text, position)
    while text[position : position + 1] != "]":
        line = lines.of(position)
        value, position = _decoded(text, position, path)
        yield value, line
        position = _after_space(text, position)
        if text[position : position + 1] == ",":
            position = _after_space(text, position + 1)
        elif text[position : position + 1] != "]":
            raise DataError(
                f"expected a comma or ] in the JSON array, found {_shown(text, position)} ({path}:{lines.of(position)})"
            )
    end = _after_space(text, position + 1)
    if end < len(text):
        raise DataError(f"expected the end of the JSON array, found {_shown(text, end)} ({path}:{lines.of(end)})")


def _sequence(text: str, path: Path) -> Iterator[tuple[Any, int]]:
    """Consecutive objects, optionally separated by commas."""
    position, lines = _after_space(text, 0), _Lines(text)
    while position < len(text):
        line = lines.of(position)
        value, position = _decoded(text, position, path)
        yield value, line
        position = _after_space(text, position)
        if text[position : position + 1] == ",":
            position = _after_space(text, position + 1)


def _decoded(text: str, position: int, path: Path) -> tuple[Any, int]:
    try:
        value, end = _DECODER.raw_decode(text, position)
    except json.JSONDecodeError as error:
        place = f"{path}:{error.lineno}"
        raise DataError(f"expected a JSON object, found {error.msg} at column {error.colno} ({place})") from error
    except RecursionError as error:
        place = f"{path}:{_Lines(text).of(position)}"
        raise DataError(
            f"expected a JSON object, found one nested more than {MOST_DEPTH} levels deep ({place})"
        ) from error
    return value, end


class _Lines:
    """Gives the line of a position; positions must be ascending."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._line = text, 0, 1

    def of(self, position: int) -> int:
        self._line += self._text.count("\n", self._at, position)
        self._at = position
        return self._line


def _after_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _shown(text: str, position: int) -> str:
    return repr(text[position : position + 20]) if position < len(text) else "its end"


def _contained(value: dict[str, Any], path: Path, *, splits: bool) -> Table:
    """The rows in an object: lists under splits' names or a common one, parallel columns, or the object itself."""
    lists = {name: items for name, items in value.items() if isinstance(items, list)}
    rows = {name: items for name, items in lists.items() if items and all(isinstance(item, dict) for item in items)}
    if (parted := _of_splits(rows, path, splits=splits)) is not None:
        return parted
    names = [name for name in _ROW_KEYS if name in rows] or (list(rows) if len(rows) == 1 else [])
    if names and not {"resourceSpans", "messages", "choices"} & value.keys():
        note = f"the rows are the list under `{names[0]}`{_but_not([name for name in rows if name != names[0]])}"
        return _tabulated([(item, 1) for item in rows[names[0]]], path, (note,))
    if len(lists) == len(value) > 1 and len({len(items) for items in lists.values()}) == 1:
        columns = list(lists)
        listed = [dict(zip(columns, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]
        return _tabulated([(row, 1) for row in listed], path, ("the columns are parallel lists",))
    inner = list(value.values())
    if len(value) > 1 and all(isinstance(item, dict) for item in inner):
        if all(isinstance(item, dict) and item and all(key.isdigit() for key in item) for item in inner):
            indices = list(inner[0])
            listed = [{name: column.get(index) for name, column in value.items()} for index in indices]
            return _tabulated([(row, 1) for row in listed], path, ("the columns are parallel lists",))
        listed = [{"key": key, **item} for key, item in value.items()]
        return _tabulated([(row, 1) for row in listed], path, ("the rows are the values of one object",))
    return _tabulated([(value, 1)], path)


def _of_splits(rows: Mapping[str, list[Any]], path: Path, *, splits: bool) -> Table | None:
    """The rows of an object's splits, such as `train` and `test`, each with its split's name; None if it has none."""
    named = {name: items for name, items in rows.items() if part_of(name) != "all"}
    if len(named) < 2 or "train" not in map(part_of, named):
        return None
    if not splits:
        found = listed([f"{name} ({len(items):,})" for name, items in named.items()])
        raise DataError(f"expected the rows of one split, found {found}: `gradus init` reads all of them ({path})")
    note = f"the rows are the lists under {listed([f'`{name}`' for name in named])}"
    note += _but_not([name for name in rows if name not in named])
    values = [({**item, _SPLIT: name}, 1) for name, items in named.items() for item in items]
    return _tabulated(values, path, (note,))


def _but_not(names: Sequence[str]) -> str:
    """The end of a note, on lists of objects that are not read."""
    return f"; left out: {listed([f'`{name}`' for name in names])}" if names else ""


def _tabulated(values: Iterable[tuple[Any, int]], path: Path, notes: tuple[str, ...] = ()) -> Table:
    columns: dict[str, None] = {}
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    for value, line in values:
        if not isinstance(value, dict):
            raise DataError(f"expected a JSON object, found {_NAMES[type(value)]} ({path}:{line})")
        _refuse_depth(value, path, line)
        columns.update(dict.fromkeys(value))
        rows.append(value)
        lines.append(line)
    return Table(path, tuple(columns), tuple(rows), tuple(lines), notes)


def _refuse_depth(value: Any, path: Path, line: int) -> None:
    if depth(value) > MOST_DEPTH:
        raise DataError(f"expected a JSON object, found one nested more than {MOST_DEPTH} levels deep ({path}:{line})")


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MOST_DIGITS else digits


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if abs(number) < float("inf") else None


def _nothing(constant: str) -> None:
    """NaN and Infinity are not JSON and count as missing values."""


_NAMES = {list: "a list", str: "a string", int: "a number", float: "a number", bool: "a boolean", type(None): "null"}
_DECODER = json.JSONDecoder(parse_int=_whole, parse_float=_finite, parse_constant=_nothing)
