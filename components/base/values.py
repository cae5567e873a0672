"""Kinds of values: how messages write them, their canonical form, and how prompts describe them.

A kind is drawn once per field of a world, with its format, and then sampled once per message.
"""

import datetime
import random
import string
from dataclasses import dataclass
from typing import Protocol

from components.base.lexicon import Lexicon

JsonValue = str | int | float | bool | None


@dataclass(frozen=True)
class Value:
    """A value, as the answer must give it and as the message writes it."""

    canonical: JsonValue
    surface: str


class Kind(Protocol):
    """The format of a field's values."""

    name: str
    nouns: tuple[str, ...]
    json_type: str

    def sample(self, lexicon: Lexicon) -> Value:
        """Draw a value from the lexicon's side of the split."""
        ...

    def hint(self, rng: random.Random) -> str:
        """A prompt's description of the format."""
        ...


def number(value: float) -> int | float:
    """The simplest JSON number: 12 rather than 12.0."""
    return int(value) if float(value).is_integer() else value


@dataclass(frozen=True)
class Identifier:
    """Letters, a separator and digits, such as QX-48213, to be copied exactly."""

    letters: int
    separator: str
    digits: int
    letters_first: bool
    name: str = "id"
    nouns: tuple[str, ...] = ("id", "number", "code", "reference", "ref", "no")
    json_type: str = "string"

    @classmethod
    def draw(cls, rng: random.Random) -> "Identifier":
        """A random pattern."""
        return cls(rng.randint(0, 4), rng.choice(("-", "-", "", "/", ".", "#")), rng.randint(3, 7), rng.random() < 0.8)

    def text(self, rng: random.Random) -> str:
        """An identifier."""
        letters = "".join(rng.choices(string.ascii_uppercase, k=self.letters))
        digits = "".join(rng.choices(string.digits, k=self.digits))
        if not letters:
            return digits
        return self.separator.join((letters, digits) if self.letters_first else (digits, letters))

    def sample(self, lexicon: Lexicon) -> Value:
        """An identifier, written the same in both places."""
        text = lexicon.draw(lambda: self.text(lexicon.rng))
        return Value(text, text)

    def hint(self, rng: random.Random) -> str:
        """By example, by pattern, or in words."""
        shape = [f"{self.letters} capital letters", f"{self.digits} digits"][:: 1 if self.letters_first else -1]
        words = " and ".join(shape) if self.letters else f"{self.digits} digits"
        return rng.choice((f"like {self.text(rng)}", f"e.g. {self.text(rng)}", words, "copied exactly", "text"))


@dataclass(frozen=True)
class Code:
    """Mixed capital letters and digits, such as K7F9Q."""

    length: int
    name: str = "code"
    nouns: tuple[str, ...] = ("code", "key", "tag", "token", "mark")
    json_type: str = "string"

    @classmethod
    def draw(cls, rng: random.Random) -> "Code":
        """A random length."""
        return cls(rng.randint(4, 8))

    def text(self, rng: random.Random) -> str:
        """A code."""
        return "".join(rng.choices(string.ascii_uppercase + string.digits, k=self.length))

    def sample(self, lexicon: Lexicon) -> Value:
        """A code, written the same in both places."""
        text = lexicon.draw(lambda: self.text(lexicon.rng))
        return Value(text, text)

    def hint(self, rng: random.Random) -> str:
        """By example or by length."""
        return rng.choice((f"like {self.text(rng)}", f"{self.length} letters and digits", "text", "copied exactly"))


@dataclass(frozen=True)
class Amount:
    """Money, written in many ways; the answer is a plain number."""

    name: str = "amount"
    nouns: tuple[str, ...] = ("amount", "fee", "price", "total", "cost", "balance", "deposit", "charge")
    json_type: str = "number"

    @classmethod
    def draw(cls, rng: random.Random) -> "Amount":
        """All amounts are of the same kind."""
        del rng
        return cls()

    def sample(self, lexicon: Lexicon) -> Value:
        """An amount below 3,000 with or without cents, in one of nine notations."""
        rng = lexicon.rng

        def make() -> str:
            whole = rng.randint(1, 99) if rng.random() < 0.5 else rng.randint(100, 2999)
            return f"{whole}.{rng.choice((0, 50, 90, 99, rng.randint(0, 99), rng.randint(0, 99))):02d}"

        text = lexicon.draw(make)
        value = float(text)
        return Value(number(value), self.write(value, rng))

    @staticmethod
    def write(value: float, rng: random.Random) -> str:
        """The amount in a notation that a person might use."""
        full, whole = f"{value:.2f}", f"{value:g}" if value == int(value) else f"{value:.2f}"
        grouped, comma = f"{value:,.2f}", full.replace(".", ",")
        currency = rng.choice(("USD", "EUR", "GBP", "CHF"))
        return rng.choice((
            f"${full}", f"${whole}", f"{full} {currency}", f"{whole} {currency}", f"{comma} {currency}", f"€{full}",
            f"${grouped}", f"{grouped} {currency}", f"{whole} dollars", f"{currency} {full}", f"{whole} euros",
        ))  # fmt: skip

    def hint(self, rng: random.Random) -> str:
        """In words."""
        return rng.choice(("number", "a number without currency", "number, no currency sign", "the sum as a number"))


