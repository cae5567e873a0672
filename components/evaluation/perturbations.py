"""Variants of a right answer: the same answer in other notation, and the answer with one field wrong.

Decides what is equivalent (JSON's spacing, key order, notation of numbers and characters, a workload's synonyms) and
what is certainly wrong (another label, another number, another example's text). Works with any schema.
"""

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from components.params.answers import FIELD, is_alone, is_text
from components.records import to_json
from components.schema import ABSENT, Field, Shape, fields_of
from components.scorers.answers import NotAnAnswer, read, write
from components.scorers.matching import is_number

Answer = Mapping[str, Any]
DONORS = 30  # other answers from whose values a mistake is chosen


def rewritten(text: str, synonyms: Mapping[str, str], schema: Answer) -> dict[str, str]:
    """Kind → the same answer in other notation; kinds that would change nothing are left out.

    For a bare text, only surrounding white space and synonyms are varied; everything else is JSON, whatever its schema:
    an object, a list, a number.
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
    return {kind: rewriting for kind, rewriting in kinds.items() if rewriting != text}


def mistakes(text: str, schema: Answer, donors: Sequence[Answer], rng: random.Random) -> dict[str, str]:
    """Field → the answer with only this field wrong, and valid if the schema's labels and the donors allow it.

    `donors` are other right answers. Fields for which no other value is known are left out.
    """
    try:
        answer = read(text, schema)
    except NotAnAnswer:
        return {}
    wrong_answers: dict[str, str] = {}
    donors = rng.sample(donors, min(DONORS, len(donors)))
    for field in fields_of(schema).places:
        others = [other for other in _others(field, donors) if differs(_value(field, answer), other)]
        if others and not field.holder:
            wrong_answers[field.name] = write(field.put(answer, rng.choice(others)), schema)
    return wrong_answers


def differs(first: Any, second: Any) -> bool:
    """Whether two values certainly differ in meaning, whatever the scorer's tolerance; False if in doubt."""
    if is_number(first) and is_number(second):
        one, other = Fraction(first), Fraction(second)  # a float holds no integer of more than 308 digits
        return abs(one - other) > max(abs(one), abs(other)) / 10 + Fraction(1, 2)
    if isinstance(first, str) and isinstance(second, str):
        return _letters(first) != _letters(second)
    return type(first) is not type(second) or first != second


def is_closed(shape: Shape) -> bool:
    """Whether comparing a field's values tells right from wrong: labels, numbers, strings with a pattern."""
    return shape.is_listed or not (shape.is_free_text or {"array", "object"} & shape.kinds or not shape.kinds)


def surely_wrong(text: str, reference: str, schema: Answer) -> bool:
    """Whether an answer is wrong in a field that can be compared; free texts are not judged."""
    try:
        answer, right = read(text, schema), read(reference, schema)
    except NotAnAnswer:
        return True
    closed = [field for field in fields_of(schema).places if is_closed(field.shape)]
    return any(differs(_value(field, answer), _value(field, right)) for field in closed)


def _others(field: Field, donors: Sequence[Answer]) -> list[Any]:
    """Other values for the field."""
    if field.shape.values is not None:
        return list(field.shape.values)
    seen = [value for donor in donors if (value := field.of(donor)) is not ABSENT]
    values = {to_json(value): value for value in seen}
    return [values[key] for key in sorted(values)]


def _value(field: Field, answer: Answer) -> Any:
    """A field's value, None if it is missing."""
    value = field.of(answer)
    return None if value is ABSENT else value


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, Mapping):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, change) for item in value]
    return change(value)


def _reversed(value: Any) -> Any:
    """The value with the keys of all objects in reverse order; lists keep their order."""
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
