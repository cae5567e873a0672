"""Reads delimited text (csv and its relatives) as tables.

Decides the delimiter, the quotes, the header line, and when a file is damaged. A damaged file is refused as a whole,
because it is not clear which of its rows are intact.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from components.data.reading.table import Table
from components.errors import DataError

DELIMITERS = (",", ";", "\t", "|", "^", "~", "\x1f", "\x01")
_SAMPLE_LINES, _SAMPLE_CHARACTERS = 200, 2**18
_LONG = 40  # characters from which a cell is a text rather than a column's name
_RECURS = 3  # rows with a cell of the first line, from which that is no name
_MOST_CELL = 2**31 - 1
FEW = 500  # rows that tell a header from data
_WHOLE_ROWS, _CUT_LINES = 10, 3  # of a truncated file


@dataclass(frozen=True)
class Dialect:
    """How cells are separated and quoted; `spaced` if blanks stand between a delimiter and the next cell."""

    delimiter: str
    quote: str | None = '"'
    escape: str | None = None
    spaced: bool = False

    def reader(self, text: str, *, strict: bool = True) -> Any:
        """The standard library's reader of a text."""
        csv.field_size_limit(_MOST_CELL)  # process-wide; long cells are not an error
        return csv.reader(
            io.StringIO(text, newline=""),
            delimiter=self.delimiter,
            quotechar=self.quote,
            quoting=csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL,
            escapechar=self.escape,
            doublequote=self.escape is None,
            skipinitialspace=self.spaced,
            strict=strict,
        )

    def read(self, text: str) -> Iterator[tuple[list[str], int]]:
        """Rows and their first lines; raises csv.Error at a damaged row."""
        reader = self.reader(text)
        line = 1
        for cells in reader:
            yield cells, line
            line = reader.line_num + 1


def parse(text: str, path: Path) -> Table:
    """The table in a text; the notes report decisions about its form.

    Raises:
        DataError: A row is damaged or has a different number of cells, or two columns have the same name.
    """
    notes: list[str] = []
    named, text, skipped = _separator_line(text)
    dialect = _dialect(text, named)
    rows = _rows(text, dialect, path, skipped, notes)
    if named or dialect.delimiter not in (",",):
        notes.append(f"cells are separated by {_spoken(dialect.delimiter)}")
    rows = _without_title(rows, notes)
    if not rows:
        return Table(path, (), (), (), tuple(notes))
    (head, line), below = rows[0], rows[1:]
    if is_data(head, [cells for cells, _ in below[:FEW]]):
        columns = tuple(f"column_{number}" for number in range(1, len(head) + 1))
        notes.append(f"the first line names no columns: they are {', '.join(columns)}")
    else:
        columns, rows = _header(head, line, path), _without_repeated(head, below, notes)
    return replace(_table(path, columns, rows, notes), pointed=dialect.delimiter == ",")


def _separator_line(text: str) -> tuple[str, str, int]:
    """The delimiter in a first line such as `sep=;`, which Excel writes, the remaining text, and the lines skipped."""
    head, end, rest = text.partition("\n")
    line = head.strip("\r").strip('"')
    if line.lower().startswith("sep=") and len(line) == 5 and end:
        return line[4], rest, 1
    return "", text, 0


def _dialect(text: str, named: str) -> Dialect:
    """The dialect of a text's first lines; its delimiter may be named."""
    sample = "\n".join(islice(text[:_SAMPLE_CHARACTERS].split("\n"), _SAMPLE_LINES))
    delimiter = named or _delimiter(sample)
    head = sample.split("\n", 1)[0].strip().split(delimiter)
    is_single = len(head) > 1 and all(len(cell) > 1 and cell[0] == cell[-1] == "'" for cell in map(str.strip, head))
    quote = "'" if is_single else '"'
    return Dialect(delimiter, quote, spaced=_is_spaced(sample, delimiter, quote))


def _is_spaced(sample: str, delimiter: str, quote: str) -> bool:
    """Whether in most lines with quotes one follows a delimiter and blanks."""
    quoted = [line for line in sample.split("\n") if quote in line]
    spaced = re.compile(f"{re.escape(delimiter)} +{quote}")
    return 2 * sum(spaced.search(line) is not None for line in quoted) > len(quoted)


def _delimiter(sample: str) -> str:
    """The delimiter with which most rows have as many cells as the first; rarer characters are preferred."""
    best, quality = ",", (0.0, False, 0)
    for delimiter in DELIMITERS:
        if delimiter in sample:
            widths = _widths(sample, delimiter)
            usual, times = Counter(widths).most_common(1)[0] if widths else (1, 0)
            header = bool(widths) and widths[0] == usual
            rare = delimiter not in ",;"
            score = (times / len(widths) + header, rare, usual) if usual > 1 else (0.0, False, 0)
            if score > quality:
                best, quality = delimiter, score
    return best


def _widths(sample: str, delimiter: str) -> list[int]:
    """The number of cells in each non-empty row."""
    dialect = Dialect(delimiter, spaced=_is_spaced(sample, delimiter, '"'))
    widths: list[int] = []
    try:
        widths.extend(len(cells) for cells in dialect.reader(sample, strict=False) if cells)
    except csv.Error:
        return widths
    return widths