@dataclass(frozen=True)
class Date:
    """A day, written in many ways; the answer is in ISO 8601."""

    name: str = "date"
    nouns: tuple[str, ...] = ("date", "day", "deadline", "start", "end")
    json_type: str = "string"

    @classmethod
    def draw(cls, rng: random.Random) -> "Date":
        """All dates are of the same kind."""
        del rng
        return cls()

    def sample(self, lexicon: Lexicon) -> Value:
        """A day between 2015 and 2034 in one of six notations (numeric ones are day first)."""
        rng = lexicon.rng
        start = datetime.date(2015, 1, 1)
        iso = lexicon.draw(lambda: (start + datetime.timedelta(days=rng.randrange(7300))).isoformat())
        day = datetime.date.fromisoformat(iso)
        month = day.strftime(rng.choice(("%B", "%b")))
        return Value(iso, rng.choice((
            iso, f"{day.day} {month} {day.year}", f"{month} {day.day}, {day.year}", f"{day:%d.%m.%Y}",
            f"{day:%d/%m/%Y}", f"{month} {day.day} {day.year}",
        )))  # fmt: skip

    def hint(self, rng: random.Random) -> str:
        """The format."""
        return rng.choice(("YYYY-MM-DD", "date as YYYY-MM-DD", "ISO date", "in the form YYYY-MM-DD"))


@dataclass(frozen=True)
class Name:
    """A person's full or given name."""

    full: bool
    name: str = "name"
    nouns: tuple[str, ...] = ("name", "owner", "contact", "manager", "guest", "driver", "agent", "author")
    json_type: str = "string"

    @classmethod
    def draw(cls, rng: random.Random) -> "Name":
        """Full names or given names."""
        return cls(rng.random() < 0.7)

    def sample(self, lexicon: Lexicon) -> Value:
        """A name, written the same in both places."""
        text = lexicon.draw(lexicon.full_name if self.full else lexicon.first_name)
        return Value(text, text)

    def hint(self, rng: random.Random) -> str:
        """In words."""
        return rng.choice(("text", "full name" if self.full else "first name", "a name", "as written"))


@dataclass(frozen=True)
class Phrase:
    """One to three words, such as a title, to be copied exactly."""

    count: int
    name: str = "phrase"
    nouns: tuple[str, ...] = ("title", "item", "type", "brand", "model", "place", "colour", "topic", "subject")
    json_type: str = "string"

    @classmethod
    def draw(cls, rng: random.Random) -> "Phrase":
        """One, two or three words."""
        return cls(rng.choice((1, 1, 2, 2, 3)))

    def sample(self, lexicon: Lexicon) -> Value:
        """Words, written the same in both places."""
        text = lexicon.draw(lambda: " ".join(lexicon.words(self.count)))
        return Value(text, text)

    def hint(self, rng: random.Random) -> str:
        """In words."""
        return rng.choice(("text", "string", "as written", "copied from the text"))


@dataclass(frozen=True)
class Count:
    """A small integer, in digits or in words."""

    name: str = "count"
    nouns: tuple[str, ...] = ("count", "quantity", "pieces", "people", "boxes", "copies", "visits")
    json_type: str = "integer"
    spelled: tuple[str, ...] = (
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    )  # fmt: skip

    @classmethod
    def draw(cls, rng: random.Random) -> "Count":
        """All counts are of the same kind."""
        del rng
        return cls()

    def sample(self, lexicon: Lexicon) -> Value:
        """1 to 12 in digits or words, or up to 400 in digits."""
        rng = lexicon.rng
        if lexicon.rough and rng.random() < 0.5:  # small numbers are vocabulary: rough lessons do not split them
            value = rng.randint(1, 12)
        else:
            value = int(lexicon.draw(lambda: str(rng.randint(1, 12) if rng.random() < 0.5 else rng.randint(1, 400))))
        spelled = value < len(self.spelled) and rng.random() < 0.4
        return Value(value, self.spelled[value] if spelled else str(value))

    def hint(self, rng: random.Random) -> str:
        """In words."""
        return rng.choice(("integer", "whole number", "how many, as a number", "number"))


