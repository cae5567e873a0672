"""How likely an extracted value is wrong: where the text offers several of its kind, another one may look righter.

Works on fields whose values stand in the text. A linear model of the words around a candidate learns, from the other
demonstrations, which of them people take. No reference is read.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.schema import Shape
from components.scorers.patterns import TooSlow, compiled

AROUND = 5  # words on each side of a candidate
SPAN = 60  # characters in which they are looked for
FOUND_SHARE = 0.8  # of a field's values, from which it is called extracted
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class Pointed:
    """P(value) of each example, the value that is likeliest, and whether the example's own stands in the text."""

    probability: NDArray[Any]
    likeliest: list[Any]
    found: list[bool]


@dataclass(frozen=True)
class Candidate:
    """A value that a text offers: whose text, which value, and the words around it."""

    example: int
    value: Any
    context: str


def point(shape: Shape, texts: Sequence[str], values: Sequence[Any], folds: int) -> Pointed | None:
    """Judge a field's values by the candidates of their texts; None where the field is not extracted."""
    candidates = [one for number, text in enumerate(texts) for one in offered(number, text, shape)]
    by_text: dict[int, list[Any]] = {}
    for one in candidates:
        by_text.setdefault(one.example, []).append(one.value)
    found = [value is None or _key(value) in map(_key, by_text.get(n, [])) for n, value in enumerate(values)]
    known = [n for n, value in enumerate(values) if value is not None]
    if len(known) < folds or sum(found[n] for n in known) < FOUND_SHARE * len(known):
        return None
    taken = np.array([_key(one.value) == _key(values[one.example]) for one in candidates])
    if taken.all() or not taken.any():
        return None
    chances = _chances(candidates, taken, folds)
    probability, likeliest = np.ones(len(values)), list(values)
    for one, chance, is_taken in zip(candidates, chances, taken, strict=True):
        doubt = chance if is_taken else 1 - chance
        if doubt < probability[one.example]:
            probability[one.example] = doubt
            if not is_taken:
                likeliest[one.example] = one.value
            elif len(by_text[one.example]) == 1:
                likeliest[one.example] = None
    return Pointed(probability, likeliest, found)


def offered(number: int, text: str, shape: Shape) -> list[Candidate]:
    """The strings of the field's pattern, or the numbers, that a text holds; none for a field of free texts."""
    if shape.pattern is not None and "string" in shape.kinds:
        spans = _spans(shape.pattern, text)
        values: list[Any] = [text[start:end] for start, end in spans]
    elif shape.is_number:
        spans = [match.span() for match in NUMBER.finditer(text)]
        values = [_number(text[start:end]) for start, end in spans]
    else:
        return []
    return [
        Candidate(number, value, _context(text, *span, f"{place} of {len(spans)}"))
        for place, (span, value) in enumerate(zip(spans, values, strict=True), start=1)
    ]


def _spans(pattern: str, text: str) -> list[tuple[int, int]]:
    """Where a field's pattern occurs; nowhere in a text that cannot be searched in time."""
    try:
        return compiled(pattern.removeprefix("^").removesuffix("$")).spans(text)
    except TooSlow:
        return []


def _chances(candidates: Sequence[Candidate], taken: NDArray[Any], folds: int) -> NDArray[Any]:
    """P(taken) of each candidate by a model that has not seen its text."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict

    rows = TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 3), max_features=50_000).fit_transform(
        [one.context for one in candidates]
    )
    groups = [one.example for one in candidates]
    splits = min(folds, len(set(groups)))
    model = LogisticRegression(C=5, max_iter=300)
    found = cross_val_predict(model, rows, taken, groups=groups, cv=GroupKFold(splits), method="predict_proba")
    return np.asarray(found)[:, 1]


def _context(text: str, start: int, end: int, place: str) -> str:
    """The candidate's place among its kind, and the words before and after it, marked by their side."""
    before = re.findall(r"\w+|[^\w\s]", text[max(0, start - SPAN) : start].casefold())[-AROUND:]
    after = re.findall(r"\w+|[^\w\s]", text[end : end + SPAN].casefold())[:AROUND]
    return " ".join([place.replace(" ", "_"), *(f"<{word}" for word in before), *(f"{word}>" for word in after)])


def _number(text: str) -> float:
    """1,299.50 and 1299,5 and 1.299 are the numbers that people mean by them."""
    head, mark, tail = re.fullmatch(r"(.*?)(?:([.,])(\d{1,2}))?", text).groups()  # pyright: ignore[reportOptionalMemberAccess]
    whole = re.sub(r"[.,]", "", head)
    return float(f"{whole}.{tail}") if mark else float(whole)


def _key(value: Any) -> Any:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
