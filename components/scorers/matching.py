"""When a value of the answer equals the reference's, for each kind of match.

Pure functions of two JSON values. A kind asks something of the reference too (a date, a list): a reference that does
not fit cannot be compared with, which is an error and not a mismatch. null equals null in every kind.
"""

import math
import unicodedata
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from components.errors import ScorerError

Match = Callable[[Any, Any, float], bool]


def exact(reference: Any, found: Any, tolerance: float = 0.0) -> bool:
    """The same JSON value: 1 is 1.0 but not true, objects in any order of keys."""
    if isinstance(reference, bool) or isinstance(found, bool):
        return reference is found
    if isinstance(reference, list) and isinstance(found, list):
        return len(reference) == len(found) and all(map(exact, reference, found))
    if isinstance(reference, dict) and isinstance(found, dict):
        return reference.keys() == found.keys() and all(exact(reference[key], found[key]) for key in reference)
    return bool(reference == found)


def number(reference: Any, found: Any, tolerance: float = 0.0) -> bool:
    """Numbers at most `tolerance` apart, give or take the rounding of their decimals to binary."""
    if reference is None or found is None:
        return reference is found
    if not is_number(reference):
        raise ScorerError(f"expected a number or null in the reference, found {reference!r}")
    if not is_number(found):
        return False
    try:
        return abs(reference - found) <= tolerance + 4 * math.ulp(max(abs(reference), abs(found)))
    except OverflowError:  # an integer of more than 308 digits
        return bool(reference == found)


def day(reference: Any, found: Any, tolerance: float = 0.0) -> bool:
    """The same calendar day, each as ISO 8601 writes it; the time of day is ignored."""
    if reference is None or found is None:
        return reference is found
    expected = _day(reference)
    if expected is None:
        raise ScorerError(f"expected an ISO 8601 date or null in the reference, found {reference!r}")
    return _day(found) == expected


def members(reference: Any, found: Any, tolerance: float = 0.0) -> bool:
    """Arrays with the same members, in any order and number."""
    if reference is None or found is None:
        return reference is found
    if not isinstance(reference, list):
        raise ScorerError(f"expected an array or null in the reference, found {reference!r}")
    return isinstance(found, list) and _within(reference, found) and _within(found, reference)


def text(reference: Any, found: Any, tolerance: float = 0.0) -> bool:
    """The same words: case, width (NFKC) and white space do not count, punctuation does."""
    if reference is None or found is None:
        return reference is found
    if not isinstance(reference, str):
        raise ScorerError(f"expected a string or null in the reference, found {reference!r}")
    return isinstance(found, str) and _words(reference) == _words(found)


MATCHES: dict[str, Match] = {"exact": exact, "number": number, "date": day, "set": members, "text": text}


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number: true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _day(value: Any) -> date | None:
    try:
        return datetime.fromisoformat(value.strip()).date() if isinstance(value, str) else None
    except ValueError:
        return None


def _within(some: list[Any], others: list[Any]) -> bool:
    return all(any(exact(one, other) for other in others) for one in some)


def _words(value: str) -> list[str]:
    return unicodedata.normalize("NFKC", value).casefold().split()
