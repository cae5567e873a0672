"""Answers made from a right one: the same answer written otherwise, and the answer with one field wrong.

Decides what counts as the same (JSON's spacing, key order, number and character notation, synonyms that a workload
names) and what surely is wrong (another label, another number, another example's text). Works on
answers of any schema.
"""

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from components.params.answers import FIELD, is_alone, is_text
from components.records import to_json
from components.schema import ABSENT, Field, Shape, fields_of
from components.scorers.answers import NotAnAnswer, read, write
from components.scorers.matching import is_number

Answer = Mapping[str, Any]
DONORS = 30  # other answers whose values one mistake chooses from


def rewritten(text: str, synonyms: Mapping[str, str], schema: Answer) -> dict[str, str]:
    """Kind → the same answer written otherwise; kinds that would change nothing are left out.

    A text that stands alone has only other white space around it and synonyms; everything else is JSON, whatever its
    schema: an object, a list, a number.
    """
    spacing = {"spacing": f"\n {text} \n"}
    try:
        answer = read(text, schema)
    except NotAnAnswer:
        return spacing
    if is_text(schema):
        return _changed({**spacing, "synonyms": _with_synonyms(text, synonyms)}, text)
    value: Any = answer[FIELD] if is_alone(schema) else answer
    kinds = {
        "line_breaks": json.dumps(value, ensure_ascii=False, indent=2),
        "no_spaces": json.dumps(value, ensure_ascii=False, separators=(",", ":")),
        "key_order": to_json(_reversed(value)),
        "number_format": json.dumps(_mapped(value, _as_float), ensure_ascii=False),
        "character_escapes": json.dumps(value),
        "synonyms": to_json(_mapped(value, lambda item: _with_synonyms(item, synonyms))),
    }
    return _changed(kinds, text) or spacing


def _changed(kinds: Mapping[str, str], text: str) -> dict[str, str]:
    return {kind: found for kind, found in kinds.items() if found != text}


def mistakes(text: str, schema: Answer, donors: Sequence[Answer], rng: random.Random) -> dict[str, str]:
    """Field → the answer with this field alone wrong: valid where the schema's labels and the donors allow it.

    `donors` are other right answers. A field of which no other value is known is left out.
    """
    try:
        answer = read(text, schema)
    except NotAnAnswer:
        return {}
    found: dict[str, str] = {}
    donors = rng.sample(donors, min(DONORS, len(donors)))
    for field in fields_of(schema).places:
        others = [other for other in _others(field, donors) if differs(_value(field, answer), other)]
        if others and not field.holder:
            found[field.name] = write(field.put(answer, rng.choice(others)), schema)
    return found


def differs(one: Any, other: Any) -> bool:
    """Whether two values surely mean something else, whatever the scorer's tolerance: False where that is unclear."""
    if is_number(one) and is_number(other):
        return abs(one - other) > 0.1 * max(abs(one), abs(other)) + 0.5
    if isinstance(one, str) and isinstance(other, str):
        return _letters(one) != _letters(other)
    return type(one) is not type(other) or one != other


def is_closed(shape: Shape) -> bool:
    """Whether a field's values can be told right from wrong by comparing them: labels, numbers, patterned strings."""
    return shape.is_listed or not (shape.is_free_text or {"array", "object"} & shape.kinds or not shape.kinds)


def surely_wrong(text: str, reference: str, schema: Answer) -> bool:
    """Whether an answer is wrong in a field that can be compared; of free texts it says nothing."""
    try:
        answer, right = read(text, schema), read(reference, schema)
    except NotAnAnswer:
        return True
    closed = [field for field in fields_of(schema).places if is_closed(field.shape)]
    return any(differs(_value(field, answer), _value(field, right)) for field in closed)


def _others(field: Field, donors: Sequence[Answer]) -> list[Any]:
    """Values that the field may have instead."""
    if field.shape.values is not None:
        return list(field.shape.values)
    seen = [value for donor in donors if (value := field.of(donor)) is not ABSENT]
    values = {to_json(value): value for value in seen}
    return [values[key] for key in sorted(values)]


def _value(field: Field, answer: Answer) -> Any:
    """A field's value, None where it is missing."""
    value = field.of(answer)
    return None if value is ABSENT else value


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, Mapping):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, change) for item in value]
    return change(value)


def _reversed(value: Any) -> Any:
    """The same with the keys of all objects the other way round; lists keep their order."""
    if isinstance(value, Mapping):
        return {key: _reversed(value[key]) for key in reversed(list(value))}
    return [_reversed(item) for item in value] if isinstance(value, list) else value


def _as_float(value: Any) -> Any:
    return float(value) if is_number(value) and abs(value) < 2**53 else value


def _with_synonyms(value: Any, synonyms: Mapping[str, str]) -> Any:
    if not isinstance(value, str):
        return value
    for word, other in synonyms.items():
        value = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", other, value)
    return value


def _letters(value: str) -> str:
    return re.sub(r"[\W_]+", "", value.casefold())
