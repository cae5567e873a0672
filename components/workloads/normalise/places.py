"""Delivery addresses: street, postcode and town in three countries, with their abbreviations.

The canonical form has full street types and ASCII letters ("Muellerstrasse 5", "1204 Oak Avenue"), the house number in
the country's position, and postcodes with all their digits. The country also determines how dates are read.
"""

import random
from typing import Literal

from components.workloads.normalise.written import Written, cased

Country = Literal["de", "us", "gb"]
COUNTRIES: tuple[Country, ...] = ("de", "de", "us", "us", "gb")
LEADING_ZERO_SHARE = 0.065

# Town → the beginning of its postcodes.
GERMAN_ZERO = {"Leipzig": "04", "Dresden": "01", "Halle": "06", "Jena": "07", "Gera": "07", "Cottbus": "03"}
GERMAN = {
    "Berlin": "10", "Hamburg": "20", "Köln": "50", "München": "80", "Bremen": "28", "Ulm": "89", "Bonn": "53",
    "Münster": "48", "Kassel": "34", "Mainz": "55", "Lübeck": "23", "Nürnberg": "90", "Essen": "45",
}  # fmt: skip
AMERICAN_ZERO = {
    "Boston": ("MA", "02"), "Hartford": ("CT", "06"), "Newark": ("NJ", "07"), "Concord": ("NH", "03"),
    "Portland": ("ME", "04"), "Salem": ("MA", "01"),
}  # fmt: skip
AMERICAN = {
    "Denver": ("CO", "80"), "Austin": ("TX", "78"), "Chicago": ("IL", "60"), "Tampa": ("FL", "33"),
    "Boise": ("ID", "83"), "Omaha": ("NE", "68"), "Seattle": ("WA", "98"), "Atlanta": ("GA", "30"),
    "Fresno": ("CA", "93"), "Dayton": ("OH", "45"), "Tulsa": ("OK", "74"), "Buffalo": ("NY", "14"),
}  # fmt: skip
BRITISH = {
    "Leeds": "LS", "York": "YO", "Bristol": "BS", "Oxford": "OX", "Derby": "DE", "Luton": "LU", "Exeter": "EX",
    "Durham": "DH", "Cardiff": "CF", "Preston": "PR",
}  # fmt: skip

GERMAN_NAMES = (
    "Linden", "Garten", "Müller", "Schul", "Berg", "Ring", "Wiesen", "Rosen", "Birken", "Park", "Kirch", "Mühlen",
    "Brunnen", "Tal", "Wald", "Hafen", "Markt", "Eichen", "Ufer", "König", "Blumen", "Sonnen", "Feld", "Acker",
)  # fmt: skip
ENGLISH_NAMES = (
    "Oak", "Main", "Church", "Mill", "Park", "Station", "Maple", "Green", "King", "Queen", "Cedar", "Hill", "Lake",
    "River", "Bridge", "Market", "Elm", "Spring", "North", "South", "West", "Garden", "Forest", "Victoria", "Union",
)  # fmt: skip
GERMAN_TYPES = {"strasse": ("str.", "straße", "str", "strasse"), "weg": ("weg",), "platz": ("platz", "pl.")}
ENGLISH_TYPES = {
    "Street": ("St", "St.", "Street", "Str"),
    "Avenue": ("Ave", "Av.", "Avenue"),
    "Road": ("Rd", "Rd.", "Road"),
    "Lane": ("Ln", "Lane"),
    "Drive": ("Dr", "Dr.", "Drive"),
}
ASCII = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})


def draw_place(country: Country, rng: random.Random) -> Written:
    """An address as people write it; the habit is to lose a postcode's leading zero, as spreadsheets do."""
    match country:
        case "de":
            return _german(rng)
        case "us":
            return _american(rng)
        case "gb":
            return _british(rng)


def _german(rng: random.Random) -> Written:
    zero = rng.random() < LEADING_ZERO_SHARE
    town, start = rng.choice(list((GERMAN_ZERO if zero else GERMAN).items()))
    name, kind = rng.choice(GERMAN_NAMES), rng.choice(("strasse", "strasse", "strasse", "weg", "platz"))
    house = f"{rng.randrange(1, 140)}{rng.choice(('', '', '', 'a', 'b'))}"
    postcode = f"{start}{rng.randrange(1000):03d}"
    written = cased(f"{name}{rng.choice(GERMAN_TYPES[kind])}", rng)
    text = f"{written} {house}, {rng.choice(('', '', 'D-'))}{postcode} {cased(town, rng)}"
    return _place(text, f"{name}{kind} {house}", postcode, town)


def _american(rng: random.Random) -> Written:
    zero = rng.random() < LEADING_ZERO_SHARE
    town, (state, start) = rng.choice(list((AMERICAN_ZERO if zero else AMERICAN).items()))
    street, written = _english_street(rng, rng.randrange(10, 2500))
    postcode = f"{start}{rng.randrange(1000):03d}"
    tail = rng.choice((f", {state} {postcode}", f" {state} {postcode}", f" {state}, {postcode}"))
    return _place(f"{written}, {cased(town, rng)}{tail}", street, postcode, town)


def _british(rng: random.Random) -> Written:
    town, area = rng.choice(list(BRITISH.items()))
    street, written = _english_street(rng, rng.randrange(1, 200))
    outward, inward = (
        f"{area}{rng.randrange(1, 20)}",
        f"{rng.randrange(1, 10)}{''.join(rng.choices('ABDEFHJLNPQR', k=2))}",
    )
    postcode = f"{outward} {inward}"
    typed = rng.choice((postcode, postcode, postcode.lower(), outward + inward))
    return _place(f"{written}, {cased(town, rng)} {typed}", street, postcode, town)


def _english_street(rng: random.Random, house: int) -> tuple[str, str]:
    """A street in canonical form, and as typed."""
    name, kind = rng.choice(ENGLISH_NAMES), rng.choice(list(ENGLISH_TYPES))
    return f"{house} {name} {kind}", f"{house} {cased(f'{name} {rng.choice(ENGLISH_TYPES[kind])}', rng)}"


def _place(text: str, street: str, postcode: str, town: str) -> Written:
    fields = {"street": street.translate(ASCII), "postcode": postcode, "city": town.translate(ASCII)}
    if postcode.startswith("0"):
        return Written(text, {**fields}, "leading_zero_lost", {"postcode": postcode.lstrip("0")})
    return Written(text, {**fields})
