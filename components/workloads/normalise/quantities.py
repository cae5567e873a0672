"""Ordered quantities: numbers as people write them, in four canonical units.

The canonical units are kg, l, m and pcs. A German Pfund is half a kilogram; a dozen is twelve pieces. Fractions are
written as 1/2 and 3/4, decimals in Germany with a comma.
"""

import random
from fractions import Fraction

from components.workloads.normalise.places import Country
from components.workloads.normalise.written import Written

COUNTED_SHARE = 0.06
SMALL = {"kg": ("g", "gr", "grams"), "l": ("ml", "ml.", "mL"), "m": ("cm", "cm.", "CM")}
PER_CANONICAL = {"g": 1000, "ml": 1000, "cm": 100}
LARGE = {
    "kg": ("kg", "kilo", "kgs", "KG"),
    "l": ("l", "litres", "ltr", "L"),
    "m": ("m", "metres", "mtr", "M"),
    "pcs": ("pcs", "pc", "pieces", "x", "units"),
}
QUARTERS = {Fraction(1, 4): "1/4", Fraction(1, 2): "1/2", Fraction(3, 4): "3/4"}


def draw_quantity(country: Country, rng: random.Random) -> Written:
    """A quantity as people write it; the habit is to ignore what a dozen or a Pfund means."""
    if rng.random() < COUNTED_SHARE:
        return _counted(country, rng)
    unit = rng.choice(tuple(LARGE))
    if unit == "pcs":
        n = rng.randrange(1, 100)
        return _quantity(f"{n} {rng.choice(LARGE[unit])}", n, unit)
    match rng.randrange(4):
        case 0:
            return _small(unit, rng)
        case 1:
            return _fraction(unit, rng)
        case 2:
            value = rng.randrange(11, 200) / 10
            text = f"{value:.1f}".replace(".", "," if country == "de" else ".")
            return _quantity(f"{text} {rng.choice(LARGE[unit])}", value, unit)
        case _:
            n = rng.randrange(1, 80)
            return _quantity(f"{n}{rng.choice((' ', ''))}{rng.choice(LARGE[unit])}", n, unit)


def _counted(country: Country, rng: random.Random) -> Written:
    """Dozens; in Germany also the Pfund of half a kilogram."""
    n = rng.randrange(2, 11)
    if country == "de" and rng.random() < 0.5:
        return _quantity(f"{n} {rng.choice(('Pfund', 'Pfd', 'pfund', 'Pfd.'))}", n / 2, "kg", {"quantity": n})
    return _quantity(f"{n} {rng.choice(('dozen', 'doz', 'dz.', 'Dozen'))}", 12 * n, "pcs", {"quantity": n})


def _small(unit: str, rng: random.Random) -> Written:
    """Grams, millilitres, centimetres."""
    names = SMALL[unit]
    per = PER_CANONICAL[names[0]]
    n = rng.randrange(1, 20) * (per // 20)
    return _quantity(f"{n}{rng.choice((' ', ''))}{rng.choice(names)}", n / per, unit)


def _fraction(unit: str, rng: random.Random) -> Written:
    """Quarters, alone or after an integer."""
    part, text = rng.choice(list(QUARTERS.items()))
    whole = rng.randrange(0, 12)
    value = float(whole + part)
    return _quantity(f"{f'{whole} ' if whole else ''}{text} {rng.choice(LARGE[unit])}", value, unit)


def _quantity(text: str, value: float, unit: str, slip: dict[str, str | int | float] | None = None) -> Written:
    fields: dict[str, str | int | float] = {"quantity": int(value) if value == int(value) else value, "unit": unit}
    return Written(text, fields, "counting_word_overlooked" if slip else "", slip)