def _rows(text: str, dialect: Dialect, path: Path, skipped: int, notes: list[str]) -> list[tuple[list[str], int]]:
    """All rows; if quotes are not doubled, they may be escaped, or not be quotes at all."""
    try:
        rows = [(cells, line + skipped) for cells, line in dialect.read(text) if cells]
    except csv.Error as error:
        first = error
    else:
        return _by_line(text, dialect, skipped, rows) if any(_is_merged(cells, dialect) for cells, _ in rows) else rows
    others = [replace(dialect, escape="\\")] if '\\"' in text else []
    if dialect.spaced:
        others.append(replace(dialect, spaced=False))
    if dialect.delimiter == "\t":  # texts rarely contain tabs, so tab-separated files often have no quotes
        others.append(replace(dialect, quote=None))
    for other in others:
        try:
            rows = [(cells, line + skipped) for cells, line in other.read(text) if cells]
        except csv.Error:
            continue
        if len(rows) > 1 and len(rows[0][0]) > 1 and len({len(cells) for cells, _ in rows}) == 1:
            return rows
    rows, line = _whole_rows(text, dialect, skipped)
    if "end of data" in str(first):
        if len(rows) >= _WHOLE_ROWS and text.count("\n", 0, len(text.rstrip())) + 1 + skipped - line < _CUT_LINES:
            notes.append(f"the last row, at line {line}, is cut off and left out")
            return rows
        raise DataError(
            f"expected csv, found a row that is not: its quotes are never closed ({path}:{line})"
        ) from first
    raise DataError(f"expected csv, found a row that is not: {first} ({path}:{line})") from first


def _is_merged(cells: list[str], dialect: Dialect) -> bool:
    """Whether a cell looks like the end of one row, a line break and the beginning of the next."""
    return any("\n" in cell and dialect.delimiter in cell for cell in cells)


def _by_line(
    text: str, dialect: Dialect, skipped: int, quoted: list[tuple[list[str], int]]
) -> list[tuple[list[str], int]]:
    """A row per line, with quotes as text, if all lines have the same number of cells; else the quoted rows.

    Where the quoted rows have that number too, they stay unless lines that they join read like rows: texts with a line
    break and a delimiter are common, those with a tab are not.
    """
    rows = [(cells, line + skipped) for cells, line in replace(dialect, quote=None).read(text) if cells]
    by_line, by_quotes = ({len(cells) for cells, _ in some} for some in (rows, quoted))
    if len(by_line) != 1 or (by_line == by_quotes and dialect.delimiter != "\t" and not _are_rows(rows, quoted)):
        return quoted
    return rows


def _are_rows(rows: list[tuple[list[str], int]], quoted: list[tuple[list[str], int]]) -> bool:
    """Whether lines that quotes would join have a known value in every column whose values recur, such as labels."""
    whole = [(cells, line) for cells, line in quoted if not any("\n" in cell for cell in cells)]
    lines = {line for _, line in whole}
    columns = enumerate(zip(*(cells for cells, _ in whole), strict=True))
    known = {index: set(column) - {""} for index, column in columns if 2 * len(set(column)) <= len(column)}
    joined = [cells for cells, line in rows if line not in lines]
    return bool(known) and all(cells[index] in values for cells in joined for index, values in known.items())


def _whole_rows(text: str, dialect: Dialect, skipped: int) -> tuple[list[tuple[list[str], int]], int]:
    """The rows before the first damaged one, and that one's line."""
    rows: list[tuple[list[str], int]] = []
    reader = dialect.reader(text)
    line = 1
    with suppress(csv.Error):
        for cells in reader:
            if cells:
                rows.append((cells, line + skipped))
            line = reader.line_num + 1
    return rows, line + skipped


def _without_title(rows: list[tuple[list[str], int]], notes: list[str]) -> list[tuple[list[str], int]]:
    """The rows from the header on, without a title, comments and groups of columns above it."""
    widths = Counter(len(cells) for cells, _ in rows)
    usual = widths.most_common(1)[0][0] if rows else 0
    start = 0
    while usual > 1 and start < min(10, len(rows) - 2):
        cells = rows[start][0]
        is_title = _filled(cells) <= 1 and len(cells) <= usual
        if not is_title and not is_above(cells, [below for below, _ in rows[start + 1 : start + 1 + FEW]], usual):
            break
        start += 1
    if start and _filled(rows[start][0]) > 1:
        notes.append(f"skipped {start} {'line' if start == 1 else 'lines'} above the columns' names")
        return rows[start:]
    return rows


def _filled(cells: Sequence[str]) -> int:
    return sum(bool(cell.strip()) for cell in cells)


