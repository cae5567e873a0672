"""A value as an order writes it, as it has to be, and as a hurried clerk reads it."""

import random
from dataclasses import dataclass

Fields = dict[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Written:
    """One part of an order: its `text`, the canonical `fields` that it says, and those that a habit makes of it.

    `slip` holds the fields that the habit `habit` gets wrong; it is empty where no habit applies.
    """

    text: str
    fields: Fields
    habit: str = ""
    slip: Fields | None = None


def cased(text: str, rng: random.Random) -> str:
    """A name as people type it: mostly as it is, else in small or in capital letters."""
    return rng.choice((text, text, text, text.lower(), text.upper()))
