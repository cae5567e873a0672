"""Reading the one JSON object that a completion has to be, more strictly than Python's `json` does.

Decides what counts as JSON (RFC 8259, keys unique, numbers finite); whether it is the right object, scorers decide.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NoReturn

from components.errors import ScorerError
from components.records import Completion, Example

Answer = Mapping[str, Any]


class NotAnAnswer(ValueError):
    """The text is not exactly one JSON object; the message says why."""


def read_answer(completion: Completion) -> Answer:
    """The object that a completion consists of; a call that failed has none.

    Raises:
        NotAnAnswer: There is no answer, it is not JSON, or something stands beside the object.
    """
    if completion.error is not None:
        raise NotAnAnswer(f"no answer: {completion.error}")
    return read_object(completion.text)


def read_reference(example: Example) -> Answer:
    """The object that would be right.

    Raises:
        ScorerError: The reference is no JSON object, so nothing can be compared with it.
    """
    try:
        return read_object(example.reference)
    except NotAnAnswer as error:
        raise ScorerError(f"expected a JSON object as reference, found {error} (example {example.id})") from error


# A reference is read once for each rollout of a group, an answer once for each scorer of a weighted sum. Few are kept:
# what people send in as corrections comes by here too.
@lru_cache(maxsize=1024)
def read_object(text: str) -> Answer:
    """The object that the text consists of, white space around it allowed. The result is shared: read it only.

    Raises:
        NotAnAnswer: The text is anything else, has a key twice, or a number that is not finite.
    """
    try:
        found = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise NotAnAnswer(f"not JSON: {error.msg} at character {error.pos}") from error
    except NotAnAnswer:
        raise
    except (ValueError, RecursionError) as error:  # an integer beyond Python's digit limit; nesting beyond its stack
        raise NotAnAnswer(f"not readable as JSON: {error}") from error
    if not isinstance(found, dict):
        raise NotAnAnswer(f"not an object but {_JSON_NAMES[type(found)]}")
    return found


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
