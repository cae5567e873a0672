"""Excel workbooks (.xlsx, .xlsm) as tables: the values of one sheet.

Decides which sheet is read, which row names the columns, and how cells become values. Formulas count by the result
that Excel saved with them.
"""

import warnings
import zipfile
import zlib
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from components.data.reading.table import Table
from components.data.texts import listed
from components.errors import DataError

_MOST_EMPTY = 1000  # rows one behind the other, after which a sheet is over
_MOST_COLUMNS = 1000
# What openpyxl raises on files that are damaged, beside its own InvalidFileException (a plain Exception by name).
_DAMAGE = (
    KeyError, ValueError, TypeError, AttributeError, IndexError, OSError, EOFError, ArithmeticError, SyntaxError,
    ParseError, zipfile.BadZipFile, zlib.error, NotImplementedError,
)  # fmt: skip

Cells = tuple[int, list[Any]]


def parse(content: bytes, path: Path, sheet: str | None = None) -> Table:
    """The table of a sheet: the named one, else the one with the most rows.

    Raises:
        DataError: The file is damaged, or has no such sheet, or none with rows.
    """
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # styles and extensions that it does not know say nothing of the values
            book = load_workbook(BytesIO(content), read_only=True, data_only=True)
            sheets = {str(one.title): _cells(one) for one in book.worksheets if one.sheet_state == "visible"}
    except (*_DAMAGE, InvalidFileException) as error:
        raise DataError(f"expected a workbook that opens, found a damaged one: {str(error)[:100]} ({path})") from error
    if sheet is not None and sheet not in sheets:
        raise DataError(f"expected a sheet `{sheet}`, found {listed(list(sheets)) or 'none'} ({path})")
    filled = {name: rows for name, rows in sheets.items() if len(rows) > 1}
    if not filled:
        raise DataError(f"expected rows, found no sheet with more than one ({path})")
    chosen = sheet or max(filled, key=lambda name: len(filled[name]))
    table = _table(sheets[chosen], path)
    others = [name for name in filled if name != chosen]
    note = f"read the sheet `{chosen}`" + (f", not {listed(others)}" if others else "")
    return Table(path, table.columns, table.rows, table.lines, (note, *table.notes))


def _cells(sheet: Any) -> list[Cells]:
    """The rows that hold something, with their numbers."""
    sheet.reset_dimensions()  # what a file says of its size is often wrong
    rows: list[Cells] = []
    empty = 0
    for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
        values = [_value(cell) for cell in cells[:_MOST_COLUMNS]]
        if any(value is not None for value in values):
            rows.append((number, values))
            empty = 0
        elif (empty := empty + 1) > _MOST_EMPTY:
            break
    return rows


def _value(cell: Any) -> Any:
    """A cell as JSON has it; an error of a formula is nothing."""
    if isinstance(cell, str):
        return None if not cell.strip() or (cell.startswith("#") and cell.endswith(("!", "?", "/A"))) else cell
    if isinstance(cell, datetime):
        return cell.date().isoformat() if cell.time() == time() else cell.isoformat(sep=" ")
    if isinstance(cell, date | time):
        return cell.isoformat()
    if isinstance(cell, timedelta):
        return str(cell)
    if isinstance(cell, float):
        return int(cell) if cell.is_integer() and abs(cell) < 2**53 else cell
    return cell if cell is None or isinstance(cell, bool | int) else str(cell)


def _table(rows: list[Cells], path: Path) -> Table:
    """The rows below the first that names at least two columns."""
    wide = max((_filled(cells) for _, cells in rows[:50]), default=0)
    start = next((at for at, (_, cells) in enumerate(rows) if _filled(cells) >= min(2, wide)), 0)
    notes = (f"skipped {start} {'row' if start == 1 else 'rows'} above the columns' names",) if start else ()
    head = rows[start][1]
    places = [
        at for at in range(len(head)) if head[at] is not None or _any_at(at, (cells for _, cells in rows[start + 1 :]))
    ]
    names: list[str] = []
    for at in places:
        name = f"column_{at + 1}" if head[at] is None else " ".join(str(head[at]).split())
        if name in names:
            raise DataError(f"expected columns of different names, found `{name}` twice ({path}:{rows[start][0]})")
        names.append(name)
    kept = [
        {name: cells[at] if at < len(cells) else None for name, at in zip(names, places, strict=True)}
        for _, cells in rows[start + 1 :]
    ]
    return Table(path, tuple(names), tuple(kept), tuple(number for number, _ in rows[start + 1 :]), notes)


def _filled(cells: list[Any]) -> int:
    return sum(cell is not None for cell in cells)


def _any_at(at: int, rows: Iterable[list[Any]]) -> bool:
    return any(at < len(cells) and cells[at] is not None for cells in rows)