def is_above(cells: Sequence[str], below: Sequence[Sequence[str]], usual: int) -> bool:
    """Whether a row of several cells is a comment, or names groups of columns, above the row with their names.

    A comment begins with `#` and has commas; groups have empty cells where the names below have none. `usual` is the
    number of cells that most rows have.
    """
    first = cells[0].strip() if cells else ""
    is_comment = first.startswith("#") and " " in first
    if is_comment and len(cells) > usual:
        return True
    if not below or not (is_comment or 1 < _filled(cells) < _filled(below[0])):
        return False
    return len(cells) <= len(below[0]) and _are_names(below[0], below[1:])


def _are_names(cells: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether cells are names of the columns `below`: short, with letters, no values there, and a column tells."""
    names = {index: cell for index, cell in enumerate(cells) if cell.strip()}
    columns = {index: [row[index] for row in below if len(row) > index and row[index].strip()] for index in names}
    return all(_is_name(cell) and cell not in columns[index] for index, cell in names.items()) and any(
        _tells(column) for column in columns.values()
    )


def _is_name(cell: str) -> bool:
    return len(cell) <= _LONG and any(character.isalpha() for character in cell)


def _tells(column: Sequence[str]) -> bool:
    """Whether a column's values tell a name from them: most recur, such as labels, or are long texts."""
    if len(column) < _RECURS:
        return False
    return 2 * len(set(column)) <= len(column) or 2 * sum(len(cell) > _LONG for cell in column) > len(column)


def is_data(head: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether the first row is data, not a header: a cell is a text, and one is a value that recurs in its column.

    A text is long with blanks, or has a blank or ends a sentence, as most of its column do, and is not much shorter
    than they are; in the latter case the value stands beside it and recurs in some rows.
    """
    if len(below) < _RECURS or len(head) < 2:
        return False
    others = [cells for cells in below if list(cells) != list(head)]  # a header that is repeated is one
    times = [sum(len(cells) > index and cells[index] == cell for cells in others) for index, cell in enumerate(head)]
    if any(len(cell) > _LONG and " " in cell.strip() for cell in head):
        return any(cell.strip() and count for cell, count in zip(head, times, strict=True))
    columns = [[cells[index] for cells in others if len(cells) > index] for index in range(len(head))]
    texts = {index for index, column in enumerate(columns) if _is_among(head[index], column)}
    return any(head[index].strip() and times[index] >= _RECURS and texts - {index} for index in range(len(head)))


def _is_among(cell: str, column: Sequence[str]) -> bool:
    """Whether a cell is a text among texts, rather than the short name of their column."""
    is_long = column and 2 * len(cell) >= sorted(map(len, column))[len(column) // 2]
    return _is_text(cell) and bool(is_long) and 2 * sum(map(_is_text, column)) > len(column)


def _is_text(cell: str) -> bool:
    return any(sign in cell.strip() for sign in (" ", "?", "!"))


def _without_repeated(
    head: Sequence[str], rows: list[tuple[list[str], int]], notes: list[str]
) -> list[tuple[list[str], int]]:
    """The rows except those that are the header again, as where files were put one after the other."""
    names = [cell.strip() for cell in head]
    kept = [row for row in rows if row[0][0].strip() != names[0] or [cell.strip() for cell in row[0]] != names]
    if len(kept) < len(rows):
        notes.append(repeated(len(rows) - len(kept), len(rows)))
    return kept


def repeated(times: int, n: int) -> str:
    """The note on rows that are the header again."""
    return f"{times:,} of {n:,} rows are left out: they repeat the columns' names"


def _header(cells: list[str], line: int, path: Path) -> tuple[str, ...]:
    """The columns' names; unnamed ones are called `column_N`."""
    columns = tuple(cell.strip() for cell in cells)
    for column in columns:
        if column and columns.count(column) > 1:
            raise DataError(f"expected columns of different names, found `{column}` twice ({path}:{line})")
    return tuple(column or _unnamed(number, columns) for number, column in enumerate(columns, start=1))


def _unnamed(number: int, columns: tuple[str, ...]) -> str:
    name = f"column_{number}"
    while name in columns:
        name += "_"
    return name


def _table(path: Path, columns: tuple[str, ...], rows: list[tuple[list[str], int]], notes: list[str]) -> Table:
    """The rows by column, without columns that have neither name nor content."""
    width = len(columns)
    records: list[dict[str, Any]] = []
    lines: list[int] = []
    for cells, line in rows:
        if len(cells) > width and not any(cell.strip() for cell in cells[width:]):
            cells = cells[:width]  # noqa: PLW2901 - extra delimiters at the end of a line are harmless
        if len(cells) != width:
            if not _filled(cells):
                continue
            raise DataError(f"expected {width} cells, found {len(cells)} ({path}:{line})")
        records.append(dict(zip(columns, cells, strict=True)))
        lines.append(line)
    empty = [name for name in columns if name.startswith("column_") and not any(row[name].strip() for row in records)]
    if records and empty and len(empty) < width:
        records = [{name: cell for name, cell in row.items() if name not in empty} for row in records]
        columns = tuple(name for name in columns if name not in empty)
    return Table(path, columns, tuple(records), tuple(lines), tuple(notes))


def _spoken(delimiter: str) -> str:
    return {"\t": "tabs", "\x1f": "unit separators", "\x01": "the character 1"}.get(delimiter, f"`{delimiter}`")
