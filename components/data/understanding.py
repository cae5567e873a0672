"""Interprets an unknown source: inputs, the answer, ids, groups, dates, and what is left out and why.

Decides by names, types and repetition, and reports guesses. A person can overrule it (`roles`); the interpretation is
shown before anything is written.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from unicodedata import normalize

from components.data.cells import (
    ANSWERS,
    INPUTS,
    LABELS,
    Column,
    columns_of,
    dated_in_texts,
    in_texts,
    names_labels,
    settle_sign,
)
from components.data.columns import cell, either_sign, is_free, kind_of, object_of, schema_of
from components.data.dates import are_dates, iso_dates, look_like_dates
from components.data.reading.folders import Source
from components.data.texts import listed
from components.errors import ConfigError, DataError
from components.params.answers import FIELD

ROLES = ("input", "answer", "id", "group", "slice", "date", "leave")
NUMBERS_ROWS = "it numbers the rows"  # why an index is left out
Kind = Literal["object", "label", "text", "list"]
_NESTED_ANSWERS = ("slot", "slots", "entities", "labels", "intents", "tags", "answer", "answers", "frame")
_BOOKKEEPING = {"fold", "weight", "tokens", "hash", "checksum", "row", "line", "latency", "cost"}
_SLICES = {"channel", "country", "lang", "language", "locale", "source"}
_ID = re.compile(r"\A(.*_)?(id|uuid|guid|key|number|no|index|idx)")
_SURE_ID = re.compile(r"\A(.*_)?(id|uuid|guid|index|idx)")
_GROUP = re.compile(r"(customer|user|account|client|thread|conversation|session)(_?id)?")
_TIME = re.compile(
    r"\A(.*_)?(at|on|time|timestamp|created|updated|date|datum|received|sent|ts|datetime|epoch|modified|opened|closed|zeitstempel)(_.*)?"
)
# Dates that a text is read for, rather than those of its row.
_ASKED = re.compile(
    r"\A(.*_)?(due|deadline|delivery|expiry|expires|expiration|until|birth|birthday|dob|appointment|arrival|departure"
    r"|frist|fällig|faellig|termin|lieferdatum|geburtsdatum)(_.*)?"
)
_EMPTY = {
    False: "empty in every row",
    True: "empty in every row: its formulas have no saved results, open the workbook in Excel and save it",
}
_UNREAD = "dates whose day and month could be either, or in a form that is not read"
_UNNAMED = re.compile(r"(column|unnamed)_\d+")  # what readers and pandas call a column without a name
_KINDS = {"object": "objects", "array": "lists", "string": "texts", "number": "numbers", "boolean": "booleans"}
_ALIKE = 0.9  # share of a column's answers of one kind from which those of another are left out
_MOSTLY = 0.9  # share of empty cells from which a column is ignored


@dataclass
class Understood:
    """The meaning of the `columns` of all parts. `inputs` is name → column, `output` field → (column, JSON Schema).

    `kind` is the form of answers: an object, or a bare value. `expanded` names the column of objects whose keys are the
    fields. `guesses` are uncertain decisions.
    """

    columns: dict[str, Column] = field(default_factory=dict[str, Column])
    kind: Kind = "object"
    inputs: dict[str, str] = field(default_factory=dict[str, str])
    output: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict[str, tuple[str, dict[str, Any]]])
    required: list[str] = field(default_factory=list[str])
    expanded: str | None = None
    id: str | None = None
    group: str | None = None
    slices: list[str] = field(default_factory=list[str])
    date: str | None = None
    left_out: dict[str, str] = field(default_factory=dict[str, str])
    guesses: list[str] = field(default_factory=list[str])
    repeated: int = 0


def understand(source: Source, roles: Mapping[str, str] | None = None) -> Understood:
    """Infer the meaning of each column; `roles` (column → one of ROLES) are given by a person.

    Raises:
        ConfigError: A role or its column does not exist.
        DataError: No column can be the text, none remains for the answer, or answers are of several kinds.
    """
    columns = columns_of(source, [name for name, role in (roles or {}).items() if role == "input"])
    assigned = {**source.roles, **_checked(roles or {}, columns)}
    meaning = Understood(columns, guesses=[column.guess for column in columns.values() if column.guess])
    texts = _inputs(columns, assigned, meaning)
    answers = [column for column in columns.values() if assigned.get(column.name) == "answer"]
    for column in columns.values():
        if column.name not in assigned and column not in texts and _numbers_rows(column, source):
            meaning.left_out[column.name] = NUMBERS_ROWS
        elif column.name not in assigned and column not in texts:
            _place(meaning, column, texts, answers, assigned)
        elif assigned.get(column.name) not in (None, "input", "answer"):
            _assign_role(meaning, column, assigned[column.name])
    _settle(meaning, texts, answers, source, assigned)
    if _is_only_dated(meaning, assigned):
        meaning.guesses.append(f"`{meaning.date}` is taken for the rows' date, since all of it are dates")
    meaning.inputs = _input_names(texts, (meaning.id, meaning.group, meaning.date, *meaning.slices))
    meaning.repeated = _repeated(source, meaning)
    return meaning


def _numbers_rows(column: Column, source: Source) -> bool:
    """Whether a column without a name numbers the rows of all parts or of each, as pandas writes an index."""
    if not _UNNAMED.fullmatch(column.plain):
        return False
    texts = [str(value) for value in column.values]
    if not all(re.fullmatch(r"[0-9]{1,18}", text) for text in texts):
        return False
    numbers = iter(map(int, texts))
    parts = [[next(numbers) for _ in table.rows] for table in source.parts.values()]
    return _are_consecutive([number for part in parts for number in part]) or all(map(_are_consecutive, parts))


def _are_consecutive(numbers: Sequence[int]) -> bool:
    """Whether whole numbers, in any order, have neither gaps nor repetitions; shuffled rows keep their index."""
    return len(set(numbers)) == len(numbers) == max(numbers, default=-1) - min(numbers, default=0) + 1


def _checked(roles: Mapping[str, str], columns: Mapping[str, Column]) -> dict[str, str]:
    for name, role in roles.items():
        if name not in columns:
            raise ConfigError(f"expected a column of the source ({', '.join(columns)}), found {name!r}")
        if role not in ROLES:
            raise ConfigError(f"expected a role of {', '.join(ROLES)} for {name}, found {role!r}")
    return dict(roles)


def _inputs(columns: Mapping[str, Column], assigned: Mapping[str, str], meaning: Understood) -> list[Column]:
    """The input columns: those given, else the one with prose."""
    given = [columns[name] for name, role in assigned.items() if role == "input" and name in columns]
    if given:
        return given
    free = [column for column in columns.values() if column.name not in assigned and not _is_time(column, ())]
    lengths: dict[str, float] = {}
    for column in free:
        texts = [value for value in column.filled if isinstance(value, str)]
        named = column.plain in LABELS
        if (
            texts
            and (column.distinct > 1 or len(column.values) == 1)
            and not column.is_nested
            and column.plain not in ANSWERS
            and not (_SURE_ID.fullmatch(column.plain) and not any(" " in text for text in texts))
            and is_free(schema_of(texts, named=named) or {"type": "string"})
        ):
            bonus = 2 if column.plain in INPUTS else 1
            lengths[column.name] = bonus * sum(map(len, texts)) / len(column.values)
    if not lengths:
        lengths = _sentences(free) or _notations(free, meaning)
    if not lengths:
        raise DataError(f"expected a column of varied text, found none among {', '.join(columns) or 'no columns'}")
    best = max(lengths, key=lambda name: lengths[name])
    if len(lengths) > 1 and columns[best].plain not in INPUTS:
        others = ", ".join(f"`{name}`" for name in lengths if name != best)
        meaning.guesses.append(f"`{best}` is taken for the text, since its texts are the longest (beside {others})")
    return [columns[best]]


def _sentences(columns: Sequence[Column]) -> dict[str, float]:
    """Columns of texts that repeat like labels but look like sentences: name → mean length."""
    mean_lengths: dict[str, float] = {}
    for column in columns:
        texts = [value for value in column.filled if isinstance(value, str)]
        words = sum(len(text.split()) for text in texts)
        if texts and column.plain not in ANSWERS | LABELS and words >= 3 * len(texts) and column.distinct > 5:
            mean_lengths[column.name] = sum(map(len, texts)) / len(column.values)
    return mean_lengths


def _notations(columns: Sequence[Column], meaning: Understood) -> dict[str, float]:
    """The first column of lists or objects in Python's notation, as the texts that it was: nothing else is a text."""
    for column in columns:
        if column.notation is not None and column.plain not in ANSWERS and not names_labels(column):
            column.values = column.notation
            meaning.guesses.remove(column.guess)
            return {column.name: 1.0}
    return {}


