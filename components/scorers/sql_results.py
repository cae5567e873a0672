"""When two queries return the same rows: in order if the reference orders them, else in any order.

The names of columns are ignored, their order is not; fractions are equal within a tolerance, whole numbers only where
they are equal, and 1 equals 1.0. Rows that tie in the reference's order may come in any order among themselves.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from numbers import Number
from typing import Any

from components.scorers.matching import close

Row = tuple[Any, ...]
MOST_COMPARED = 200_000  # pairs of rows, if every row has to be compared with every other


@dataclass(frozen=True)
class Expected:
    """A reference's rows, in ordered blocks; within a block, order is irrelevant."""

    blocks: tuple[tuple[Row, ...], ...]

    @classmethod
    def unordered(cls, rows: Sequence[Row]) -> "Expected":
        return cls((tuple(rows),))

    @classmethod
    def ordered(cls, rows: Sequence[Row]) -> "Expected":
        return cls(tuple((row,) for row in rows))

    @classmethod
    def tied(cls, rows: Sequence[Row], keys: Sequence[Row]) -> "Expected":
        """From rows, and for each of them what it is ordered by."""
        ties = groupby(zip(rows, keys, strict=True), key=lambda pair: pair[1])
        return cls(tuple(tuple(row for row, _ in tie) for _, tie in ties))

    @property
    def rows(self) -> int:
        return sum(map(len, self.blocks))

    def equals(self, rows: Sequence[Row], tolerance: float) -> bool:
        """Whether these rows equal the expected ones."""
        if len(rows) != self.rows:
            return False
        start = 0
        for block in self.blocks:
            if not _same(block, rows[start : start + len(block)], tolerance):
                return False
            start += len(block)
        return True


@lru_cache(maxsize=4096)
def orders(query: str, dialect: str) -> bool:
    """Whether a query has an ORDER BY at its top level."""
    return "order" in query.lower() and (tree := _parsed(query, dialect)) is not None and bool(tree.args.get("order"))


@lru_cache(maxsize=4096)
def own_keys(query: str, dialect: str, columns: int) -> tuple[int, ...] | None:
    """Which of its `columns` columns a query with an ORDER BY is ordered by; None if not by them alone."""
    from sqlglot import exp

    tree = _parsed(query, dialect)
    if not isinstance(tree, exp.Query):
        return None
    # A star stands for several columns; of an outer join USING a column, its name alone and with a table are not equal.
    named = len(tree.selects) == columns and not any(map(_joins_outer_by_name, tree.find_all(exp.Join)))
    selected = tree.selects if named else []
    places = [_place(term.this, selected) for term in tree.args["order"].expressions]
    return tuple(place for place in places if place is not None) if None not in places else None


def _joins_outer_by_name(join: Any) -> bool:
    return bool(join.side and (join.args.get("using") or join.method == "NATURAL"))


def _place(key: Any, selected: Sequence[Any]) -> int | None:
    """The place of the selected column that a term of ORDER BY is; None if it is none, or not clear which."""
    from sqlglot import exp

    if isinstance(key, exp.Literal):
        return int(key.name) - 1 if key.is_int else None
    named = [place for place, column in enumerate(selected) if _is_named(column, key)]
    places = named or [place for place, column in enumerate(selected) if _computes(column.unalias(), key)]
    return places[0] if len(places) == 1 else None


def _is_named(column: Any, key: Any) -> bool:
    """Whether a term of ORDER BY is the alias of a selected column."""
    from sqlglot import exp

    return isinstance(key, exp.Column) and not key.table and column.alias.lower() == key.name.lower()


def _computes(column: Any, key: Any) -> bool:
    """Whether a selected column has the values of a term of ORDER BY, if only one of both may name a column's table."""
    from sqlglot import exp

    if not isinstance(column, exp.Column) or not isinstance(key, exp.Column):
        return column == key
    tables = {column.table.lower(), key.table.lower()} - {""}
    return column.name.lower() == key.name.lower() and len(tables) < 2


@lru_cache(maxsize=4096)
def with_keys(query: str, dialect: str) -> tuple[str, int] | None:
    """The query with its ordering keys as additional columns, and their number; None if they cannot be determined."""
    from sqlglot import exp

    tree = _parsed(query, dialect)
    if not isinstance(tree, exp.Select) or tree.args.get("distinct"):
        return None
    named = {column.alias: column.unalias() for column in tree.selects if isinstance(column, exp.Alias)}
    keys = [_key(column.this, tree, named) for column in tree.args["order"].expressions]
    plain_keys = [key for key in keys if key is not None]
    return (tree.select(*plain_keys).sql(dialect=dialect), len(keys)) if len(plain_keys) == len(keys) else None


def _key(ordered: Any, tree: Any, named: dict[str, Any]) -> Any:
    """A term of ORDER BY as an expression over the tables; None if it is too complex."""
    from sqlglot import exp

    if isinstance(ordered, exp.Literal):
        place = int(ordered.name) if ordered.is_int else 0
        return tree.selects[place - 1].unalias().copy() if 0 < place <= len(tree.selects) else None
    if isinstance(ordered, exp.Column) and not ordered.table and ordered.name in named:
        return named[ordered.name].copy()
    if any(column.name in named for column in ordered.find_all(exp.Column)):
        return None
    return ordered.copy()


@lru_cache(maxsize=4096)
def _parsed(query: str, dialect: str) -> Any:
    """A query's syntax tree; None if sqlglot cannot parse it, even if the engine can."""
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        return sqlglot.parse_one(query, dialect=dialect)
    except (SqlglotError, RecursionError):
        return None


def _same(expected: Sequence[Row], others: Sequence[Row], tolerance: float) -> bool:
    """Whether two lists of equal length have the same rows in some order."""
    if len(expected) == 1:
        return _equal(expected[0], others[0], tolerance)
    left, right = Counter(expected), Counter(others)
    if left == right:
        return True
    # Rows with the same other cells, which can differ only in numbers.
    missing, odd = _by_words((left - right).elements()), _by_words((right - left).elements())
    if missing.keys() != odd.keys():
        return False
    each = sum(len(rows) ** 2 for rows in missing.values()) <= MOST_COMPARED
    return all(_matched(rows, odd[words], tolerance, each) for words, rows in missing.items())


def _by_words(rows: Iterator[Row]) -> dict[Row, list[Row]]:
    groups: dict[Row, list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(... if isinstance(cell, Number) else cell for cell in row)].append(row)
    return groups


def _matched(expected: list[Row], rows: list[Row], tolerance: float, each: bool) -> bool:
    """Whether rows that differ only in numbers can be paired: in sorted order or, with `each`, in any way."""
    if len(expected) != len(rows):
        return False
    first, second = sorted(expected, key=_numbers), sorted(rows, key=_numbers)
    if all(_equal(row, other, tolerance) for row, other in zip(first, second, strict=True)):
        return True
    if not each:
        return False
    for row in first:
        index = next((index for index, other in enumerate(second) if _equal(row, other, tolerance)), None)
        if index is None:
            return False
        del second[index]
    return True


def _numbers(row: Row) -> list[Any]:
    return [cell for cell in row if isinstance(cell, Number)]


def _equal(expected: Row, row: Row, tolerance: float) -> bool:
    return len(expected) == len(row) and all(
        cell == other or (isinstance(cell, Number) and isinstance(other, Number) and close(cell, other, tolerance))
        for cell, other in zip(expected, row, strict=True)
    )
