"""How likely an extracted value is wrong: the text may contain another value of its kind that fits better.

For fields whose values are copied from the text. A linear model of the words around a candidate learns from the other
demonstrations which candidates people choose. References are not used.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import regex
from numpy.typing import NDArray

from components.schema import Shape
from components.schema.patterns import TooSlow, compiled

AROUND = 5  # words on each side of a candidate
SPAN = 60  # characters in which they are searched
FOUND_SHARE = 0.8  # of a field's values must be in the text for it to count as extracted
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
THOUSANDS = re.compile(r"[1-9]\d{0,2}([.,])\d{3}(?:\1\d{3})*")
_QUOTED = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]?", re.DOTALL)  # escaped characters, and classes
_INNERMOST = re.compile(r"\([^()]*\)")  # groups without groups in them


@dataclass(frozen=True)
class Pointed:
    """P(value) for each example, the most likely value, and whether the example's value is in the text."""

    probability: NDArray[Any]
    likeliest: list[Any]
    found: list[bool]


@dataclass(frozen=True)
class Candidate:
    """A value in a text: the example's index, what it may be read as, and the words around it."""

    example: int
    readings: tuple[Any, ...]
    context: str

    def reading(self, value: Any) -> int | None:
        """The place of the reading that is this value; None if it is another value."""
        return next((place for place, read in enumerate(self.readings) if _key(read) == _key(value)), None)


def point(shape: Shape, texts: Sequence[str], values: Sequence[Any], folds: int) -> Pointed | None:
    """Judge a field's values by the candidates in their texts; None if the field is not extracted."""
    candidates = [candidate for number, text in enumerate(texts) for candidate in offered(number, text, shape)]
    read = [candidate.reading(values[candidate.example]) for candidate in candidates]
    taken = np.array([place is not None for place in read])
    taken_from = {candidate.example for candidate, is_taken in zip(candidates, taken, strict=True) if is_taken}
    in_text = [value is None or n in taken_from for n, value in enumerate(values)]
    present = [n for n, value in enumerate(values) if value is not None]
    if len(present) < folds or sum(in_text[n] for n in present) < FOUND_SHARE * len(present):
        return None
    if taken.all() or not taken.any():
        return None
    chances = _chances(candidates, taken, folds)
    probability, likeliest = np.ones(len(values)), list(values)
    offers = Counter(candidate.example for candidate in candidates)
    usual = _usual(candidates, read)
    for candidate, chance, is_taken in zip(candidates, chances, taken, strict=True):
        doubt = chance if is_taken else 1 - chance
        if doubt < probability[candidate.example]:
            probability[candidate.example] = doubt
            if not is_taken:
                likeliest[candidate.example] = candidate.readings[min(usual, len(candidate.readings) - 1)]
            elif offers[candidate.example] == 1:
                likeliest[candidate.example] = None
    return Pointed(probability, likeliest, in_text)


def offered(number: int, text: str, shape: Shape) -> list[Candidate]:
    """The matches of the field's pattern, or the numbers, in a text; none for free text."""
    if shape.pattern is not None and "string" in shape.kinds:
        spans = _spans(shape.pattern, text)
        values: list[tuple[Any, ...]] = [(text[start:end],) for start, end in spans]
    elif shape.is_number:
        spans = [match.span() for match in NUMBER.finditer(text)]
        values = [_numbers(text[start:end]) for start, end in spans]
    else:
        return []
    return [
        Candidate(number, value, _context(text, *span, f"{place} of {len(spans)}"))
        for place, (span, value) in enumerate(zip(spans, values, strict=True), start=1)
    ]


def _spans(pattern: str, text: str) -> list[tuple[int, int]]:
    """Where a field's pattern matches; none if the search times out, or it is no pattern that can be searched."""
    try:
        return compiled(_anywhere(pattern)).spans(text)
    except (TooSlow, regex.error):
        return []


def _anywhere(pattern: str) -> str:
    """A pattern of a whole value as one of a part of a text; with alternatives at its top it stays what it is."""
    bare = _QUOTED.sub("", pattern)
    ends = bare.endswith("$")  # and not with an escaped one
    while bare != (outside := _INNERMOST.sub("", bare)):
        bare = outside
    if "|" in bare:
        return pattern
    return pattern.removeprefix("^").removesuffix("$" if ends else "")


def _chances(candidates: Sequence[Candidate], taken: NDArray[Any], folds: int) -> NDArray[Any]:
    """P(taken) for each candidate, by a model that has not seen its text.

    Where other texts offer only candidates that are taken, or only others, there is no choice to learn from: what
    people took is then certain.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold

    rows: Any = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 3), max_features=50_000).fit_transform(
        [candidate.context for candidate in candidates]
    )
    groups = [candidate.example for candidate in candidates]
    splits = GroupKFold(min(folds, len(set(groups))))
    chances = taken.astype(float)
    for seen, unseen in splits.split(rows, groups=groups):
        if taken[seen].any() and not taken[seen].all():
            model = LogisticRegression(C=5, max_iter=300).fit(rows[seen], taken[seen])
            chances[unseen] = model.predict_proba(rows[unseen])[:, 1]
    return chances


def _context(text: str, start: int, end: int, place: str) -> str:
    """The candidate's rank in its text, and the words before and after it, marked by side."""
    before = re.findall(r"\w+|[^\w\s]", text[max(0, start - SPAN) : start].casefold())[-AROUND:]
    after = re.findall(r"\w+|[^\w\s]", text[end : end + SPAN].casefold())[:AROUND]
    return " ".join([place.replace(" ", "_"), *(f"<{word}" for word in before), *(f"{word}>" for word in after)])


def _usual(candidates: Sequence[Candidate], read: Sequence[int | None]) -> int:
    """Which of two readings people take more often, the first of equals."""
    places = Counter(place for candidate, place in zip(candidates, read, strict=True) if len(candidate.readings) > 1)
    return int(places[1] > places[0])


def _numbers(text: str) -> tuple[float, ...]:
    """The numbers that people may mean by digits with marks: one by 1,299.50 or 1299,5 or 0.125, two by 1.299.

    Only three digits after a mark may be thousands: before it are one to three without a leading zero, or more of them
    with the same mark, which is no decimal mark where it occurs twice: 12,34,567 is whole.
    """
    whole = float(re.sub(r"[.,]", "", text))
    head, mark, tail = re.fullmatch(r"(.*?)(?:([.,])(\d+))?", text).groups()  # pyright: ignore[reportOptionalMemberAccess]
    if not mark or (mark in head and len(tail) > 2):
        return (whole,)
    fraction = float(f"{re.sub(r'[.,]', '', head)}.{tail}")
    if THOUSANDS.fullmatch(text) is None:
        return (fraction,)
    return (whole, fraction) if head.isdigit() else (whole,)


def _key(value: Any) -> Any:
    """What values are compared by: numbers as floats, as `_numbers` reads them."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return value
    try:
        return float(value)
    except OverflowError:  # more than 308 digits
        return math.inf if value > 0 else -math.inf