def _place(
    meaning: Understood, column: Column, texts: list[Column], answers: list[Column], assigned: Collection[str]
) -> None:
    """Assign a role to a column that is not among the `assigned` ones."""
    filled, distinct, plain = column.filled, column.distinct, column.plain
    if not filled:
        meaning.left_out[column.name] = _EMPTY[column.unsaved]
    elif distinct < 2:
        meaning.left_out[column.name] = "the same value in every row"
    elif len(filled) < (1 - _MOSTLY) * len(column.values) and plain not in ANSWERS:
        meaning.left_out[column.name] = "empty in most rows"
    elif plain in _BOOKKEEPING:
        meaning.left_out[column.name] = "it describes the row, not the text"
    elif meaning.id is None and _ID.fullmatch(plain) and distinct == len(column.values) and not in_texts(column, texts):
        meaning.id = column.name
    elif meaning.group is None and _GROUP.fullmatch(plain):
        meaning.group = column.name
    elif _SURE_ID.fullmatch(plain) and not in_texts(column, texts) and plain not in ANSWERS:
        meaning.left_out[column.name] = "an id that repeats" if distinct < len(filled) else "another id"
    elif _is_time(column, texts):
        _date(meaning, column, assigned)
    elif column.is_nested:
        return _nested(meaning, column, answers)
    else:
        return _scalar(meaning, column, texts, answers)
    return None


