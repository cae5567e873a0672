"""Reads the answer in a completion: a JSON object or, if the schema says so, a bare value.

Decides what counts as JSON (RFC 8259, unique keys, finite numbers), more strictly than Python's `json`; scorers decide
whether the answer is right.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NoReturn

from components.errors import DataError, ScorerError
from components.params.answers import FIELD, is_alone, is_text
from components.records import Completion, Example, to_json

Answer = Mapping[str, Any]


class NotAnAnswer(ValueError):
    """The text is not exactly one answer of the required form; the message says why."""


def read_answer(completion: Completion, schema: Answer | None = None) -> Answer:
    """The object in a completion, or the object that its bare value stands for; a failed call has none.

    Raises:
        NotAnAnswer: There is no answer, it is not JSON, or there is other text around the object.
    """
    if completion.error is not None:
        raise NotAnAnswer(f"no answer: {completion.error}")
    return read(completion.text, schema)


def read_reference(example: Example, schema: Answer | None = None) -> Answer:
    """The right object.

    Raises:
        ScorerError: The reference does not have the form of an answer, so nothing can be compared with it.
    """
    try:
        return read(example.reference, schema)
    except NotAnAnswer as error:
        raise ScorerError(f"expected a JSON object as reference, found {error} (example {example.id})") from error


def read_demonstration(example: Example, schema: Answer) -> Answer:
    """The object to imitate.

    Raises:
        DataError: The demonstration does not have the form of an answer.
    """
    try:
        return read(example.demonstration, schema)
    except NotAnAnswer as error:
        kind = "an answer" if is_alone(schema) else "a JSON object"
        raise DataError(f"expected {kind} as demonstration, found {error} (example {example.id})") from error


def read(text: str, schema: Answer | None) -> Answer:
    """The object in a text; for a schema with a bare value, an object with this value as its only field.

    White space around a bare text is removed.

    Raises:
        NotAnAnswer: The text is something else: not JSON where JSON is required, or empty.
    """
    if schema is None or not is_alone(schema):
        return read_object(text)
    if not is_text(schema):
        return {FIELD: decoded(text)}
    if not text.strip():
        raise NotAnAnswer("no text")
    return {FIELD: text.strip()}


def write(answer: Answer, schema: Answer) -> str:
    """The text of an answer; the inverse of `read` with the same schema."""
    if not is_alone(schema):
        return to_json(answer)
    value = answer.get(FIELD)
    if is_text(schema) and isinstance(value, str):
        return value
    return "" if value is None and is_text(schema) else to_json(value)


# A reference is read for each rollout of a group, an answer for each scorer of a weighted sum. The cache is small,
# because corrections that people send in are read here too.
@lru_cache(maxsize=1024)
def read_object(text: str) -> Answer:
    """The object in the text, with optional white space around it. The result is shared: do not modify it.

    Raises:
        NotAnAnswer: The text is anything else, or has a duplicate key or a number that is not finite.
    """
    value = decoded(text)
    if not isinstance(value, dict):
        raise NotAnAnswer(f"not an object but {_JSON_NAMES[type(value)]}")
    return value


def decoded(text: str) -> Any:
    """The JSON value of the text, under the same strict rules.

    Raises:
        NotAnAnswer: It is not JSON, or has a duplicate key or a number that is not finite.
    """
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise NotAnAnswer(f"not JSON: {error.msg} at character {error.pos}") from error
    except NotAnAnswer:
        raise
    except (ValueError, RecursionError) as error:  # an integer beyond Python's digit limit, or nesting beyond its stack
        raise NotAnAnswer(f"not readable as JSON: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen = set[str]()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise NotAnAnswer(f"key {twice!r:.60} more than once")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise NotAnAnswer(f"number {text} beyond the range of a float")
    return number


def _refuse_constant(text: str) -> NoReturn:
    raise NotAnAnswer(f"not JSON: {text} is no number")


_JSON_NAMES = {list: "an array", str: "a string", int: "a number", float: "a number", bool: "a boolean"} | {
    type(None): "null"
}
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse_constant)
