"""Reads Excel workbooks (.xlsx, .xlsm) as tables: the values of a sheet.

Decides which sheet is read, which row is the header, and how cells become values. A formula's value is the result that
Excel has saved with it.
"""

import warnings
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

from components.data.reading.delimited import FEW, is_above, is_data, repeated
from components.data.reading.table import Table
from components.data.texts import listed
from components.errors import DataError

_MOST_EMPTY = 1000  # consecutive rows after which a sheet ends
_MOST_COLUMNS = 1000
# What openpyxl raises for damaged files, besides its own InvalidFileException (a plain Exception by name).
_DAMAGE = (
    KeyError, ValueError, TypeError, AttributeError, IndexError, OSError, EOFError, ArithmeticError, SyntaxError,
    ParseError, zipfile.BadZipFile, zlib.error, NotImplementedError,
)  # fmt: skip

# What Excel shows in a cell whose formula has no result.
_ERRORS = {
    "#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A", "#SPILL!", "#CALC!", "#FIELD!", "#BLOCKED!",
    "#CONNECT!", "#UNKNOWN!", "#BUSY!", "#PYTHON!", "#EXTERNAL!", "#TIMEOUT!", "#GETTING_DATA",
}  # fmt: skip

Cells = tuple[int, list[Any]]


def parse(content: bytes, path: Path, sheet: str | None = None) -> Table:
    """The table in a sheet: the named one, else the one with the most rows.

    Raises:
        DataError: The file is damaged, has no such sheet, or has no sheet with rows.
    """
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about unknown styles and extensions, which do not affect the values
            sheets = _sheets(content)
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
    return replace(table, notes=(note, *table.notes), unsaved=_unsaved(content, chosen, table))


def _sheets(content: bytes, *, formulas: bool = False) -> dict[str, list[Cells]]:
    """The visible sheets with their rows; `formulas`: instead of their results."""
    from openpyxl import load_workbook

    book = load_workbook(BytesIO(content), read_only=True, data_only=not formulas)
    return {str(tab.title): _cells(tab) for tab in book.worksheets if tab.sheet_state == "visible"}


def _unsaved(content: bytes, sheet: str, table: Table) -> tuple[str, ...]:
    """The columns of formulas without saved results, as programs other than Excel write them."""
    empty = {name for name in table.columns if all(row[name] is None for row in table.rows)}
    if not empty:
        return ()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            written = _table(_sheets(content, formulas=True)[sheet], table.path)
        except DataError:  # formulas stand where names do
            return ()
    cells = [(name, row[name]) for row in written.rows for name in empty if name in row]
    return tuple(sorted({name for name, cell in cells if isinstance(cell, str) and cell.startswith("=")}))


def _cells(sheet: Any) -> list[Cells]:
    """The non-empty rows, with their numbers."""
    sheet.reset_dimensions()  # a file's claim about its size is often wrong
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
    """A cell's value for JSON; None for a formula's error."""
    if isinstance(cell, str):
        return None if not cell.strip() or cell.strip() in _ERRORS else cell
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
    """The rows below the header: the first row with at least two names that are not of groups; or all, without one."""
    texts = [_texts(cells) for _, cells in rows[: 2 * FEW]]
    start = _start(texts)
    notes = [f"skipped {start} {'row' if start == 1 else 'rows'} above the columns' names"] if start else []
    (line, head), below = rows[start], rows[start + 1 :]
    named = not is_data(texts[start], texts[start + 1 : start + 1 + FEW])
    if not named:
        head, below = [None] * len(head), rows[start:]
    elif len(kept := [row for row in below if _texts(row[1]) != texts[start]]) < len(below):
        notes.append(repeated(len(below) - len(kept), len(below)))
        below = kept
    used = [
        index for index in range(len(head)) if head[index] is not None or _any_at(index, (cells for _, cells in below))
    ]
    names: list[str] = []
    for index in used:
        name = f"column_{index + 1}" if head[index] is None else " ".join(str(head[index]).split())
        if name in names:
            raise DataError(f"expected columns of different names, found `{name}` twice ({path}:{line})")
        names.append(name)
    if not named:
        notes.append(f"the first row names no columns: they are {', '.join(names)}")
    records = [
        {name: cells[index] if index < len(cells) else None for name, index in zip(names, used, strict=True)}
        for _, cells in below
    ]
    return Table(path, tuple(names), tuple(records), tuple(number for number, _ in below), tuple(notes))


def _start(texts: list[list[str]]) -> int:
    """The index of the first row with at least two names that are not of groups of columns."""
    wide = max((_filled(cells) for cells in texts[:50]), default=0)
    start = next((index for index, cells in enumerate(texts) if _filled(cells) >= min(2, wide)), 0)
    while start < len(texts) - 2 and is_above(texts[start], texts[start + 1 : start + 1 + FEW], wide):
        start += 1
    return start


def _texts(cells: list[Any]) -> list[str]:
    """The cells as texts, "" for None, without empty ones at the end."""
    texts = ["" if cell is None else str(cell) for cell in cells]
    while texts and not texts[-1]:
        texts.pop()
    return texts


def _filled(cells: list[str]) -> int:
    return sum(bool(cell) for cell in cells)


def _any_at(index: int, rows: Iterable[list[Any]]) -> bool:
    return any(index < len(cells) and cells[index] is not None for cells in rows)
