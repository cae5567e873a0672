"""Conditions on customers, products, orders or reviews: their wordings, and their SQL."""

import calendar
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from components.workloads.text2sql.queries import Part
from components.workloads.text2sql.shop import CATEGORIES, CITIES, PRICES, STATUSES, STOCKS, draw_day

COMPARISONS: dict[str, tuple[str, ...]] = {
    ">": ("more than {n}", "over {n}", "above {n}"),
    "<": ("less than {n}", "under {n}", "below {n}", "fewer than {n}"),
    ">=": ("at least {n}", "{n} or more", "no less than {n}", "a minimum of {n}"),
    "<=": ("at most {n}", "{n} or less", "no more than {n}", "a maximum of {n}"),
    "=": ("exactly {n}",),
}
COMPARISON_WEIGHTS = (10, 10, 3, 3, 2)
DAY_COMPARISONS: dict[str, tuple[str, ...]] = {
    ">": ("after {d}", "later than {d}"),
    "<": ("before {d}", "earlier than {d}"),
    ">=": ("since {d}", "from {d} on", "on {d} or later"),
    "<=": ("up to and including {d}", "on {d} or earlier", "no later than {d}"),
    "=": ("on {d}",),
}
DAY_WEIGHTS = (5, 5, 2, 2, 2)
STRICT = {">=": ">", "<=": "<"}


@dataclass(frozen=True)
class Condition:
    """The wordings, which follow the noun, and the SQL."""

    words: tuple[str, ...]
    part: Part


Draw = Callable[[random.Random], Condition]


def compared(column: str, frames: tuple[str, ...], numbers: range) -> Draw:
    """Conditions on a number; `{n}` in a frame stands for the comparison."""

    def draw(rng: random.Random) -> Condition:
        sign = rng.choices(tuple(COMPARISONS), COMPARISON_WEIGHTS)[0]
        number = rng.choice(numbers)
        wordings = tuple(frame.format(n=words.format(n=number)) for frame in frames for words in COMPARISONS[sign])
        return Condition(wordings, _bounded(column, sign, str(number)))

    return draw


def dated(column: str, frames: tuple[str, ...]) -> Draw:
    """Conditions on a day or a month; `{d}` in a frame stands for it."""

    def draw(rng: random.Random) -> Condition:
        day = draw_day(rng)
        if rng.random() < 0.15:
            return _in_month(column, frames, day)
        sign = rng.choices(tuple(DAY_COMPARISONS), DAY_WEIGHTS)[0]
        days = written_days(day)
        wordings = tuple(f.format(d=words.format(d=d)) for f in frames for words in DAY_COMPARISONS[sign] for d in days)
        return Condition(wordings, Part(f"{column} {sign} '{day}'"))

    return draw


def written_days(day: date) -> tuple[str, ...]:
    """The unambiguous notations of a day."""
    month = calendar.month_name[day.month]
    return (f"{day.day} {month} {day.year}", f"{month} {day.day}, {day.year}", f"{day.day} {month[:3]} {day.year}",
            day.isoformat())  # fmt: skip


def _in_month(column: str, frames: tuple[str, ...], day: date) -> Condition:
    month, first = calendar.month_name[day.month], day.replace(day=1)
    last = day.replace(day=calendar.monthrange(day.year, day.month)[1])
    following = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    words = tuple(f.format(d=f"{how} {name}") for f in frames for how in ("in", "during")
                 for name in (f"{month} {day.year}", f"{month[:3]} {day.year}"))  # fmt: skip
    begin = f"{column} between '{first}' and "
    return Condition(words, Part(f"{begin}'{last}'", "month_end", f"{begin}'{following}'"))


def _bounded(column: str, sign: str, value: str) -> Part:
    """A comparison; the slip makes an inclusive one exclusive."""
    sql = f"{column} {sign} {value}"
    return Part(sql, "bound", f"{column} {STRICT[sign]} {value}") if sign in STRICT else Part(sql)


def _named(column: str, frames: tuple[str, ...], values: tuple[str, ...]) -> Draw:
    def draw(rng: random.Random) -> Condition:
        value = rng.choice(values)
        return Condition(tuple(frame.format(v=value) for frame in frames), Part(f"{column} = '{value}'"))

    return draw


CITY = _named("city", ("from {v}", "in {v}", "living in {v}", "based in {v}"), CITIES)
CATEGORY = _named("category", ("in the category {v}", "in {v}", "of the category {v}", "from our {v}"), CATEGORIES)
STATUS = _named("status", ("with status {v}", "that are {v}", "marked {v}", "whose status is {v}"), STATUSES)
PRICE = compared("price", ("that cost {n} euros", "priced at {n}", "with a price of {n}", "costing {n}"), PRICES)
STOCK = compared("stock", ("with {n} in stock", "of which {n} are left", "with a stock of {n}"), STOCKS)
STARS = compared("stars", ("with {n} stars", "that gave {n} stars", "rated {n} stars"), range(1, 6))
JOINED = dated("joined", ("who joined {d}", "who signed up {d}", "registered {d}", "new {d}"))
ORDERED = dated("ordered", ("placed {d}", "that came in {d}", "made {d}", "ordered {d}"))
WRITTEN = dated("written", ("written {d}", "that we got {d}", "posted {d}"))

OF: dict[str, tuple[Draw, ...]] = {
    "customers": (CITY, JOINED),
    "products": (CATEGORY, PRICE, STOCK),
    "orders": (STATUS, ORDERED),
    "reviews": (STARS, WRITTEN),
}


def draw_conditions(rng: random.Random, table: str, n: int) -> tuple[Condition, ...]:
    """Draw `n` conditions on a table's rows, each on a different column."""
    return tuple(draw(rng) for draw in rng.sample(OF[table], min(n, len(OF[table]))))
