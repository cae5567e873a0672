"""What the watch compares: observations as a table of columns, in three groups by the first part of their names.

`input.` describes texts (length, words, digits, unseen words, embeddings and their distance), `output.` the answers
(fields, validity, length, confidence), `quality.` how good they were. Decides which columns there are; what counts as
drift is decided elsewhere.

A field of listed values is compared by its values, an array of labels by whether it has each, a number by whether it is
present and by its size, any other field by whether it is present. So that single outliers do not matter, numbers are
clipped to the reference's range plus some standard deviations on each side. A number that is nearly always the same in
the reference is compared as a label (usual or not); one that often is, as that label and, for other values, as a
number. What is learnt from the reference (directions of embeddings, words) is never applied to the rows that it was
learnt from, nor to others of the same customer, which would look too usual. A field keeps its name: a column about
whole answers that would have the same one is marked.
"""

import math
import re
from collections import Counter
from collections.abc import Container, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd

from components.errors import DataError
from components.records import Observation
from components.schema import ABSENT, Field, fields_of
from components.scorers.answers import NotAnAnswer, read
from components.scorers.matching import is_number

_OTHERS = " (others)"  # suffix of the column with a number's unusual values
_SIZE = " (size)"  # suffix of the column with a number's values, beside the one that says whether it is present
_WHOLE = " (whole)"  # suffix of a column about whole answers, if a field has its name
_LARGEST = 1e100  # number in a column: sums of many such squares are finite
_WORD = re.compile(r"[^\W\d_]+")
_SIGN = re.compile(r"[^\w\s]")
FEWEST_SCORES = 50  # on each side, before quality or the size of a number in answers is compared
_REACH = 3.0
_SETTLED = 0.95  # share of one number in the reference from which the column is only a label
_INFLATED = 0.5  # share from which that number becomes a label beside the others


class Placed(Protocol):
    """A row with a customer and a time."""

    @property
    def customer(self) -> str: ...

    @property
    def at(self) -> float: ...


@dataclass(frozen=True)
class Groups:
    """Which rows of a side belong together: those of a customer, and those in a block of time.

    Group numbers, [rows]; None if unknown.
    """

    customers: np.ndarray | None = None
    blocks: np.ndarray | None = None

    @classmethod
    def of(cls, rows: Sequence[Placed]) -> "Groups":
        """The groups of a side; a row without a customer is a group of its own."""
        customers = _customers(rows) if any(row.customer for row in rows) else None
        if not all(row.at for row in rows):
            return cls(customers)
        length = math.ceil(2 * len(rows) ** (1 / 3))
        ranks = np.empty(len(rows), int)
        ranks[np.argsort([row.at for row in rows], kind="stable")] = np.arange(len(rows))
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
        """The table with numbers clipped to the reference's range plus `_REACH` standard deviations.

        So half a percent of a window cannot move a column, however extreme its values.
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
    """Both sides as a table; `vectors` are the embeddings of their inputs, if available, [rows, size] each.

    Raises:
        DataError: A side is empty.
    """
    if not reference or not current:
        raise DataError(
            f"expected answers on both sides, found {len(reference)} of reference and {len(current)} of now"
        )
    known = {(word, name) for row, name in zip(reference, _names(reference), strict=True) for word in _words(row)}
    first = _describe(reference, schema, known, _names(reference))
    second = _describe(current, schema, known, [row.customer for row in current])
    if vectors is not None:
        near, far = _embedded(*vectors, components, _customers(reference) % 2 == 0)
        first, second = pd.concat([first, near], axis=1), pd.concat([second, far], axis=1)
    return settled(first, second, (Groups.of(reference), Groups.of(current)))


def settled(first: pd.DataFrame, second: pd.DataFrame, groups: tuple[Groups, Groups]) -> Table:
    """A table of two sides, with the columns that can be compared."""
    _settle(first, second)
    names = [str(name) for name in first if _comparable(str(name), first, second)]
    numbers = tuple(name for name in names if first[name].dtype.kind == "f")
    labels = tuple(name for name in names if name not in numbers)
    return Table(first.filter(names), second.filter(names), numbers, labels, groups)


def _settle(first: pd.DataFrame, second: pd.DataFrame) -> None:
    """Replace numbers that are mostly the same in the reference by labels: that number, or another.

    Unless nearly all are the same, the others stay numbers, in a column of their own.
    """
    for name in [name for name in first if first[name].dtype.kind == "f"]:
        known = first[name].dropna()
        usual = known.mode()
        share = float((known == usual[0]).mean()) if len(usual) else 0.0
        if share >= _INFLATED:
            names_of, others = {True: f"{usual[0]:g}", False: "another"}, _free(name + _OTHERS, _OTHERS, set(first))
            for side in (first, second):
                seen = side[name]
                if share < _SETTLED:
                    side[others] = seen.where(seen != usual[0])
                side[name] = (seen == usual[0]).map(names_of).where(seen.notna(), None)


def _comparable(name: str, first: pd.DataFrame, second: pd.DataFrame) -> bool:
    """Whether both sides have values of a column that are not all the same, and enough of scores and sizes."""
    values = first[name].dropna(), second[name].dropna()
    fewest = FEWEST_SCORES if name == "quality.score" or name.endswith((_SIZE, _OTHERS)) else 1
    return min(map(len, values)) >= fewest and len(set(values[0]) | set(values[1])) > 1


def whole(name: str, schema: Mapping[str, Any]) -> str:
    """The name, without the group, of a column about whole answers such as `valid`; marked if a field has it."""
    return _free(name, _WHOLE, {field.name for field in fields_of(schema).leaves})


def _free(name: str, mark: str, taken: Container[str]) -> str:
    """A name that is not taken: this one, marked as often as it needs."""
    while name in taken:
        name += mark
    return name


def text_of(observation: Observation) -> str:
    """All inputs as one text."""
    return "\n".join(observation.input.values())


def _describe(
    rows: Sequence[Observation], schema: Mapping[str, Any], known: Set[tuple[str, str]], names: Sequence[str]
) -> pd.DataFrame:
    """One side's columns. A word is unseen if no customer of the reference but the row's own, by `names`, has used it.

    `known` are (word, customer) pairs of the reference.
    """
    texts = [text_of(row) for row in rows]
    words, users = [_words(row) for row in rows], Counter(word for word, _ in known)
    unseen = [[users[word] == ((word, name) in known) for word in row] for row, name in zip(words, names, strict=True)]
    columns = {
        "input.characters": [float(len(text)) for text in texts],
        "input.words": [float(len(row)) for row in words],
        "input.digits": [sum(map(str.isdigit, text)) / max(len(text), 1) for text in texts],
        "input.punctuation": [len(_SIGN.findall(text)) / max(len(text), 1) for text in texts],
        "input.unseen_words": [sum(row) / max(len(row), 1) for row in unseen],
        **_answers(rows, schema),
        f"output.{whole('valid', schema)}": ["valid" if row.valid else "invalid" for row in rows],
        f"output.{whole('tokens', schema)}": [float(row.output_tokens) for row in rows],
        f"output.{whole('confidence', schema)}": [np.nan if row.confidence is None else row.confidence for row in rows],
        "quality.score": [np.nan if row.score is None else row.score for row in rows],
    }  # fmt: skip
    return pd.DataFrame(columns)


def _answers(rows: Sequence[Observation], schema: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Columns of the answers' fields: listed values by value, others by whether they are present, numbers by size."""
    fields, answers = fields_of(schema).leaves, [_object(row.text, schema) for row in rows]
    columns: dict[str, list[Any]] = {}
    names = {field.name for field in fields}
    for field in fields:
        values: list[Any] = [ABSENT if answer is None else field.of(answer) for answer in answers]
        columns[f"output.{field.name}"] = [_label(field, value) for value in values]
        if field.shape.is_number and not field.shape.is_listed:
            size = _free(field.name + _SIZE, _SIZE, names)
            names.add(size)
            columns[f"output.{size}"] = list(map(number, values))
    return columns