def _is_time(column: Column, texts: Sequence[Column]) -> bool:
    """Whether a column has its rows' dates, and not some that are asked for.

    A column called time has, though if not all are read, those copied from their texts are answers. Another has if all
    of it are dates and their texts do not name their days.
    """
    if _ASKED.fullmatch(column.plain):
        return False
    if not _TIME.fullmatch(column.plain):
        known = ANSWERS | LABELS
        return column.plain not in known and are_dates(column.filled) and not dated_in_texts(column, texts)
    dates = iso_dates(column.filled)
    if dates is not None and None not in dates:
        return True
    return look_like_dates(column.filled) and not in_texts(column, texts)


def _date(meaning: Understood, column: Column, assigned: Collection[str]) -> None:
    """Take the first column whose dates can be read for the rows' date, and one that is called so before others."""
    if iso_dates(column.filled) is None:
        meaning.left_out[column.name] = _UNREAD
    elif meaning.date is None:
        meaning.date = column.name
    elif _is_only_dated(meaning, assigned) and _TIME.fullmatch(column.plain):
        meaning.left_out[meaning.date], meaning.date = "a time stamp", column.name
    else:
        meaning.left_out[column.name] = "a time stamp"


def _is_only_dated(meaning: Understood, assigned: Collection[str]) -> bool:
    """Whether the rows' date was chosen for what its column holds, neither by its name nor by a person."""
    date = meaning.date
    return date is not None and date not in assigned and not _TIME.fullmatch(meaning.columns[date].plain)


def _nested(meaning: Understood, column: Column, answers: list[Column]) -> None:
    """Objects and lists are answers if the column has an answer's name; otherwise they are left out."""
    if column.plain in ANSWERS or column.plain.endswith(_NESTED_ANSWERS) or names_labels(column):
        answers.append(column)
    else:
        meaning.left_out[column.name] = "nested"


def _scalar(meaning: Understood, column: Column, texts: list[Column], answers: list[Column]) -> None:
    schema = schema_of(column.values, named=names_labels(column))
    if column.plain in _SLICES and schema is not None and "enum" in schema:
        meaning.slices.append(column.name)
    elif (
        column.plain in ANSWERS | LABELS
        or in_texts(column, texts)
        or not is_free(schema or {"type": "string"})
        or either_sign(column.filled)
    ):
        answers.append(column)
    elif schema is None:
        meaning.left_out[column.name] = "values of several kinds"
    else:
        texts.append(column)


