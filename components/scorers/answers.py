"""Reading the answer that a completion has to be: one JSON object, or where the schema says so one value alone.

Decides what counts as JSON (RFC 8259, keys unique, numbers finite), more strictly than Python's `json` does; whether
it is the right answer, scorers decide.
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
    """The text is not exactly one answer of the wanted form; the message says why."""


def read_answer(completion: Completion, schema: Answer | None = None) -> Answer:
    """The object that a completion consists of, or stands for by the schema; a call that failed has none.

    Raises:
        NotAnAnswer: There is no answer, it is not JSON, or something stands beside the object.
    """
    if completion.error is not None:
        raise NotAnAnswer(f"no answer: {completion.error}")
    return read(completion.text, schema)


def read_reference(example: Example, schema: Answer | None = None) -> Answer:
    """The object that would be right.

    Raises:
        ScorerError: The reference is no answer of that form, so nothing can be compared with it.
    """
    try:
        return read(example.reference, schema)
    except NotAnAnswer as error:
        raise ScorerError(f"expected a JSON object as reference, found {error} (example {example.id})") from error


def read_demonstration(example: Example, schema: Answer) -> Answer:
    """The object that is imitated.

    Raises:
        DataError: The demonstration is no answer of that form.
    """
    try:
        return read(example.demonstration, schema)
    except NotAnAnswer as error:
        kind = "an answer" if is_alone(schema) else "a JSON object"
        raise DataError(f"expected {kind} as demonstration, found {error} (example {example.id})") from error


def read(text: str, schema: Answer | None) -> Answer:
    """The object that a text is; where the schema has a value alone, the object with this value as its only field.

    A text that stands alone is read without the white space around it.

    Raises:
        NotAnAnswer: The text is something else: no JSON where JSON is wanted, or nothing at all.
    """
    if schema is None or not is_alone(schema):
        return read_object(text)
    if not is_text(schema):
        return {FIELD: decoded(text)}
    if not text.strip():
        raise NotAnAnswer("no text")
    return {FIELD: text.strip()}


def write(answer: Answer, schema: Answer) -> str:
    """The text that stands for an answer; `read` with the same schema gives it back."""
    if not is_alone(schema):
        return to_json(answer)
    value = answer.get(FIELD)
    if is_text(schema) and isinstance(value, str):
        return value
    return "" if value is None and is_text(schema) else to_json(value)


# A reference is read once for each rollout of a group, an answer once for each scorer of a weighted sum. Few are kept:
# what people send in as corrections comes by here too.
@lru_cache(maxsize=1024)
def read_object(text: str) -> Answer:
    """The object that the text consists of, white space around it allowed. The result is shared: read it only.

    Raises:
        NotAnAnswer: The text is anything else, has a key twice, or a number that is not finite.
    """
    found = decoded(text)
    if not isinstance(found, dict):
        raise NotAnAnswer(f"not an object but {_JSON_NAMES[type(found)]}")
    return found


def decoded(text: str) -> Any:
    """The value that the text is, as strict as all reading here is.

    Raises:
        NotAnAnswer: It is no JSON, has a key twice, or a number that is not finite.
    """
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise NotAnAnswer(f"not JSON: {error.msg} at character {error.pos}") from error
    except NotAnAnswer:
        raise
    except (ValueError, RecursionError) as error:  # an integer beyond Python's digit limit; nesting beyond its stack
        raise NotAnAnswer(f"not readable as JSON: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen = set[str]()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise NotAnAnswer(f"key {twice!r:.60} more than once")
    return found


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
