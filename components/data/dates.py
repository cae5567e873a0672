"""Converts dates to ISO 8601, a whole column at once, because a single date may be ambiguous."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

_DOTTED = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?:[ T].*)?")


def iso_dates(values: Sequence[Any]) -> list[str] | None:
    """A column's dates; None if a value is not a date, or if day and month are ambiguous."""
    texts = [str(value).strip() for value in values]
    for read in (_iso, _epoch):
        dates = [read(text) for text in texts]
        if all(dates):
            return [str(match) for match in dates]
    matches = [_DOTTED.fullmatch(text) for text in texts]
    numbers = [tuple(map(int, match.group(1, 3, 4))) for match in matches if match]
    if not texts or len(numbers) < len(texts):
        return None
    day_first = any(first > 12 for first, _, _ in numbers) or all(
        match is not None and match[2] == "." for match in matches
    )
    if not day_first and not any(second > 12 for _, second, _ in numbers):
        return None
    try:
        ordered = [(year, second, first) if day_first else (year, first, second) for first, second, year in numbers]
        return [date(*match).isoformat() for match in ordered]
    except ValueError:
        return None


def _iso(text: str) -> str | None:
    try:
        return datetime.fromisoformat(text).date().isoformat()
    except ValueError:
        return None


def _epoch(text: str) -> str | None:
    """Seconds or milliseconds since 1970, for the years 2000 to 2100."""
    if not re.fullmatch(r"\d{9,10}|\d{12,13}", text):
        return None
    seconds = int(text) / (1000 if len(text) > 10 else 1)
    return datetime.fromtimestamp(seconds, UTC).date().isoformat() if 946_684_800 <= seconds < 4_102_444_800 else None