def _assign_role(meaning: Understood, column: Column, role: str) -> None:
    """Assign the role given by a person or the format."""
    if role == "id":
        meaning.id = column.name
    elif role == "group":
        meaning.group = column.name
    elif role == "slice":
        meaning.slices.append(column.name)
    elif role == "date":
        meaning.date = column.name
    else:
        meaning.left_out[column.name] = "as requested"


def _settle(
    meaning: Understood, texts: list[Column], answers: list[Column], source: Source, assigned: Collection[str]
) -> None:
    """Decide the answer's fields and its form."""
    if not answers:
        answers += _last_resort(meaning, texts, assigned)
    if not answers:
        raise DataError(
            f"expected a column with the answer (labels, numbers, yes or no, a text) beside `{texts[0].name}`, "
            f"found {_others(meaning, texts)}"
        )
    pointed = all(table.pointed for table in source.parts.values())
    for column in answers:
        _keep_one_kind(column)
        if source.roles.get(column.name) == "answer":
            continue
        if guess := settle_sign(column, meaning.columns, pointed=pointed):
            meaning.guesses.append(guess)
    only = answers[0] if len(answers) == 1 else None
    if only is not None and only.filled and all(isinstance(value, dict) for value in only.filled):
        return _expand(meaning, only)
    if only is not None and (alone := _alone(only, source)) is not None:
        meaning.kind, schema = alone
        meaning.output, meaning.required = {FIELD: (only.name, schema)}, [FIELD]
        return None
    for column in answers:
        schema = schema_of(column.values, named=names_labels(column)) or {"type": "string"}
        if is_free(schema) and len(column.filled) < len(column.values):
            schema = {"type": ["string", "null"]}
        name = _free_name(column.plain or f"field_{len(meaning.output) + 1}", meaning.output)
        meaning.output[name] = (column.name, schema)
        if name != column.plain:
            meaning.guesses.append(f"`{column.name}` is the field {name}, since {column.plain} is taken")
    meaning.required = list(meaning.output)
    meaning.guesses += _on_nulls(answers, texts)
    return None


def _others(meaning: Understood, texts: Sequence[Column]) -> str:
    """The columns besides the inputs, with the reason of those that are left out, for an error."""
    names = [name for name in meaning.columns if name not in {text.name for text in texts}]
    said = [f"{name} ({why})" if (why := meaning.left_out.get(name)) else name for name in names]
    return ", ".join(said) or "no other column"


def _keep_one_kind(column: Column) -> None:
    """Empty the few answers of another kind than the others, such as a refusal among objects.

    Raises:
        DataError: They are too many to be left out.
    """
    kinds = Counter(kind_of(value) for value in column.filled)
    if not column.is_nested or len(kinds) < 2:
        return
    (most, n), *_ = kinds.most_common()
    if n < _ALIKE * kinds.total():
        found = " and ".join(f"{_KINDS[kind]} ({count:,})" for kind, count in kinds.most_common())
        raise DataError(f"expected answers of one kind in `{column.name}`, found {found}")
    column.misfits = frozenset(
        index for index, value in enumerate(column.values) if value is not None and kind_of(value) != most
    )
    column.values = [None if index in column.misfits else value for index, value in enumerate(column.values)]


def _on_nulls(answers: Sequence[Column], texts: Sequence[Column]) -> list[str]:
    """A guess on answers that are empty in some rows, other than those copied from the text, which may lack them."""
    empty = [
        f"`{column.name}` in {missing:,} of {len(column.values):,}"
        for column in answers
        if (missing := len(column.values) - len(column.filled)) and not in_texts(column, texts)
    ]
    return [f"rows without an answer teach null: {listed(empty)}"] if empty else []


