"""What the watch compares: observations as a table of columns, in three groups by their name's first part.

`input.` describes texts (length, words, digits, words never seen, embeddings and how far off they lie), `output.` the
answers (fields, validity, length, confidence), `quality.` how good they were. Decides what is looked at; what counts as
drift is decided elsewhere.

A field of listed values is looked at by its values, an array of labels by whether it has each, a number by whether it
is there and by how large it is, any other field by whether it is there. One value far out says nothing of the others:
numbers are compared within the reference's range, some standard deviations wider on each side. A number that is nearly
always the same in the reference is compared as a label, by whether it is the usual one; one that often is, as that
label and, where it is another, as a number. What is learnt from the reference (embeddings' directions, words) is never
tried on what it was learnt from, nor on others of the same customer: that would look more usual than it is.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd

from components.errors import DataError
from components.records import Observation
from components.schema import ABSENT, Field, fields_of
from components.scorers.answers import NotAnAnswer, read
from components.scorers.matching import is_number

_OTHERS = " (others)"  # of the column with a number's values where it is not the usual one
_SIZE = " (size)"  # of the column with a number's values, beside the one with whether it is there
_WORD = re.compile(r"[^\W\d_]+")
_SIGN = re.compile(r"[^\w\s]")
_FEWEST_SCORES = 50  # of each side, before quality or the size of a number in answers is compared
_REACH = 3.0
_SETTLED = 0.95  # share of one number in the reference from which it is the usual one
_INFLATED = 0.5  # from which it is told apart from the others


class Placed(Protocol):
    """A row that belongs to a customer and to a moment."""

    @property
    def customer(self) -> str: ...

    @property
    def at(self) -> float: ...


@dataclass(frozen=True)
class Groups:
    """Which rows of a side go together: those of a customer, and in order of time those that follow each other.

    Numbers of groups, [rows]; None where nobody knows.
    """

    customers: np.ndarray | None = None
    blocks: np.ndarray | None = None

    @classmethod
    def of(cls, rows: Sequence[Placed]) -> "Groups":
        """The groups of a side; a row without a customer is a group of its own."""
        customers = _customers(rows) if any(one.customer for one in rows) else None
        if not all(one.at for one in rows):
            return cls(customers)
        length = math.ceil(2 * len(rows) ** (1 / 3))
        ranks = np.empty(len(rows), int)
        ranks[np.argsort([one.at for one in rows], kind="stable")] = np.arange(len(rows))
        return cls(customers, ranks // length)


@dataclass(frozen=True)
class Table:
    """Rows of both sides with the same columns; `numbers` are compared as numbers, `labels` as shares."""

    reference: pd.DataFrame
    current: pd.DataFrame
    numbers: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[Groups, Groups] = (Groups(), Groups())

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns."""
        return (*self.numbers, *self.labels)

    def bounded(self) -> "Table":
        """The table as it is compared: numbers no further out than `_REACH` standard deviations beyond the reference's.

        Half a percent of a window cannot move a column, however far out it lies.
        """
        first, second = self.reference.copy(), self.current.copy()
        for name in self.numbers:
            usual = first[name].dropna()
            reach = _REACH * float(usual.std(ddof=0))
            low, high = float(usual.min()) - reach, float(usual.max()) + reach
            second[name] = second[name].clip(low, high)
        return replace(self, reference=first, current=second)


def compare(
    reference: Sequence[Observation],
    current: Sequence[Observation],
    schema: Mapping[str, Any],
    vectors: tuple[np.ndarray, np.ndarray] | None,
    components: int,
) -> Table:
    """Both sides as a table; `vectors` are the embeddings of their inputs, if there are any, [rows, size] each.

    Raises:
        DataError: A side is empty.
    """
    if not reference or not current:
        raise DataError(
            f"expected answers on both sides, found {len(reference)} of reference and {len(current)} of now"
        )
    known = {(word, name) for one, name in zip(reference, _names(reference), strict=True) for word in _words(one)}
    first = _describe(reference, schema, known, _names(reference))
    second = _describe(current, schema, known, [one.customer for one in current])
    if vectors is not None:
        near, far = _embedded(*vectors, components, _customers(reference) % 2 == 0)
        first, second = pd.concat([first, near], axis=1), pd.concat([second, far], axis=1)
    return settled(first, second, (Groups.of(reference), Groups.of(current)))


def settled(first: pd.DataFrame, second: pd.DataFrame, groups: tuple[Groups, Groups]) -> Table:
    """Two sides with the same columns, as they are compared."""
    _settle(first, second)
    names = [str(name) for name in first if _comparable(str(name), first, second)]
    numbers = tuple(name for name in names if first[name].dtype.kind == "f")
    labels = tuple(name for name in names if name not in numbers)
    return Table(first.filter(names), second.filter(names), numbers, labels, groups)


