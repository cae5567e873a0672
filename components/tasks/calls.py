"""Tool calls as models write them, in the format of Hermes, Qwen and nano: JSON between `<tool_call>` tags.

Decides what is a call and whether it can be carried out; if not, the model is told why.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from pydantic_core import from_json

from components.engines.calling import CLOSE, OPEN
from components.records import Tool
from components.tasks.schemas import objection

_BLANKS, _DECODER = re.compile(r"\s*+"), json.JSONDecoder()
_WRITTEN = re.compile(r'\{\s*+"name"\s*+:\s*+"(?:[^"\\]|\\.)*+"\s*+,\s*+"arguments"\s*+:\s*+(\{.*\})\s*+\}', re.DOTALL)


@dataclass(frozen=True)
class Written:
    """A call as it was written; `problem` says why it is invalid."""

    name: str
    arguments: str
    problem: str = ""


def call_text(name: str, arguments: Mapping[str, Any] | str) -> str:
    """A call as models write it; arguments that are already text are not changed."""
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return f'{OPEN}{{"name": {json.dumps(name)}, "arguments": {written}}}{CLOSE}'


def split(text: str) -> tuple[str, list[Written]]:
    """Split an assistant's turn into (text, calls)."""
    at = text.find(OPEN)
    if at < 0:
        return text, []
    said, calls = text[:at], list[Written]()
    while at >= 0:
        inside, end = _block(text, at + len(OPEN))
        calls.append(_written(inside))
        at = text.find(OPEN, end)
        said += text[end : at if at >= 0 else None]
    return said.strip(), calls


def _block(text: str, start: int) -> tuple[str, int]:
    """The content of a call that starts here, and where the call ends; tags within its JSON strings are text."""
    blanks = _BLANKS.match(text, start)
    try:
        behind = _DECODER.raw_decode(text, blanks.end() if blanks else start)[1]
    except (ValueError, RecursionError):
        behind = start
    close = text.find(CLOSE, behind)
    return (text[start:], len(text)) if close < 0 else (text[start:close], close + len(CLOSE))


def _written(text: str) -> Written:
    try:
        call: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Written("", text, f"the call is not JSON: {error}")
    name = call.get("name") if isinstance(call, dict) else None
    if not isinstance(name, str):
        return Written("", text, "the call is no JSON object with a name and arguments")
    arguments = call.get("arguments", {})
    if isinstance(arguments, str):
        return Written(name, arguments)
    raw = _WRITTEN.fullmatch(text.strip())
    return Written(name, raw[1] if raw and _says(raw[1], arguments) else json.dumps(arguments, ensure_ascii=False))


def _says(text: str, value: Any) -> bool:
    """Whether a text is the JSON of this value, with nothing after it and no key repeated."""
    try:
        return json.loads(text) == value
    except (ValueError, RecursionError):
        return False


def arguments_of(call: Written, tools: Sequence[Tool]) -> dict[str, Any]:
    """The arguments of a call that can be carried out.

    Raises:
        InvalidCall: The call cannot be carried out; the message says why.
    """
    if call.problem:
        raise InvalidCall(call.problem)
    tool = next((tool for tool in tools if tool.name == call.name), None)
    if tool is None:
        raise InvalidCall(f"there is no tool {call.name!r:.80}; there are {', '.join(tool.name for tool in tools)}")
    try:
        arguments: Any = json.loads(call.arguments, parse_constant=_refuse, parse_float=_finite)
        from_json(call.arguments.encode())  # stricter: no half a character, no more than 200 levels
    except (ValueError, RecursionError) as error:
        raise InvalidCall(f"the arguments are not JSON: {error}") from error
    if problem := objection(tool, arguments):
        raise InvalidCall(f"the arguments do not fit {call.name}: {problem}")
    if not isinstance(arguments, dict):
        raise InvalidCall(f"the arguments do not fit {call.name}: they are no object")
    return arguments


class InvalidCall(Exception):
    """A call that is not carried out."""


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _finite(number: str) -> float:
    value = float(number)
    return value if isfinite(value) else _refuse(number[:40])
