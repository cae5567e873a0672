"""A value as an order has it, in canonical form, and as a hurried clerk reads it."""

import random
from dataclasses import dataclass

Fields = dict[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Written:
    """A part of an order: its `text`, its canonical `fields`, and the fields according to a habit.

    `slip` has the fields that the habit `habit` gets wrong; it is empty if no habit applies.
    """

    text: str
    fields: Fields
    habit: str = ""
    slip: Fields | None = None


def cased(text: str, rng: random.Random) -> str:
    """A name as people type it: mostly unchanged, else in lower or upper case."""
    return rng.choice((text, text, text, text.lower(), text.upper()))
