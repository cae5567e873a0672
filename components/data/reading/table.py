"""What all formats are read into: rows of cells with the line that each starts at."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one file: `rows[i]` starts at line `lines[i]`; cells of csv files are text, "" where empty.

    `notes` say in sentences what was decided about the file's form.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[dict[str, Any], ...]
    lines: tuple[int, ...]
    notes: tuple[str, ...] = ()
