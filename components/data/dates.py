"""Converts dates to ISO 8601, a whole column at once, because a single date may be ambiguous."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any

_MOSTLY = 0.9  # share of a column's cells that have to be read; the others are null
_YEAR_FIRST = re.compile(r"(\d{4})([./-])(\d{1,2})\2(\d{1,2})(?:[ T]\d{1,2}:.*)?")
_YEAR_LAST = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?:[ T].*)?")
# As people and programs write dates, with the day of the week and the time: 1/5/24 13:45, Tue, Mar 5, 2024.
_WRITTEN = re.compile(
    r"(?:[^\W\d_]{2,12}\.?,? )?(?:\d{1,4}([./-])\d{1,2}\1\d{1,4}|\d{4}年\d{1,2}月\d{1,2}日"
    r"|\d{1,2}(?:st|nd|rd|th|\.)?[ -](?:of |de )?[^\W\d_]{3,12}\.?,?(?: de)?[ -]\d{2,4}"
    r"|[^\W\d_]{3,12}\.? \d{1,2}(?:st|nd|rd|th)?,? \d{2,4})(?:,?(?: at)?[ T]{1,2}\d{1,2}[:.]\d{2}.{0,60})?"
)
# As programs count time: parts of seconds since 1970, or digits without signs between, and Excel days since 1900.
_COUNTED = re.compile(r"\d{9,19}(\.\d+)?")
_DAY_COUNT = re.compile(r"\d{5}(\.\d+)?")
_FIRST_DAY, _LAST_DAY = 36_526, 54_789  # the years 2000 to 2049
_EPOCH = re.compile(r"(\d{9,10}|\d{12,13}|\d{15,16}|\d{18,19})(?:\.\d+)?")  # from seconds to nanoseconds


def iso_dates(values: Sequence[Any]) -> list[str | None] | None:
    """A column's dates, with None for a few cells that are none.

    None if more cells are not dates, or if day and month are ambiguous.
    """
    texts = [str(value).strip() for value in values]
    for read in (_iso, _epoch, _year_last(texts)):
        dates = [read(text) for text in texts]
        if sum(day is not None for day in dates) >= _MOSTLY * len(texts):
            return dates
    return None


def look_like_dates(values: Sequence[Any]) -> bool:
    """Whether most cells are written like dates, or counted like time, also those that `iso_dates` does not read."""
    texts = [str(value).strip() for value in values]
    days = [float(text) for text in texts if _DAY_COUNT.fullmatch(text)]
    counted = len(days) if all(_FIRST_DAY <= day <= _LAST_DAY for day in days) else 0  # else they are amounts
    alike = sum(bool(_WRITTEN.fullmatch(text) or _COUNTED.fullmatch(text) or _iso(text)) for text in texts)
    return alike + counted > len(texts) / 2


def are_dates(values: Sequence[Any]) -> bool:
    """Whether all cells are dates with a year of four digits, even if nothing tells which is day and which month."""
    return all(map(_is_date, (str(value).strip() for value in values)))


def _is_date(text: str) -> bool:
    if (match := _YEAR_LAST.fullmatch(text)) is not None:
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        return (_day(year, second, first) or _day(year, first, second)) is not None
    return _YEAR_FIRST.fullmatch(text) is not None and _iso(text) is not None


def _iso(text: str) -> str | None:
    """ISO 8601, and what has the same order."""
    if (match := _YEAR_FIRST.fullmatch(text)) is not None:
        return _day(int(match[1]), int(match[3]), int(match[4]))
    try:
        return datetime.fromisoformat(text).date().isoformat()
    except ValueError:
        return None


def _epoch(text: str) -> str | None:
    """Seconds since 1970, or thousandths, millionths or billionths of one, for the years 2000 to 2100."""
    match = _EPOCH.fullmatch(text)
    if match is None:
        return None
    seconds = int(match[1]) / 1000 ** ((len(match[1]) - 9) // 3)
    return datetime.fromtimestamp(seconds, UTC).date().isoformat() if 946_684_800 <= seconds < 4_102_444_800 else None


def _year_last(texts: Sequence[str]) -> Callable[[str], str | None]:
    """Reads dates that end in the year, in the order that all of them tell; none if they tell neither or both."""
    matches = [match for text in texts if (match := _YEAR_LAST.fullmatch(text)) is not None]
    day_first = any(int(match[1]) > 12 for match in matches) or all(match[2] == "." for match in matches)
    ambiguous = day_first == any(int(match[3]) > 12 for match in matches)

    def read(text: str) -> str | None:
        match = _YEAR_LAST.fullmatch(text)
        if match is None or ambiguous:
            return None
        month, day = (match[3], match[1]) if day_first else (match[1], match[3])
        return _day(int(match[4]), int(month), int(day))

    return read


def _day(year: int, month: int, day: int) -> str | None:
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None
