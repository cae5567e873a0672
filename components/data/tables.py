"""Files as tables: csv and jsonl into rows of cells, each with its line number.

Decides encodings, delimiters and what a damaged file is; knows nothing of workloads. A damaged file is refused as a
whole, because nobody can tell which of its rows were meant.
"""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from components.errors import ConfigError, DataError

Kind = Literal["csv", "jsonl"]
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one file: `rows[i]` starts at line `lines[i]`; cells of csv files are text, "" where empty."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]
    lines: tuple[int, ...]


def kind_of(path: Path) -> Kind:
    """What a file's name says: `.jsonl`, `.ndjson` and `.json` hold one JSON object a line, every other name is csv."""
    return "jsonl" if path.suffix in JSON_SUFFIXES else "csv"


def read_table(path: Path, kind: Kind, encoding: str = "utf-8") -> Table:
    """Read a file of rows.

    Raises:
        ConfigError: Python knows no such encoding.
        DataError: The file is missing, empty, in another encoding or damaged.
    """
    text = _decode(path, encoding)
    table = _read_jsonl(text, path) if kind == "jsonl" else _read_csv(text, path)
    if not table.rows:
        raise DataError(f"expected rows, found an empty file ({path})")
    return table


def _decode(path: Path, encoding: str) -> str:
    """The text of a file, without a byte order mark."""
    if not path.is_file():
        raise DataError(f"expected a data file, found none at {path}")
    content = path.read_bytes()
    try:
        return content.decode(encoding).removeprefix("\ufeff")
    except LookupError as error:
        raise ConfigError(f"encoding must be one that Python knows, found {encoding!r} ({path})") from error
    except UnicodeError as error:
        at = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = content.count(b"\n", 0, at) + 1
        found = f"byte 0x{content[at]:02x} at position {at:,}"
        raise DataError(f"expected text in {encoding}, found {found} ({path}:{line})") from error


def _read_csv(text: str, path: Path) -> Table:
    header = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: tuple[str, ...] = ()
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    line = 1
    try:
        for cells in reader:
            if not columns:
                columns = _header(cells, path)
            elif len(cells) == len(columns):
                rows.append(dict(zip(columns, cells, strict=True)))
                lines.append(line)
            elif cells:  # an empty line is no row
                raise DataError(f"expected {len(columns)} cells, found {len(cells)} ({path}:{line})")
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"expected csv, found a row that is not: {error} ({path}:{line})") from error
    return Table(path, columns, tuple(rows), tuple(lines))


def _header(cells: list[str], path: Path) -> tuple[str, ...]:
    columns = tuple(cell.strip() for cell in cells)
    for column in columns:
        if columns.count(column) > 1:
            raise DataError(f"expected columns of different names, found `{column}` twice ({path}:1)")
    return columns


def _read_jsonl(text: str, path: Path) -> Table:
    columns: dict[str, None] = {}
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    # Not splitlines: JSON strings may hold U+2028 and other characters that Python takes for line ends.
    for line, written in enumerate(text.split("\n"), start=1):
        if not written.strip():
            continue
        try:
            row: Any = json.loads(written)
        except json.JSONDecodeError as error:
            raise DataError(
                f"expected a JSON object, found {error.msg} at column {error.colno} ({path}:{line})"
            ) from error
        if not isinstance(row, dict):
            raise DataError(f"expected a JSON object, found {type(row).__name__} ({path}:{line})")
        columns.update(dict.fromkeys(row))
        rows.append(row)
        lines.append(line)
    return Table(path, tuple(columns), tuple(rows), tuple(lines))