def number(value: Any) -> float:
    """A JSON value as a column of numbers holds it: NaN if it is no number, or one so large that squares overflow."""
    return float(value) if is_number(value) and abs(value) <= _LARGEST else math.nan


def _label(field: Field, value: Any) -> str:
    """A value's label in its column."""
    if value is ABSENT:
        return "missing"
    if not field.shape.is_listed:
        return "none" if value is None else "given"
    return str(value) if field.shape.allows(value) else "other"


def _names(rows: Sequence[Placed]) -> list[str]:
    """The name of each row's customer; a row without one is a customer of its own."""
    return [row.customer or f" {at}" for at, row in enumerate(rows)]


def _customers(rows: Sequence[Placed]) -> np.ndarray:
    """The number of each row's customer, in order of appearance; a row without one is a customer of its own."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in _names(rows)], int)


def _embedded(
    reference: np.ndarray, current: np.ndarray, components: int, learnt_R: np.ndarray
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Columns of both sides: the first principal components of half the reference, and the distance from its mean.

    The distance is Mahalanobis's in these components; 1 is usual. The half that they are learnt from has no values.
    """
    half = reference[learnt_R]
    middle, whole = half.mean(0), min(components, *half.shape)
    _, scales, axes = np.linalg.svd(half - middle, full_matrices=False)
    whole = min(whole, int((scales > 1e-6 * np.linalg.norm(half)).sum()))  # identical inputs have no components
    spread = scales[:whole] / np.sqrt(len(half))

    def side(vectors: np.ndarray) -> pd.DataFrame:
        parts = ((vectors - middle) @ axes[:whole].T / spread).astype(float)
        names = {f"input.embedding_{at + 1}": parts[:, at] for at in range(whole)}
        distance = {"input.distance": np.sqrt((parts**2).mean(1))} if whole else {}
        return pd.DataFrame({**names, **distance}, index=range(len(vectors)))

    return side(np.where(learnt_R[:, None], np.nan, reference)), side(current)


def _words(observation: Observation) -> list[str]:
    return [word.lower() for word in _WORD.findall(text_of(observation))]


def _object(text: str, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    try:
        return read(text, schema)
    except NotAnAnswer:
        return None
