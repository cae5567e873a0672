"""The words in a ticket's sentences: product names, places, days, irrelevant digits.

Order ids and amounts are drawn with the case itself (`scenario.py`), because they are part of gold.
"""

import random
from collections.abc import Mapping

from components.workloads.triage import phrases
from components.workloads.triage.rules import PRODUCTS


def draw_slots(rng: random.Random, product: str, surfaces: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Draw the words for all slots that do not depend on the order or the amount."""
    return {
        **_draw_product_words(rng, product, surfaces),
        **_draw_places_and_times(rng),
        **_draw_irrelevant_numbers(rng),
    }


def draw_date(rng: random.Random) -> str:
    """Draw a day of the year in one of four notations."""
    day, month = rng.randrange(1, 29), rng.randrange(12)
    name = phrases.MONTHS[month]
    return rng.choice((f"{day} {name}", f"{name} {day}", f"{day:02d}/{month + 1:02d}", f"{day} {name[:3]}"))


def _draw_product_words(rng: random.Random, product: str, surfaces: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Draw the customer's name for the product, and its possible faults."""
    item = rng.choice(surfaces[product])
    other_product = rng.choice([label for label in PRODUCTS if label != product])
    colour, other_colour = rng.sample(phrases.COLOURS, 2)
    faults = phrases.FAULTS[product] if rng.random() < 0.5 else phrases.GENERIC_FAULTS
    return {
        "item": item,
        "a_item": f"{'an' if item[0] in 'aeiou' else 'a'} {item}",
        "other_item": rng.choice(surfaces[other_product]),
        "colour": colour,
        "other_colour": other_colour,
        "fault": rng.choice(faults),
        "damage": rng.choice(phrases.DAMAGES),
        "reason": rng.choice(phrases.REASONS),
        "wrong": rng.choice(phrases.WRONG_ARTICLES),
    }


def _draw_places_and_times(rng: random.Random) -> dict[str, str]:
    """Draw carrier, places, days and spans; the deadline differs from the day of delivery."""
    pick = rng.choice
    return {
        "carrier": pick(phrases.CARRIERS),
        "place": pick(phrases.PLACES),
        "town": pick(phrases.TOWNS),
        "day": pick(phrases.DAYS),
        "date": draw_date(rng),
        "ago": pick((*phrases.AGO, f"on {pick(phrases.DAYS)}", f"on {draw_date(rng)}")),
        "span": f"{pick(phrases.COUNTS)} {pick(('days', 'weeks'))}",
        "by_day": pick(phrases.DAYS),
        "by_date": draw_date(rng),
        "before": pick(phrases.AGO),
        "waited": f"{pick(phrases.COUNTS)} {pick(('days', 'weeks'))}",
        "old_date": draw_date(rng),
    }


def _draw_irrelevant_numbers(rng: random.Random) -> dict[str, str]:
    """Draw phone number, postcode and the like: digits that belong to no field."""
    number = rng.randrange
    return {
        "phone": f"0{number(100, 999)} 555 {number(1000, 9999)}",
        "postcode": rng.choice((str(number(10_000, 99_999)), f"LS{number(1, 30)} {number(1, 9)}QX")),
        "number": str(number(10_000, 999_999)),
        "floor": rng.choice(("first", "second", "third", "4th", "5th")),
        "hour": f"{number(7, 11)}:00",
        "page": str(number(2, 180)),
        "year": str(number(1940, 2005)),
        "serial": f"{number(100, 999)}X{number(1000, 9999)}",
        "card": f"{number(1000, 9999)}",
        "span_years": str(number(2, 15)),
        "small": f"${number(2, 30)}.{rng.choice(('00', '50', '90'))}",
    }
