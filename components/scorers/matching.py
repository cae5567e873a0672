"""When a value in the answer equals the reference's, for each kind of match, and when a term occurs in a text.

Pure functions of two JSON values. Most kinds require a type of the reference (a date, a list): another type is an
error, not a mismatch. null equals null in every kind.
"""

import math
import unicodedata
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import regex

from components.errors import ScorerError

Match = Callable[[Any, Any, float], bool]
SPACED = 2**52  # from here on floats are whole because they are too far apart for fractions
# Of a word, in scripts that write words apart.
_LETTER = r"[\w--[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]]"
_POINT = "[.,'’]"  # within a number
# Where a term may begin and end: at a digit not within a number, at a letter not within a word, else anywhere.
_BEGINS = regex.compile(rf"(?V1)(?=\d)(?<!\d|\d{_POINT})|(?!\d)(?={_LETTER})(?<!{_LETTER})|(?!{_LETTER})")
_ENDS = regex.compile(rf"(?V1)(?<=\d)(?!\d|{_POINT}\d)|(?<!\d)(?<={_LETTER})(?!{_LETTER})|(?<!{_LETTER})")


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
    """Numbers at most `tolerance` apart; where one has a fraction, up to the rounding of decimals to binary."""
    if reference is None or value is None:
        return reference is value
    if not is_number(reference):
        raise ScorerError(f"expected a number or null in the reference, found {reference!r}")
    if not is_number(value):
        return False
    try:
        whole = is_whole(reference) and is_whole(value)
        rounding = 0.0 if whole else 4 * math.ulp(max(abs(reference), abs(value)))
        return abs(reference - value) <= tolerance + rounding
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


def is_whole(number: float | Decimal) -> bool:
    """Whether a number is a whole one and not only rounded to one, as large floats are."""
    if isinstance(number, float):
        return number.is_integer() and abs(number) < SPACED
    return not isinstance(number, Decimal) or (number.is_finite() and number == number.to_integral_value())


def close(reference: Any, value: Any, tolerance: float) -> bool:
    """Whether two numbers are equal: whole ones exactly, others within a tolerance, absolute and relative; NaN is NaN.

    3 and 3.0 are equal, 10000001 and 10000002.0 are not.
    """
    if is_whole(reference) and is_whole(value):
        return bool(reference == value)
    try:
        first, second = float(reference), float(value)
    except OverflowError:  # an integer beyond the range of a float
        return False
    both_nan = math.isnan(first) and math.isnan(second)
    return both_nan or math.isclose(first, second, rel_tol=tolerance, abs_tol=tolerance)


def occurs(term: str, text: str) -> bool:
    """Whether a term occurs in a text as whole words and whole numbers; case, width and white space are ignored.

    `12.50` does not occur in `112.50`, nor `12` in `12.50`, but it does in `12.50EUR`.
    """
    term, text = plain(term), plain(text)
    at = text.find(term)
    while at >= 0:
        if _BEGINS.match(text, at) and _ENDS.match(text, at + len(term)):
            return True
        at = text.find(term, at + 1)
    return not term


def plain(text: str) -> str:
    """A text without what does not distinguish words: case, width (NFKC), and how much white space there is."""
    return " ".join(_words(text))


def _day(value: Any) -> date | None:
    try:
        return datetime.fromisoformat(value.strip()).date() if isinstance(value, str) else None
    except ValueError:
        return None


def _within(some: list[Any], others: list[Any]) -> bool:
    return all(any(exact(member, other) for other in others) for member in some)


def _words(value: str) -> list[str]:
    return unicodedata.normalize("NFKC", value).casefold().split()
