"""Schemas of values: the JSON Schema of a column's cells or of the values in a nested answer.

Decides what is a label, a number, a code or free text; `understanding` decides the role of each column.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from math import isfinite
from typing import Any

from components.data.dates import iso_dates
from components.data.texts import clean

MOST_LABELS = 200
MOST_NUMBER_LABELS = 10
ROWS_PER_LABEL = 3
LABEL_CHARACTERS = 80
MOST_KEYS = 60  # of a nested object; with more, its keys are values rather than names
INSIDE_LABELS, INSIDE_ROWS_PER_LABEL = 20, 10
RARE_KEY = 3  # occurrences; among many keys, rarer ones are values rather than names
_NOTHING = {"nan", "na", "n/a", "#n/a", "null", "none", "-"}  # as programs and people write an empty cell
_NULL = r"\N"  # as MySQL writes one in whichever column
_CLASSES = {"A": "[A-Z]", "a": "[a-z]", "9": r"\d"}
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d{1,30}([eE][+-]?\d{1,3})?|[eE][+-]\d{1,3})?")
_WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})")
_DIGITS = re.compile(r"-?\d+")
_COMMA = re.compile(r"-?(\d{1,3}(\.\d{3})+|0|[1-9]\d{0,14})(,\d{1,9})?")
_EITHER = re.compile(r"-?[1-9]\d{0,2}[.,]\d{3}")  # 1.250 may be a thousand and more, or one and a quarter


def cell(value: Any) -> Any:
    """A cell with cleaned text, and None for empty text."""
    if not isinstance(value, str):
        return value
    text = clean(value)
    return None if text in ("", _NULL) else text


def as_text(value: Any) -> str:
    """A cell as text; true and false as JSON has them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def without_nothing(values: Sequence[Any]) -> list[Any]:
    """A column's cells, with None for words such as `NaN` and `N/A` if all others are numbers or dates."""
    written = {value for value in values if isinstance(value, str) and value.casefold() in _NOTHING}
    others = [value for value in values if value is not None and not (isinstance(value, str) and value in written)]
    if not written or not others:
        return list(values)
    if not (numbers(others) or either_sign(others) or None not in (iso_dates(others) or [None])):
        return list(values)
    return [None if isinstance(value, str) and value in written else value for value in values]


def schema_of(
    values: Sequence[Any], *, named: bool = False, inside: bool = False, literal: bool = False
) -> dict[str, Any] | None:
    """The JSON Schema of values (None is empty): boolean, number, labels, code, string, object or list.

    `named`: the values are known to be labels, however rarely each occurs. `inside`: they are in an object, where
    values copied from a text often repeat, so labels must be more frequent. `literal`: they are from JSON, where "6" is
    not a number. None for a column that is empty or has values of several kinds.
    """
    filled = [value for value in values if value is not None]
    if not filled:
        return None
    kinds = {kind_of(value) for value in filled}
    if kinds & {"object", "array"}:
        nested = _nested(filled, kinds, named=named, inside=inside)
        return nested if nested is None or len(filled) == len(values) else _or_null(nested)
    return _scalar(filled, empty=len(filled) < len(values), named=named, inside=inside, literal=literal)


def is_free(schema: Mapping[str, Any] | None) -> bool:
    """Whether a schema is that of free text."""
    return schema == {"type": "string"}


def numbers(values: Sequence[Any]) -> list[int | float]:
    """Texts as numbers, beside numbers as they are, or [] if not all are; codes with leading zeros are not.

    A comma is a decimal point if no text uses it otherwise: in 1.234,5 next to 3,99, but not in 1,234 alone. A point
    may be one of thousands in 1.250 next to 980, but not where all texts have three decimals. 1e-05 is a number next
    to texts with decimals.
    """
    if any(isinstance(value, bool) or not isinstance(value, str | int | float) for value in values):
        return []
    texts = [value for value in values if isinstance(value, str)]
    if all(map(_NUMBER.fullmatch, texts)):
        read = _with_points(texts, among=len(values))
    else:
        commas = decimal_sign(texts) == ","
        read = [float(text.replace(".", "").replace(",", ".")) for text in texts] if commas else []
    if len(read) < len(texts):
        return []
    by_place = iter(read)
    made = [next(by_place) if isinstance(value, str) else value for value in values]
    return made if all(isfinite(number) for number in made if isinstance(number, float)) else []


def _with_points(texts: Sequence[str], *, among: int) -> list[int | float]:
    """Texts that look like numbers as numbers; [] if their points or exponents could be something else.

    `among`: the number of values that they are some of.
    """
    marked = [text for text in texts if not _WHOLE.fullmatch(text)]
    thousands = len(marked) < among and all(map(_EITHER.fullmatch, marked))
    if marked and (thousands or not any("." in text for text in marked)):
        return []
    return [int(text) if _WHOLE.fullmatch(text) else float(text) for text in texts]


def decimal_sign(values: Sequence[Any]) -> str:
    """The point or comma before decimals, if the texts among a column's values leave no doubt; else ""."""
    texts = [value for value in values if isinstance(value, str)]
    for sign, form in ((".", _NUMBER), (",", _COMMA)):
        if all(map(form.fullmatch, texts)):
            return sign if any(sign in text and not _EITHER.fullmatch(text) for text in texts) else ""
    return ""