@dataclass(frozen=True)
class Clock:
    """A time of day; the answer is HH:MM, 24-hour."""

    name: str = "time"
    nouns: tuple[str, ...] = ("time", "hour", "slot", "arrival", "pickup")
    json_type: str = "string"

    @classmethod
    def draw(cls, rng: random.Random) -> "Clock":
        """All times are of the same kind."""
        del rng
        return cls()

    def sample(self, lexicon: Lexicon) -> Value:
        """A time in one of five notations."""
        rng = lexicon.rng
        text = lexicon.draw(lambda: f"{rng.randint(0, 23):02d}:{rng.choice((0, 15, 30, 45, rng.randint(0, 59))):02d}")
        hour, minute = int(text[:2]), text[3:]
        half, twelve = "am" if hour < 12 else "pm", hour % 12 or 12
        return Value(text, rng.choice((
            text, f"{twelve}:{minute} {half}", f"{twelve}.{minute}{half}", f"{hour}h{minute}", f"{hour}.{minute}",
        )))  # fmt: skip

    def hint(self, rng: random.Random) -> str:
        """The format."""
        return rng.choice(("HH:MM", "24-hour HH:MM", "time as HH:MM"))


@dataclass(frozen=True)
class Phone:
    """A telephone number; the answer has only its digits, and the plus sign if there was one."""

    name: str = "phone"
    nouns: tuple[str, ...] = ("phone", "mobile", "telephone", "fax", "hotline")
    json_type: str = "string"

    @classmethod
    def draw(cls, rng: random.Random) -> "Phone":
        """All phone numbers are of the same kind."""
        del rng
        return cls()

    def sample(self, lexicon: Lexicon) -> Value:
        """Three or four groups of digits with spaces, dashes, dots or brackets."""
        rng = lexicon.rng

        def make() -> str:
            groups = [rng.randint(2, 4) for _ in range(rng.randint(2, 3))]
            return " ".join("".join(rng.choices(string.digits, k=size)) for size in groups)

        text = lexicon.draw(make)
        joint = rng.choice((" ", "-", ".", " "))
        written, prefix = text.replace(" ", joint), ""
        if rng.random() < 0.5:
            prefix = f"+{rng.randint(1, 99)}"
            written = f"{prefix}{joint}{written}"
        elif rng.random() < 0.3:
            head, _, tail = text.partition(" ")
            written = f"({head}) {tail.replace(' ', joint)}"
        return Value(prefix + text.replace(" ", ""), written)

    def hint(self, rng: random.Random) -> str:
        """In words."""
        return rng.choice(("digits only", "digits only, keep a leading plus", "phone number without spaces"))


@dataclass(frozen=True)
class Measure:
    """A length, weight or volume; the answer is in the prompt's unit."""

    unit: str
    factors: tuple[tuple[str, int], ...]
    name: str = "measure"
    nouns: tuple[str, ...] = ("length", "weight", "volume", "size", "load", "distance", "height", "width")
    json_type: str = "number"

    @classmethod
    def draw(cls, rng: random.Random) -> "Measure":
        """Metres, grams or millilitres, with a larger unit that is a power of ten of it."""
        unit, larger, factor = rng.choice((
            ("m", "km", 1000), ("g", "kg", 1000), ("ml", "l", 1000), ("cm", "m", 100), ("mm", "cm", 10),
            ("kg", "t", 1000),
        ))  # fmt: skip
        return cls(unit, ((unit, 1), (larger, factor)))

    def sample(self, lexicon: Lexicon) -> Value:
        """A measure in the prompt's unit or in the larger one."""
        rng = lexicon.rng
        text = lexicon.draw(lambda: f"{rng.randint(1, 99)}{rng.choice(('', '', '.5', f'.{rng.randint(1, 9)}'))}")
        unit, factor = rng.choice(self.factors)
        value = round(float(text) * factor, 3)
        return Value(number(value), f"{text}{rng.choice(('', ' '))}{unit}")

    def hint(self, rng: random.Random) -> str:
        """The unit."""
        return rng.choice((f"number in {self.unit}", f"in {self.unit}", f"converted to {self.unit}, number only"))


@dataclass(frozen=True)
class Cased:
    """A code that people write in any case; the answer is in upper or lower case."""

    upper: bool
    name: str = "cased"
    nouns: tuple[str, ...] = ("code", "handle", "plate", "login", "alias")
    json_type: str = "string"

    @classmethod
    def draw(cls, rng: random.Random) -> "Cased":
        """Upper or lower case."""
        return cls(rng.random() < 0.6)

    def sample(self, lexicon: Lexicon) -> Value:
        """Two to five letters and two to four digits, in mixed case."""
        rng = lexicon.rng
        text = lexicon.draw(
            lambda: (
                "".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 5)))
                + rng.choice(("", "-"))
                + "".join(rng.choices(string.digits, k=rng.randint(2, 4)))
            )
        )
        written = rng.choice((text, text.upper(), text.capitalize()))
        return Value(text.upper() if self.upper else text, written)

    def hint(self, rng: random.Random) -> str:
        """The case."""
        return rng.choice(("in capitals", "upper case") if self.upper else ("in small letters", "lower case"))


COPIED = (Identifier, Identifier, Identifier, Code, Name, Name, Phrase, Amount)
NORMALISED = (Amount, Amount, Date, Date, Date, Count, Clock, Phone, Measure, Cased)
