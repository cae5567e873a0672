"""When two queries return the same: rows in the reference's order where it orders, in any order otherwise.

Names of columns do not count, their order does; numbers are equal within a tolerance, and 1 equals 1.0. Rows that tie
in the reference's order may come in any order among themselves.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from numbers import Number
from typing import Any

Row = tuple[Any, ...]
MOST_COMPARED = 200_000  # pairs of rows, where rows have to be matched each with each


@dataclass(frozen=True)
class Expected:
    """A reference's rows, in blocks whose order counts; within a block it does not."""

    blocks: tuple[tuple[Row, ...], ...]

    @classmethod
    def unordered(cls, rows: Sequence[Row]) -> "Expected":
        return cls((tuple(rows),))

    @classmethod
    def ordered(cls, rows: Sequence[Row]) -> "Expected":
        return cls(tuple((row,) for row in rows))

    @classmethod
    def tied(cls, rows: Sequence[Row], keys: int) -> "Expected":
        """From rows that end in so many columns by which they are ordered."""
        return cls(tuple(tuple(row[:-keys] for row in tie) for _, tie in groupby(rows, key=lambda row: row[-keys:])))

    @property
    def rows(self) -> int:
        return sum(map(len, self.blocks))

    def equals(self, found: Sequence[Row], tolerance: float) -> bool:
        """Whether these rows are as expected."""
        if len(found) != self.rows:
            return False
        start = 0
        for block in self.blocks:
            if not _same(block, found[start : start + len(block)], tolerance):
                return False
            start += len(block)
        return True


@lru_cache(maxsize=4096)
def orders(query: str, dialect: str) -> bool:
    """Whether the rows of a query come in an order that it asks for."""
    return "order" in query.lower() and (tree := _parsed(query, dialect)) is not None and bool(tree.args.get("order"))


@lru_cache(maxsize=4096)
def with_keys(query: str, dialect: str) -> tuple[str, int] | None:
    """The query with what it orders by as further columns, and their number; None where that cannot be said."""
    from sqlglot import exp

    tree = _parsed(query, dialect)
    if not isinstance(tree, exp.Select) or tree.args.get("distinct"):
        return None
    named = {one.alias: one.unalias() for one in tree.selects if isinstance(one, exp.Alias)}
    keys = [_key(one.this, tree, named) for one in tree.args["order"].expressions]
    known = [key for key in keys if key is not None]
    return (tree.select(*known).sql(dialect=dialect), len(keys)) if len(known) == len(keys) else None


def _key(ordered: Any, tree: Any, named: dict[str, Any]) -> Any:
    """What one term of ORDER BY stands for, as an expression over the tables; None where it is not plain."""
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
    """The tree of a query; None where sqlglot does not read it: the engine may still."""
    import sqlglot
    from sqlglot.errors import SqlglotError

    try:
        return sqlglot.parse_one(query, dialect=dialect)
    except (SqlglotError, RecursionError):
        return None


def _same(expected: Sequence[Row], found: Sequence[Row], tolerance: float) -> bool:
    """Whether equally many rows are the same in some order."""
    if len(expected) == 1:
        return _equal(expected[0], found[0], tolerance)
    left, right = Counter(expected), Counter(found)
    if left == right:
        return True
    # What numbers alone can differ in: rows with the same other cells.
    missing, odd = _by_words((left - right).elements()), _by_words((right - left).elements())
    if missing.keys() != odd.keys():
        return False
    each = sum(len(rows) ** 2 for rows in missing.values()) <= MOST_COMPARED
    return all(_matched(rows, odd[words], tolerance, each) for words, rows in missing.items())


def _by_words(rows: Iterator[Row]) -> dict[Row, list[Row]]:
    found: dict[Row, list[Row]] = defaultdict(list)
    for row in rows:
        found[tuple(... if isinstance(cell, Number) else cell for cell in row)].append(row)
    return found


def _matched(expected: list[Row], found: list[Row], tolerance: float, each: bool) -> bool:
    """Whether rows that differ in numbers alone can be paired: by their order, else `each` with each."""
    if len(expected) != len(found):
        return False
    first, second = sorted(expected, key=_numbers), sorted(found, key=_numbers)
    if all(_equal(one, other, tolerance) for one, other in zip(first, second, strict=True)):
        return True
    if not each:
        return False
    for one in first:
        place = next((place for place, other in enumerate(second) if _equal(one, other, tolerance)), None)
        if place is None:
            return False
        del second[place]
    return True


def _numbers(row: Row) -> list[Any]:
    return [cell for cell in row if isinstance(cell, Number)]


def _equal(expected: Row, found: Row, tolerance: float) -> bool:
    return len(expected) == len(found) and all(
        one == other or (isinstance(one, Number) and isinstance(other, Number) and _close(one, other, tolerance))
        for one, other in zip(expected, found, strict=True)
    )


def _close(one: Any, other: Any, tolerance: float) -> bool:
    """Whether two numbers are the same, as floats; not a number equals itself."""
    one, other = float(one), float(other)
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance) or (math.isnan(one) and math.isnan(other))