def _settle(first: pd.DataFrame, second: pd.DataFrame) -> None:
    """Numbers that are nearly always the same in the reference become labels: that one, or another.

    Of those that often are, the others stay numbers, in a column of their own.
    """
    for name in [name for name in first if first[name].dtype.kind == "f"]:
        known = first[name].dropna()
        usual = known.mode()
        share = float((known == usual[0]).mean()) if len(usual) else 0.0
        if share >= _INFLATED:
            told = {True: f"{usual[0]:g}", False: "another"}
            for side in (first, second):
                seen = side[name]
                if share < _SETTLED:
                    side[f"{name}{_OTHERS}"] = seen.where(seen != usual[0])
                side[name] = (seen == usual[0]).map(told).where(seen.notna(), None)


def _comparable(name: str, first: pd.DataFrame, second: pd.DataFrame) -> bool:
    """Whether both sides have values of a column, and not all the same; of scores and sizes enough for a judgement."""
    values = first[name].dropna(), second[name].dropna()
    fewest = _FEWEST_SCORES if name == "quality.score" or name.endswith((_SIZE, _OTHERS)) else 1
    return min(map(len, values)) >= fewest and len(set(values[0]) | set(values[1])) > 1


def text_of(observation: Observation) -> str:
    """All inputs as one text."""
    return "\n".join(observation.input.values())


def _describe(
    rows: Sequence[Observation], schema: Mapping[str, Any], known: Set[tuple[str, str]], names: Sequence[str]
) -> pd.DataFrame:
    """One side. A word is unseen if no other customer of the reference has it than the row's own, by `names`.

    `known` are the words of the reference, each with the customers who used it.
    """
    texts = [text_of(one) for one in rows]
    words, users = [_words(one) for one in rows], Counter(word for word, _ in known)
    unseen = [[users[word] == ((word, name) in known) for word in one] for one, name in zip(words, names, strict=True)]
    found = {
        "input.characters": [float(len(text)) for text in texts],
        "input.words": [float(len(one)) for one in words],
        "input.digits": [sum(map(str.isdigit, text)) / max(len(text), 1) for text in texts],
        "input.punctuation": [len(_SIGN.findall(text)) / max(len(text), 1) for text in texts],
        "input.unseen_words": [sum(one) / max(len(one), 1) for one in unseen],
        **_answers(rows, schema),
        "output.valid": ["valid" if one.valid else "invalid" for one in rows],
        "output.tokens": [float(one.output_tokens) for one in rows],
        "output.confidence": [np.nan if one.confidence is None else one.confidence for one in rows],
        "quality.score": [np.nan if one.score is None else one.score for one in rows],
    }  # fmt: skip
    return pd.DataFrame(found)


def _answers(rows: Sequence[Observation], schema: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The fields of listed values by their values, the others by whether there is one, and numbers by their size."""
    fields, answers = fields_of(schema), [_object(one.text, schema) for one in rows]
    found: dict[str, list[Any]] = {}
    for field in fields.leaves:
        values: list[Any] = [ABSENT if answer is None else field.of(answer) for answer in answers]
        found[f"output.{field.name}"] = [_label(field, value) for value in values]
        if field.shape.is_number and not field.shape.is_listed:
            found[f"output.{field.name}{_SIZE}"] = [float(value) if is_number(value) else np.nan for value in values]
    return found


def _label(field: Field, value: Any) -> str:
    """A value as the column shows it."""
    if value is ABSENT:
        return "missing"
    if not field.shape.is_listed:
        return "none" if value is None else "given"
    return str(value) if field.shape.allows(value) else "other"


def _names(rows: Sequence[Placed]) -> list[str]:
    """The name of each row's customer; a row without one is its own."""
    return [one.customer or f" {at}" for at, one in enumerate(rows)]


def _customers(rows: Sequence[Placed]) -> np.ndarray:
    """The number of each row's customer, in order of their coming; a row without one is its own."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in _names(rows)], int)


def _embedded(
    reference: np.ndarray, current: np.ndarray, components: int, learnt_R: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The first principal components of a half of the reference, and how far from its middle a row lies in them.

    The distance is Mahalanobis's in these components: 1 is a usual row's. The half that they are learnt from has none.
    """
    half = reference[learnt_R]
    middle, whole = half.mean(0), min(components, *half.shape)
    _, scales, axes = np.linalg.svd(half - middle, full_matrices=False)
    whole = min(whole, int((scales > 1e-6 * np.linalg.norm(half)).sum()))  # inputs all alike differ in nothing
    spread = scales[:whole] / np.sqrt(len(half))

    def side(vectors: np.ndarray) -> pd.DataFrame:
        parts = ((vectors - middle) @ axes[:whole].T / spread).astype(float)
        names = {f"input.embedding_{at + 1}": parts[:, at] for at in range(whole)}
        distance = {"input.distance": np.sqrt((parts**2).mean(1))} if whole else {}
        return pd.DataFrame({**names, **distance}, index=range(len(vectors)))

    return side(np.where(learnt_R[:, None], np.nan, reference)), side(current)


def _words(one: Observation) -> list[str]:
    return [found.lower() for found in _WORD.findall(text_of(one))]


def _object(text: str, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    try:
        return read(text, schema)
    except NotAnAnswer:
        return None
