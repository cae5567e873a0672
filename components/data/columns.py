"""Guesses what the columns of an unknown file mean: the text, the answer's fields, an id, a group.

Decides by names, types and repetition; the guesses are written where a person reads and corrects them.
"""

import re
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from components.data.tables import Table
from components.data.texts import clean
from components.errors import DataError

MOST_LABELS = 200
MOST_NUMBER_LABELS = 10
ROWS_PER_LABEL = 3
LABEL_CHARACTERS = 80
ANSWER_NAMES = {"answer", "completion", "output", "reply", "response", "sql", "summary", "target"}
SLICE_NAMES = {"channel", "country", "lang", "language", "locale", "source"}
_ID = re.compile(r"\A(.*_)?(id|uuid|key|number|no)", re.IGNORECASE)
_GROUP = re.compile(r"(customer|user|account|client|thread|conversation|session)(_?id)?", re.IGNORECASE)
_TIME = re.compile(r"\A(.*_)?(at|time|timestamp|created|updated)", re.IGNORECASE)
_CLASSES = {"A": "[A-Z]", "a": "[a-z]", "9": r"\d"}


@dataclass
class Guess:
    """What the columns mean: `output` is field → (column, JSON Schema), `left_out` column → why."""

    input: list[str] = field(default_factory=list[str])
    output: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict[str, tuple[str, dict[str, Any]]])
    id: str | None = None
    group: str | None = None
    slices: list[str] = field(default_factory=list[str])
    left_out: dict[str, str] = field(default_factory=dict[str, str])


def guess(table: Table) -> Guess:
    """Guess the meaning of each column.

    Raises:
        DataError: No column can be the text, or none is left for an answer.
    """
    columns = {name: [_cell(row.get(name)) for row in table.rows] for name in table.columns}
    text = _text_column(columns, table)
    found = Guess(input=[text])
    for name, values in columns.items():
        if name != text:
            _place(found, name, values)
    if not found.output:
        raise DataError(
            f"expected a column with the answer (labels, numbers, yes or no) beside `{text}`, "
            f"found {', '.join(name for name in columns if name != text) or 'no other column'} ({table.path})"
        )
    return found


def _cell(value: Any) -> Any:
    """A cell, text cleaned and empty text as None."""
    return clean(value) or None if isinstance(value, str) else value


def _text_column(columns: dict[str, list[Any]], table: Table) -> str:
    """The column of prose: the longest on average among those that neither label, count nor identify."""
    lengths: dict[str, float] = {}
    for name, values in columns.items():
        texts = [value for value in values if isinstance(value, str)]
        if texts and name.lower() not in ANSWER_NAMES and schema_of(texts) in (None, {"type": "string"}):
            lengths[name] = sum(map(len, texts)) / len(values)
    if not lengths:
        raise DataError(f"expected a column of varied text, found none among {', '.join(columns)} ({table.path})")
    text = max(lengths, key=lambda name: lengths[name])
    if not re.fullmatch(r"\w+", text):
        raise DataError(
            f"expected a column name of letters, digits and _ for the text, found `{text}` ({table.path}:1)"
        )
    return text


def _place(found: Guess, name: str, values: list[Any]) -> None:
    """Put one column where it belongs."""
    filled = [value for value in values if value is not None]
    distinct = len({str(value) for value in filled})
    schema = schema_of(values)
    answer = re.sub(r"\W+", "_", name.lower()).strip("_")
    if any(isinstance(value, list | dict) for value in filled):
        found.left_out[name] = "nested"
    elif distinct < 2:
        found.left_out[name] = "the same value in every row"
    elif found.id is None and _ID.fullmatch(name) and distinct == len(values):
        found.id = name
    elif found.group is None and _GROUP.fullmatch(name):
        found.group = name
    elif _TIME.fullmatch(name):
        found.left_out[name] = "a time stamp"
    elif name.lower() in SLICE_NAMES and schema is not None and "enum" in schema:
        found.slices.append(name)
    elif schema is not None and (schema != {"type": "string"} or name.lower() in ANSWER_NAMES):
        found.output[answer or f"field_{len(found.output) + 1}"] = (name, schema)
    elif re.fullmatch(r"\w+", name):
        found.input.append(name)
    else:
        found.left_out[name] = "text under a name that prompts cannot refer to"


def schema_of(values: list[Any]) -> dict[str, Any] | None:
    """The JSON Schema of a column's values, None meaning empty: boolean, number, labels, code or any string.

    None for a column that is empty or nested.
    """
    filled = [value for value in values if value is not None]
    if not filled or any(isinstance(value, list | dict) for value in filled):
        return None
    texts = [str(value).lower() if isinstance(value, bool) else str(value) for value in filled]
    empty = len(filled) < len(values)
    if {text.lower() for text in texts} in ({"true", "false"}, {"yes", "no"}):
        return _typed("boolean", empty)
    numbers = _numbers(texts)
    labels = sorted(set(numbers) if numbers else set(texts), key=lambda label: (str(label).lower(), str(label)))
    most = MOST_NUMBER_LABELS if numbers else MOST_LABELS
    few = 1 < len(labels) <= most and len(filled) >= ROWS_PER_LABEL * len(labels)
    if (
        few
        and all(len(str(label)) <= LABEL_CHARACTERS for label in labels)
        and not any(isinstance(x, float) for x in labels)
    ):
        return {"enum": [*(sorted(set(numbers)) if numbers else labels), *([None] if empty else [])]}
    if numbers:
        return _typed("integer" if all(isinstance(number, int) for number in numbers) else "number", empty)
    if pattern := code_pattern(texts):
        return {**_typed("string", empty), "pattern": pattern}
    return {"type": "string"}


def _typed(kind: str, empty: bool) -> dict[str, Any]:
    return {"type": [kind, "null"] if empty else kind}


def _numbers(texts: list[str]) -> list[int | float]:
    """The numbers that all texts are, or none; codes with leading zeros are no numbers."""
    if not all(re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?", text) for text in texts):
        return []
    return [float(text) if "." in text else int(text) for text in texts]


def code_pattern(texts: list[str]) -> str | None:
    r"""The pattern that codes such as XK-10345 share, `^[A-Z]{2}-\d{5}$`; None where they differ or are prose."""
    shapes = [[(kind, len(list(run))) for kind, run in groupby(map(_class, text))] for text in set(texts)]
    kinds = [kind for kind, _ in shapes[0]]
    if "9" not in kinds or any([kind for kind, _ in shape] != kinds for shape in shapes):
        return None
    if any(character.isspace() for text in texts for character in text):
        return None
    parts: list[str] = []
    for place, kind in enumerate(kinds):
        lengths = {shape[place][1] for shape in shapes}
        low, high = min(lengths), max(lengths)
        times = "" if high == 1 else f"{{{low}}}" if low == high else f"{{{low},{high}}}"
        parts.append(_CLASSES.get(kind, re.escape(kind).replace(r"\-", "-")) + times)
    return f"^{''.join(parts)}$"


def _class(character: str) -> str:
    """A, a or 9 for the letters and digits of ASCII; any other character stands for itself."""
    if not character.isascii() or not character.isalnum():
        return character
    return "9" if character.isdigit() else "A" if character.isupper() else "a"