def either_sign(values: Sequence[Any]) -> str:
    """The point or comma that in all texts that have one could stand for thousands or before decimals; else ""."""
    signs: set[str] = set()
    for value in values:
        if not isinstance(value, str) or _WHOLE.fullmatch(value):
            continue
        if not _EITHER.fullmatch(value):
            return ""
        signs.add("." if "." in value else ",")
    return signs.pop() if len(signs) == 1 else ""


def booleans(texts: Sequence[str]) -> bool:
    """Whether the texts are true and false, or yes and no, with each at least once."""
    return {text.lower() for text in texts} in ({"true", "false"}, {"yes", "no"})


def code_pattern(texts: Sequence[str]) -> str | None:
    r"""The common pattern of codes such as XK-10345, `^[A-Z]{2}-\d{5}$`; None if they differ or are prose."""
    if any(len(text) > LABEL_CHARACTERS for text in texts):
        return None
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


def _scalar(filled: list[Any], *, empty: bool, named: bool, inside: bool, literal: bool) -> dict[str, Any] | None:
    """The schema of texts, numbers and booleans."""
    texts = [as_text(value) for value in filled]
    if literal and len({kind_of(value) for value in filled}) > 1:
        return None
    written = literal and isinstance(filled[0], str)
    if (booleans(texts) and not written) or all(isinstance(value, bool) for value in filled):
        return _typed("boolean", empty)
    read = [] if written else numbers(filled)
    labels = sorted(set(read) if read else set(texts), key=lambda label: (str(label).lower(), str(label)))
    often = len(filled) >= INSIDE_ROWS_PER_LABEL * len(labels) and len(labels) <= INSIDE_LABELS
    if (often or not inside) and _are_labels(labels, len(filled), numeric=bool(read), named=named):
        return {"enum": [*(sorted(set(read)) if read else labels), *([None] if empty else [])]}
    if read:
        return _typed("integer" if all(isinstance(number, int) for number in read) else "number", empty)
    # Of long whole numbers some are texts, others still numbers.
    alike = all(isinstance(value, str) for value in filled) or all(map(_DIGITS.fullmatch, texts))
    return _text(texts, empty=empty, inside=inside) if alike else None


def _text(texts: list[str], *, empty: bool, inside: bool) -> dict[str, Any]:
    """The schema of texts that are not labels; inside objects, patterns would be too speculative."""
    pattern = None if inside else code_pattern(texts)
    return {**_typed("string", empty), "pattern": pattern} if pattern else _typed("string", empty and inside)


def _are_labels(labels: Sequence[Any], n: int, *, numeric: bool, named: bool) -> bool:
    """Whether values are a choice among few: each occurs three times on average, or the column's name says so."""
    if len(labels) < 2 or any(len(str(label)) > LABEL_CHARACTERS for label in labels):
        return False
    if any(isinstance(label, float) for label in labels):
        return False
    if named and not numeric:
        return len(labels) <= MOST_LABELS and len(labels) < n
    return len(labels) <= (MOST_NUMBER_LABELS if numeric else MOST_LABELS) and n >= ROWS_PER_LABEL * len(labels)


def _nested(filled: list[Any], kinds: set[str], *, named: bool, inside: bool) -> dict[str, Any] | None:
    """The schema of objects or of lists; None if they are mixed with other values."""
    if kinds == {"array"}:
        members = [member for value in filled for member in value]
        described = _literal(members, named=named, inside=inside) if members else None
        return {"type": "array", **({"items": described} if described is not None else {})}
    if kinds != {"object"}:
        return None
    keys: dict[str, int] = {}
    for value in filled:
        for key in value:
            keys[key] = keys.get(key, 0) + 1
    if len(keys) > MOST_KEYS and sum(times < RARE_KEY for times in keys.values()) > len(keys) / 2:
        described = schema_of([item for value in filled for item in value.values()], inside=True, literal=True)
        return {"type": "object", **({"additionalProperties": described} if described is not None else {})}
    return object_of(filled, list(keys))


def object_of(filled: Sequence[Mapping[str, Any]], keys: Sequence[str], *, nested: bool = True) -> dict[str, Any]:
    """The schema of objects with these keys; keys that all have are required. `nested`: inside another answer."""
    inside = {key: [value[key] for value in filled if key in value] for key in keys}
    properties = {key: _literal(values, inside=nested) or _anything(filled, key) for key, values in inside.items()}
    required = [key for key in keys if all(key in value for value in filled)]
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def _literal(values: Sequence[Any], *, named: bool = False, inside: bool) -> dict[str, Any] | None:
    """The schema of values from JSON: a column's empty cell is not an answer, but their null is a value."""
    described = schema_of(values, named=named, inside=inside, literal=True)
    return _typed("string", empty=True) if is_free(described) and None in values else described


def _anything(filled: Sequence[Mapping[str, Any]], key: str) -> dict[str, Any]:
    """The schema of a key whose values are all empty or of several kinds."""
    kinds = sorted({kind_of(value[key]) for value in filled if key in value})
    return {"type": kinds if len(kinds) > 1 else kinds[0]}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "type": [schema["type"], "null"]}


def kind_of(value: Any) -> str:
    """The JSON type of a value; whole numbers are numbers."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "object" if isinstance(value, dict) else "array" if isinstance(value, list) else "string"


def _typed(kind: str, empty: bool) -> dict[str, Any]:
    return {"type": [kind, "null"] if empty else kind}


def _class(character: str) -> str:
    """A, a or 9 for ASCII letters and digits; other characters stand for themselves."""
    if not character.isascii() or not character.isalnum():
        return character
    return "9" if character.isdigit() else "A" if character.isupper() else "a"
