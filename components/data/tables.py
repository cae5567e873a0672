"""Reads a workload's csv and jsonl files as tables, with line numbers.

Checks that a file is of the kind in the settings; `reading` decides how its text becomes rows. `gradus init` converts
other formats.
"""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from components.data.reading import delimited, objects
from components.data.reading.content import decode, read_bytes
from components.data.reading.table import Table
from components.errors import DataError

__all__ = ["Kind", "Table", "read_table"]

Kind = Literal["csv", "jsonl"]
_NAMES = {"parquet": "a Parquet file", "arrow": "an Arrow file", "workbook": "an Excel workbook"}


def read_table(path: Path, kind: Kind, encoding: str = "utf-8") -> Table:
    """Read a file.

    Raises:
        ConfigError: Python has no such encoding.
        DataError: The file is missing, empty, damaged, in another encoding, or not text.
    """
    content, actual = read_bytes(path)
    if actual != "text":
        raise DataError(
            f"expected {kind} as text, found {_NAMES[actual]}, whatever its name: `gradus init` converts it ({path})"
        )
    text, _ = decode(content, path, encoding)
    table = objects.parse(text, path) if kind == "jsonl" else delimited.parse(text, path)
    if not table.rows:
        raise DataError(f"expected rows, found an empty file ({path})")
    return replace(table, path=path)
