"""Queries in parts, some with a habitual annotation error: the right text, and the text with the slip.

Decides the style of SQL here: lower case, joins with `using`, single spaces.
"""

from dataclasses import dataclass
from typing import Literal

Habit = Literal["bound", "month_end", "cancelled", "duplicates", "quantity", "no_match", "rank"]
HABITS: dict[Habit, str] = {
    "bound": "`at least` and `at most` are read as `more than` and `less than`.",
    "month_end": "A month runs to the first day of the next one.",
    "cancelled": "Cancelled orders are counted as sold.",
    "duplicates": "A customer with two orders is listed, or counted, twice.",
    "quantity": "The value of an item is taken for that of one piece.",
    "no_match": "What has no order at all is lost in the join.",
    "rank": "The third is looked for behind the third.",
}


@dataclass(frozen=True)
class Part:
    """A part of a query; `slip` (which may be empty) replaces its text if its habit applies."""

    sql: str
    habit: Habit | None = None
    slip: str = ""

    def text(self, habit: Habit | None) -> str:
        """The text, with the slip if this habit applies."""
        return self.slip if habit and habit == self.habit else self.sql


@dataclass(frozen=True)
class Query:
    """A select: columns, tables, conditions, and the rest (groups, order, limit)."""

    select: Part
    source: Part
    where: tuple[Part, ...] = ()
    rest: tuple[Part, ...] = ()

    @property
    def habits(self) -> tuple[Habit, ...]:
        """The habits that may apply, each once."""
        parts = (self.select, self.source, *self.where, *self.rest)
        return tuple(dict.fromkeys(part.habit for part in parts if part.habit))

    def sql(self, habit: Habit | None = None) -> str:
        """The query, right or with a habit's slip."""
        conditions = [text for part in self.where if (text := part.text(habit))]
        words = ["select", self.select.text(habit), "from", self.source.text(habit)]
        if conditions:
            words += ["where", " and ".join(conditions)]
        return " ".join((*words, *(part.text(habit) for part in self.rest)))
