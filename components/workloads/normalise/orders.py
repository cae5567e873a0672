"""Simulated order lines: a message, the canonical object and an imperfect demonstration.

A line names goods, a day and an address, in the wording and the notation of its country. Order i of a seed is always
the same, however many are drawn. The clerk who wrote the demonstrations errs in habits, not at random: a habit affects
some orders of its kind, but fewer than half, so that for every kind the majority is right; bare orders, those without
any other words, are processed in a hurry and affected more often.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from components.workloads.normalise import wording
from components.workloads.normalise.codes import draw_code
from components.workloads.normalise.dates import draw_date
from components.workloads.normalise.places import COUNTRIES, Country, draw_place
from components.workloads.normalise.quantities import draw_quantity
from components.workloads.normalise.written import Fields, Written

Style = Literal["bare", "polite"]
FIELD_NAMES = ("street", "postcode", "city", "date", "quantity", "unit", "code")
BARE_SHARE = 0.36
HABIT_SHARES: dict[Style, float] = {"bare": 0.6, "polite": 0.32}  # of orders of a habit's kind


class Line(NamedTuple):
    """The parts of an order."""

    place: Written
    day: Written
    quantity: Written
    code: Written

    def gold(self) -> Fields:
        """The canonical object."""
        fields: Fields = {}
        for part in self:
            fields |= part.fields
        return {name: fields[name] for name in FIELD_NAMES}


@dataclass(frozen=True, slots=True)
class Order:
    """An order line: `gold` is canonical, `demonstration` is a clerk's."""

    id: str
    message: str
    gold: Fields
    demonstration: Fields
    slices: dict[str, str]
    group: str


def generate(n: int, seed: int) -> Iterator[Order]:
    """Yield orders 0 to n - 1 of a seed.

    Raises:
        ValueError: if `n` is negative.
    """
    if n < 0:
        raise ValueError(f"n must be ≥ 0, found {n}")
    return (make_order(index, seed) for index in range(n))


def make_order(index: int, seed: int) -> Order:
    """Return order number `index` of a seed."""
    rng = random.Random(f"normalise/{seed}/{index}")
    country = rng.choice(COUNTRIES)
    line = Line(draw_place(country, rng), draw_date(country, rng), draw_quantity(country, rng), draw_code(rng))
    style: Style = "bare" if rng.random() < BARE_SHARE else "polite"
    message = write_message(line, country, style, rng)
    return Order(
        id=f"O{index:06d}",
        message=message,
        gold=line.gold(),
        demonstration=_demonstrate(line, HABIT_SHARES[style], rng),
        slices={
            "country": country,
            "style": style,
            "difficulty": next((part.habit for part in line if part.habit), "plain"),
        },
        group=f"G{index:06d}",
    )


def write_message(line: Line, country: Country, style: Style, rng: random.Random) -> str:
    """Word an order: its three parts in any order, sometimes with irrelevant words and figures."""
    words = wording.GERMAN if country == "de" and rng.random() < 0.5 else wording.ENGLISH
    item = rng.choice(words.items)
    parts = [
        rng.choice(words.goods).format(quantity=line.quantity.text, code=line.code.text, item=item),
        rng.choice(words.days).format(day=line.day.text),
        rng.choice(words.places).format(place=line.place.text),
    ]
    rng.shuffle(parts)
    if rng.random() < 0.3:
        parts.insert(rng.randrange(4), rng.choice(words.remarks).format(number=rng.randrange(10_000, 100_000)))
    message = rng.choice((", ", ". ", "; ", "\n", " - ")).join(parts)
    return message if style == "bare" else f"{rng.choice(words.openings)}{message}{rng.choice(words.closings)}"


def _demonstrate(line: Line, habit_share: float, rng: random.Random) -> Fields:
    """The clerk's object: gold, or gold with a habit's slip."""
    slips = [part.slip for part in line if part.slip]
    if not slips or rng.random() >= habit_share:
        return line.gold()
    return {**line.gold(), **rng.choice(slips)}
