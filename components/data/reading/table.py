"""The common result of all readers: rows of cells with their lines."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a file: `rows[i]` starts at line `lines[i]`; cells of csv files are text, "" if empty.

    `notes` are sentences about decisions on the file's form; `unsaved` are columns of formulas whose results the
    workbook lacks. `pointed`: commas part the cells, so that decimals stand behind a point.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]
    lines: tuple[int, ...]
    notes: tuple[str, ...] = ()
    unsaved: tuple[str, ...] = ()
    pointed: bool = False