def _last_resort(meaning: Understood, texts: list[Column], assigned: Collection[str]) -> list[Column]:
    """The answer if no column looks like one: a date, the last text besides the input, or an id.

    A date that was assigned stays one, and so does one that is called so unless it stands in the texts.
    """
    columns = meaning.columns
    if meaning.date is not None and meaning.date not in assigned and in_texts(columns[meaning.date], texts):
        column, meaning.date = columns[meaning.date], None
        meaning.guesses.append(f"`{column.name}` is taken for the answer, since its dates stand in the texts")
        return [column]
    if len(texts) > 1:
        column = texts.pop()
        meaning.guesses.append(f"`{column.name}` is taken for the answer, since no other column looks like one")
        return [column]
    if meaning.date is not None and _is_only_dated(meaning, assigned):
        column, meaning.date = columns[meaning.date], None
        meaning.guesses.append(f"`{column.name}` is taken for the answer, since no other column looks like one")
        return [column]
    if meaning.id is not None:
        column, meaning.id = columns[meaning.id], None
        meaning.guesses.append(f"`{column.name}` is taken for the answer, since no other column looks like one")
        return [column]
    for name, reason in meaning.left_out.items():
        is_other_date = reason == _UNREAD and not _TIME.fullmatch(columns[name].plain)
        if is_other_date or (reason == "nested" and len({kind_of(value) for value in columns[name].filled}) == 1):
            del meaning.left_out[name]
            meaning.guesses.append(f"`{name}` is taken for the answer, since no other column looks like one")
            return [columns[name]]
    return []


def _alone(column: Column, source: Source) -> tuple[Kind, dict[str, Any]] | None:
    """The form of a single-valued answer without an object; None if it stays an object's field."""
    from_chat = source.roles.get(column.name) == "answer"
    if column.filled and all(isinstance(value, list) for value in column.filled):
        return "list", schema_of(column.values, named=names_labels(column)) or {"type": "array"}
    if not all(isinstance(value, str) for value in column.filled):
        return None
    schema = schema_of(column.values, named=from_chat or names_labels(column))
    if from_chat and _are_choices(column, schema):
        return "label", {"type": "string", "enum": [str(label) for label in _texts_of(column)]}
    if is_free(schema) and column.plain not in ("sql", "code") and (from_chat or not _are_short(column)):
        return "text", {"type": "string"}
    return ("text", {"type": "string"}) if from_chat else None


def _are_choices(column: Column, schema: Mapping[str, Any] | None) -> bool:
    """Whether a chat's answers are a choice among labels: yes and no, or each given twice on average."""
    if schema is None or len(column.filled) < len(column.values):
        return False
    return schema.get("type") == "boolean" or ("enum" in schema and 2 * column.distinct <= len(column.filled))


def _texts_of(column: Column) -> list[str]:
    return sorted({str(value) for value in column.filled}, key=lambda text: (text.lower(), text))


def _are_short(column: Column) -> bool:
    """Whether values are short, like names rather than sentences."""
    return sum(len(str(value).split()) for value in column.filled) < 4 * len(column.filled)


def _expand(meaning: Understood, column: Column) -> None:
    """Make the keys of the only answer, an object, the fields."""
    keys = dict.fromkeys(key for value in column.filled for key in value)
    schema = object_of([value for value in column.filled if isinstance(value, dict)], list(keys), nested=False)
    if not keys:
        raise DataError(f"expected answers with keys, found empty objects in `{column.name}`")
    meaning.expanded = column.name
    meaning.output = {key: (column.name, schema["properties"][key]) for key in keys}
    meaning.required = schema["required"]


def _free_name(name: str, taken: Collection[str | None]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _input_names(texts: Sequence[Column], others: Sequence[str | None]) -> dict[str, str]:
    """Names that prompts can use (only letters, digits and _): name → column.

    `others` are columns that are written under their own names, which inputs may not have.
    """
    by_name: dict[str, str] = {}
    for column in texts:
        name = column.name if re.fullmatch(r"\w+", column.name) else column.plain or "text"
        by_name[_free_name(name, {*by_name, *others})] = column.name
    return by_name


def _repeated(source: Source, meaning: Understood) -> int:
    """The number of rows with exactly another row's inputs, which the data stage quarantines."""
    counts = Counter(
        tuple(normalize("NFC", str(cell(row.get(column)) or "")) for column in meaning.inputs.values())
        for table in source.parts.values()
        for row in table.rows
    )
    return sum(counts.values()) - len(counts)
