"""When a value in the answer equals the reference's, for each kind of match.

Pure functions of two JSON values. Most kinds require a type of the reference (a date, a list): another type is an
error, not a mismatch. null equals null in every kind.
"""

import math
import unicodedata
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from components.errors import ScorerError

Match = Callable[[Any, Any, float], bool]


def exact(reference: Any, value: Any, tolerance: float = 0.0) -> bool:
    """The same JSON value: 1 equals 1.0 but not true; the order of keys is irrelevant."""
    if isinstance(reference, bool) or isinstance(value, bool):
        return reference is value
    if isinstance(reference, list) and isinstance(value, list):
        return len(reference) == len(value) and all(map(exact, reference, value))
    if isinstance(reference, dict) and isinstance(value, dict):
        return reference.keys() == value.keys() and all(exact(reference[key], value[key]) for key in reference)
    return bool(reference == value)


def number(reference: Any, value: Any, tolerance: float = 0.0) -> bool:
    """Numbers at most `tolerance` apart, up to the rounding of decimals to binary."""
    if reference is None or value is None:
        return reference is value
    if not is_number(reference):
        raise ScorerError(f"expected a number or null in the reference, found {reference!r}")
    if not is_number(value):
        return False
    try:
        return abs(reference - value) <= tolerance + 4 * math.ulp(max(abs(reference), abs(value)))
    except OverflowError:  # an integer of more than 308 digits
        return bool(reference == value)


def day(reference: Any, value: Any, tolerance: float = 0.0) -> bool:
    """The same calendar day, in ISO 8601; the time of day is ignored."""
    if reference is None or value is None:
        return reference is value
    expected = _day(reference)
    if expected is None:
        raise ScorerError(f"expected an ISO 8601 date or null in the reference, found {reference!r}")
    return _day(value) == expected


def members(reference: Any, value: Any, tolerance: float = 0.0) -> bool:
    """Arrays with the same members; order and repetition are ignored."""
    if reference is None or value is None:
        return reference is value
    if not isinstance(reference, list):
        raise ScorerError(f"expected an array or null in the reference, found {reference!r}")
    return isinstance(value, list) and _within(reference, value) and _within(value, reference)


def text(reference: Any, value: Any, tolerance: float = 0.0) -> bool:
    """The same words: case, width (NFKC) and white space are ignored, punctuation is not."""
    if reference is None or value is None:
        return reference is value
    if not isinstance(reference, str):
        raise ScorerError(f"expected a string or null in the reference, found {reference!r}")
    return isinstance(value, str) and _words(reference) == _words(value)


MATCHES: dict[str, Match] = {"exact": exact, "number": number, "date": day, "set": members, "text": text}


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number; booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _day(value: Any) -> date | None:
    try:
        return datetime.fromisoformat(value.strip()).date() if isinstance(value, str) else None
    except ValueError:
        return None


def _within(some: list[Any], others: list[Any]) -> bool:
    return all(any(exact(member, other) for other in others) for member in some)


def _words(value: str) -> list[str]:
    return unicodedata.normalize("NFKC", value).casefold().split()
