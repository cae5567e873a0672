"""The columns of a source over all its parts, with cells as they are meant: cleaned, parsed, or emptied.

Decides what the text of a cell holds: JSON, Python's notation of a list, a word for nothing, thousands. `columns` says
what kind of values these are, `understanding` what a column is for.
"""

import ast
import json
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_letters
from typing import Any

from components.data.columns import LABEL_CHARACTERS, cell, decimal_sign, either_sign, numbers, without_nothing
from components.data.dates import iso_dates
from components.data.reading.conversations import parsed
from components.data.reading.folders import Source
from components.data.reading.objects import loads

ANSWERS = {
    "answer", "completion", "output", "reply", "response", "sql", "summary", "target", "label", "labels", "intent",
    "intents", "category", "categories", "class", "klass", "topic", "tag", "tags", "sentiment", "expected", "ideal",
    "gold", "translation", "highlights", "slots", "entities", "annotation", "annotations", "kategorie", "thema",
    "expected_output", "ground_truth", "reference", "abstract", "title_summary", "tldr", "rewritten", "correction",
}  # fmt: skip
LABELS = {
    "label", "intent", "category", "class", "klass", "topic", "tag", "sentiment", "kategorie", "thema", "domain",
    "department", "priority", "severity", "status", "emotion", "stance", "product", "target",
}  # fmt: skip
INPUTS = {"text", "input", "prompt", "question", "query", "message", "body", "content", "utterance", "document"}
_MOST_NOTATION = 20_000  # characters of a list or object in Python's notation
# One that never ends is one to the end of the text, or each of its quotes would be searched to there.
_STRING = re.compile(r"'(?:[^'\\]|\\.)*+(?:'|\\?\Z)" r'|"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_IN_TEXT = 0.8  # share of values in the text from which they count as copied from it


@dataclass
class Column:
    """A column: its name in the source and its cells (None if empty).

    `misfits` are the indices of cells that were emptied because they are of another kind than the others; `guess` is
    what is uncertain about how cells were read; `unsaved`: formulas whose results the workbook lacks; `notation`: the
    cells of lists and objects in Python's notation before they were read.
    """

    name: str
    values: list[Any]
    misfits: frozenset[int] = frozenset()
    guess: str = ""
    unsaved: bool = False
    notation: list[Any] | None = None

    @property
    def plain(self) -> str:
        """The name in snake case: `userId` and `User ID` are `user_id`."""
        spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", self.name)
        return re.sub(r"\W+", "_", spaced.lower()).strip("_")

    @property
    def filled(self) -> list[Any]:
        """The non-empty cells."""
        return [value for value in self.values if value is not None]

    @property
    def distinct(self) -> int:
        """The number of distinct values."""
        return len({str(value) for value in self.filled})

    @property
    def is_nested(self) -> bool:
        """Whether some cells are objects or lists."""
        return any(isinstance(value, dict | list) for value in self.filled)


def columns_of(source: Source, inputs: Collection[str] = ()) -> dict[str, Column]:
    """The columns over all parts, with JSON and Python's lists and objects parsed, and words for nothing emptied.

    Such words are emptied among numbers and dates; in answers that were written as text, and in labels, they may be
    some. What a person calls `inputs`, or its name, stays a text in Python's notation.
    """
    names = dict.fromkeys(name for table in source.parts.values() for name in table.columns)
    by_name: dict[str, Column] = {}
    for name in names:
        column = Column(name, [cell(row.get(name)) for table in source.parts.values() for row in table.rows])
        column.unsaved = any(name in table.unsaved for table in source.parts.values())
        is_written = source.roles.get(name) == "answer"
        _parse_all(column, python=name not in inputs and column.plain not in INPUTS)
        if is_written or column.plain in ANSWERS:
            column.values = _mostly_parsed(column.values)
        if not is_written and not names_labels(column):
            column.values = without_nothing(column.values)
        by_name[name] = column
    return by_name


def _mostly_parsed(values: list[Any]) -> list[Any]:
    """Cells with their JSON objects and lists parsed, perhaps out of a code fence, if half of them have one."""
    read = [parsed(_without_fence(value)) for value in values]
    filled = sum(value is not None for value in values)
    nested = sum(isinstance(value, dict | list) for value in read)
    return read if nested and 2 * nested >= filled else values


def _without_fence(value: Any) -> Any:
    """What is within a text's code fence, without the fence's language; other values unchanged."""
    if not isinstance(value, str) or not (value.startswith("```") and value.endswith("```")):
        return value
    return value[3:-3].lstrip(ascii_letters)


def _parse_all(column: Column, *, python: bool) -> None:
    """Parse a column's lists and objects if each cell has one; with `python` in its notation too, as pandas has it."""
    made: list[Any] = []
    from_python = False
    for value in column.values:
        read = parsed(value)
        if python and isinstance(read, str):
            read, from_python = _notation(read), True
        if read is not None and not isinstance(read, dict | list):
            return
        made.append(read)
    if from_python:
        column.notation = column.values
        column.guess = f"`{column.name}` has lists or objects in Python's notation, which are read as such"
    column.values = made


def _notation(text: str) -> Any:
    """A list or object in Python's notation as JSON has it; other texts unchanged, such as lists without commas."""
    # Texts side by side are one for Python, and several for numpy.
    if text[:1] not in ("[", "{") or len(text) > _MOST_NOTATION or re.search(r"'\s*'", _STRING.sub("'", text)):
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes
            return loads(json.dumps(ast.literal_eval(text), allow_nan=False))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return text


def settle_sign(column: Column, columns: Mapping[str, Column], *, pointed: bool) -> str:
    """Read points and commas that may be of thousands or decimals as the other columns' decimals tell.

    `pointed`: where these tell nothing, decimals stand behind points. What nothing tells stays text. Returns a guess on
    it; "" if nothing is uncertain.
    """
    sign = either_sign(column.filled)
    if not sign:
        return ""
    told = {decimal: other.name for other in columns.values() if (decimal := decimal_sign(other.filled))}
    shown = next(value for value in column.filled if isinstance(value, str) and sign in value)
    if not told and pointed:
        told = {".": ""}
    if len(told) == 1 and (sign not in told or not numbers(column.filled)):
        other, point = next(iter(told.values())), "." if sign in told else ""
        column.values = [_unmarked(value, sign, point) for value in column.values]
        reason = (
            f"`{other}` has {'this' if point else 'the other'} sign before decimals" if other else "commas part cells"
        )
        return f"{shown} in `{column.name}` is read as {_unmarked(shown, sign, point)}, since {reason}"
    if numbers(column.filled):
        return ""
    return f"`{column.name}` stays text, since nothing tells whether {shown} has thousands or decimals"


def _unmarked(value: Any, sign: str, point: str) -> Any:
    """A text as a number, with `point` in the place of its sign; other values unchanged."""
    return numbers([value.replace(sign, point)])[0] if isinstance(value, str) else value


def names_labels(column: Column) -> bool:
    """Whether a column's name implies labels, such as `intent`, or lists of them, `intents`."""
    singular = re.sub(r"ies$", "y", column.plain)
    return column.plain in LABELS or singular in LABELS or singular.removesuffix("s") in LABELS


def in_texts(column: Column, texts: Sequence[Column]) -> bool:
    """Whether most values occur in their row's text, so that they are copied from it."""
    if not texts:
        return False
    rows = [
        (str(value), str(text))
        for value, text in zip(column.values, texts[0].values, strict=True)
        if value is not None and text is not None and len(str(value)) > 2
    ][:2000]
    share = sum(value.casefold() in text.casefold() for value, text in rows)
    return len(rows) > 0 and share >= _IN_TEXT * len(rows) and max(len(value) for value, _ in rows) <= LABEL_CHARACTERS


def dated_in_texts(column: Column, texts: Sequence[Column]) -> bool:
    """Whether most texts have the number of their row's day, as in `on 5 March`, so that its date is asked for."""
    days = iso_dates(column.filled)
    if not texts or days is None:
        return in_texts(column, texts)
    dated = [text for value, text in zip(column.values, texts[0].values, strict=True) if value is not None]
    rows = [(int(day[8:]), str(text)) for day, text in zip(days, dated, strict=True) if day and text is not None][:2000]
    named = sum(re.search(rf"(?<!\d)0?{day}(?!\d)", text) is not None for day, text in rows)
    return named >= _IN_TEXT * len(rows) > 0
