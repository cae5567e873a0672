"""What the watch compares: observations as a table of columns, in three groups by their name's first part.

`input.` describes texts (length, words, digits, words never seen, embeddings and how far off they lie), `output.` the
answers (each field of few values, validity, length, confidence), `quality.` how good they were. Decides what is looked
at; what counts as drift is decided elsewhere.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from components.errors import DataError
from components.records import Observation
from components.scorers.answers import NotAnAnswer, read

Embed = Callable[[Sequence[str]], np.ndarray]

_WORD = re.compile(r"[^\W\d_]+")
_SIGN = re.compile(r"[^\w\s]")
_FEWEST_SCORES = 50  # of each side, before quality is compared


@dataclass(frozen=True)
class Table:
    """Rows of both sides with the same columns; `numbers` are compared as numbers, `labels` as shares."""

    reference: pd.DataFrame
    current: pd.DataFrame
    numbers: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns."""
        return (*self.numbers, *self.labels)


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
    vocabulary = Counter(word for one in reference for word in set(_words(one)))
    first, second = _describe(reference, schema, vocabulary, own=1), _describe(current, schema, vocabulary, own=0)
    if vectors is not None:
        near, far = _embedded(*vectors, components)
        first, second = pd.concat([first, near], axis=1), pd.concat([second, far], axis=1)
    names = [str(name) for name in first if _comparable(str(name), first, second)]
    numbers = tuple(name for name in names if first[name].dtype.kind == "f")
    labels = tuple(name for name in names if name not in numbers)
    return Table(first.filter(names), second.filter(names), numbers, labels)


def _comparable(name: str, first: pd.DataFrame, second: pd.DataFrame) -> bool:
    """Whether both sides have values of a column, and not all the same; of scores enough for a judgement."""
    values = first[name].dropna(), second[name].dropna()
    fewest = _FEWEST_SCORES if name == "quality.score" else 1
    return min(map(len, values)) >= fewest and len(set(values[0]) | set(values[1])) > 1


def text_of(observation: Observation) -> str:
    """All inputs as one text."""
    return "\n".join(observation.input.values())


def _describe(
    rows: Sequence[Observation], schema: Mapping[str, Any], vocabulary: Counter[str], own: int
) -> pd.DataFrame:
    """One side. A word is unseen if no reference text but the row's own (`own` of them) has it."""
    texts = [text_of(one) for one in rows]
    words = [_words(one) for one in rows]
    found = {
        "input.characters": [float(len(text)) for text in texts],
        "input.words": [float(len(one)) for one in words],
        "input.digits": [sum(map(str.isdigit, text)) / max(len(text), 1) for text in texts],
        "input.punctuation": [len(_SIGN.findall(text)) / max(len(text), 1) for text in texts],
        "input.unseen_words": [sum(vocabulary[word] <= own for word in one) / max(len(one), 1) for one in words],
        **_answers(rows, schema),
        "output.valid": ["valid" if one.valid else "invalid" for one in rows],
        "output.tokens": [float(one.output_tokens) for one in rows],
        "output.confidence": [np.nan if one.confidence is None else one.confidence for one in rows],
        "quality.score": [np.nan if one.score is None else one.score for one in rows],
    }  # fmt: skip
    return pd.DataFrame(found)


def _answers(rows: Sequence[Observation], schema: Mapping[str, Any]) -> dict[str, list[str]]:
    """The fields of few values by their values, the others by whether there is one."""
    answers = [_object(one.text, schema) for one in rows]
    found: dict[str, list[str]] = {}
    for field, content in schema["properties"].items():
        few = "enum" in content or content.get("type") == "boolean"
        known = {str(value) for value in content.get("enum", (True, False))}

        def label(
            answer: Mapping[str, Any] | None, field: str = field, few: bool = few, known: set[str] = known
        ) -> str:
            if answer is None or field not in answer:
                return "missing"
            value = answer[field]
            if not few:
                return "none" if value is None else "given"
            return str(value) if str(value) in known else "other"

        found[f"output.{field}"] = [label(answer) for answer in answers]
    return found


def _embedded(reference: np.ndarray, current: np.ndarray, components: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The first principal components of the reference's vectors, and how far from its middle a row lies in them.

    The distance is Mahalanobis's in these components: 1 is a usual row's.
    """
    middle, whole = reference.mean(0), min(components, *reference.shape)
    _, scales, axes = np.linalg.svd(reference - middle, full_matrices=False)
    spread = np.maximum(scales[:whole], 1e-9) / np.sqrt(len(reference))

    def side(vectors: np.ndarray) -> pd.DataFrame:
        parts = ((vectors - middle) @ axes[:whole].T / spread).astype(float)
        names = {f"input.embedding_{at + 1}": parts[:, at] for at in range(whole)}
        return pd.DataFrame({**names, "input.distance": np.sqrt((parts**2).mean(1))})

    return side(reference), side(current)


def _words(one: Observation) -> list[str]:
    return [found.lower() for found in _WORD.findall(text_of(one))]


def _object(text: str, schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    try:
        return read(text, schema)
    except NotAnAnswer:
        return None
