"""Files of a workload as tables: csv and jsonl, each row with its line number.

Decides what a file must be that settings name as one of the two; how its text becomes rows, `reading` decides. What
else people bring, `gradus init` converts.
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
    """Read a file of rows.

    Raises:
        ConfigError: Python knows no such encoding.
        DataError: The file is missing, empty, in another encoding or damaged, or of another kind than text.
    """
    content, found = read_bytes(path)
    if found != "text":
        raise DataError(
            f"expected {kind} as text, found {_NAMES[found]}, whatever its name: `gradus init` converts it ({path})"
        )
    text, _ = decode(content, path, encoding)
    table = objects.parse(text, path) if kind == "jsonl" else delimited.parse(text, path)
    if not table.rows:
        raise DataError(f"expected rows, found an empty file ({path})")
    return replace(table, path=path)
