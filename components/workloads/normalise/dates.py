"""Due dates of orders, in the notation of their country.

Numeric dates with slashes are month first in the United States and day first in Britain; with dots they are always day
first. Two-digit years are in this century. The canonical form is ISO 8601.
"""

import random
from datetime import date, timedelta

from components.workloads.normalise.places import Country
from components.workloads.normalise.written import Written

FIRST_DAY, DAYS = date(2025, 1, 1), 3 * 365
FIGURES_SHARE = 0.42
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
GERMAN_MONTHS = (
    "Januar", "Februar", "März", "April", "Mai", "Juni",
    "Juli", "August", "September", "Oktober", "November", "Dezember",
)  # fmt: skip


def draw_date(country: Country, rng: random.Random) -> Written:
    """A date as people write it; the habit is to read a numeric American one in European order."""
    day = FIRST_DAY + timedelta(days=rng.randrange(DAYS))
    fields = {"date": day.isoformat()}
    if rng.random() >= FIGURES_SHARE:
        return Written(_in_words(day, country, rng), {**fields})
    year = rng.choice((f"{day.year}", f"{day.year % 100:02d}"))
    padded = rng.random() < 0.5
    number, month = (f"{day.day:02d}", f"{day.month:02d}") if padded else (str(day.day), str(day.month))
    match country:
        case "us":
            text = f"{month}/{number}/{year}"
            if day.day > 12 or day.day == day.month:
                return Written(text, {**fields})
            slip = date(day.year, day.day, day.month).isoformat()
            return Written(text, {**fields}, "european_order", {"date": slip})
        case "gb":
            return Written(f"{number}/{month}/{year}", {**fields})
        case "de":
            return Written(f"{number}.{month}.{year}", {**fields})


def _in_words(day: date, country: Country, rng: random.Random) -> str:
    short = f"{day.year % 100:02d}"
    name = (GERMAN_MONTHS if country == "de" and rng.random() < 0.5 else MONTHS)[day.month - 1]
    match country:
        case "us":
            forms = (
                f"{name} {day.day}, {day.year}",
                f"{name[:3]} {day.day} {day.year}",
                f"{name[:3]} {day.day}, '{short}",
            )
        case "gb":
            forms = (
                f"{day.day} {name} {day.year}",
                f"{day.day} {name[:3]} {short}",
                f"{day.day}-{name[:3]}-{day.year}",
            )
        case "de":
            forms = (f"{day.day}. {name} {day.year}", f"{day.day}. {name} {short}", f"{day.day} {name} {day.year}")
    return rng.choice((*forms, day.isoformat()))
