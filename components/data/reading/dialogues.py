"""Converts agents' messages with tool calls to this project's messages.

Decides how OpenAI's form and the parts of Anthropic's and OpenTelemetry's are read: null content is empty, what is null
counts as absent, arguments stay the model's text, a tool's answer belongs to a call, and answers come in the order of
their calls, before what a user says beside them.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from components.data.reading.conversations import ROLES, parsed, text_of
from components.errors import DataError
from components.records import Message, Role, Tool, ToolCall
from components.records.messages import in_order_of_calls

_ROLE_NAMES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_CALLS, _ANSWERS = ("tool_call", "tool_use", "function_call"), ("tool_call_response", "tool_result")
_BLOCKS = {"text", "input_text", "output_text", "image", "document"}  # parts of what a tool says, where it is no JSON
_NO_ARGUMENTS = {"type": "object", "properties": {}}


def messages_of(value: Any, where: str) -> tuple[Message, ...]:
    """All messages in a list.

    Raises:
        DataError: It is not a list, or an item is not a message.
    """
    listed = parsed(value)
    if not isinstance(listed, list):
        raise DataError(f"expected a list of messages, found {_kind(listed)} ({where})")
    messages: list[Message] = []
    calls = 0
    for number, item in enumerate(listed, start=1):
        for message in _messages(item, calls, f"{where}, message {number}"):
            calls += len(message.tool_calls)
            messages.append(message)
    return in_order_of_calls(messages)


def refuse_strangers(messages: Sequence[Message], where: str) -> None:
    """Refuse a tool's answer without a call.

    Raises:
        DataError: There is one; the message names the call.
    """
    calls_made: set[str] = set()
    for message in messages:
        calls_made |= {call.id for call in message.tool_calls}
        if message.tool_call_id is not None and message.tool_call_id not in calls_made:
            raise DataError(f"expected answers to calls that were made, found {message.tool_call_id!r:.60} ({where})")


def tools_of(value: Any, where: str) -> tuple[Tool, ...]:
    """Tool definitions, in OpenAI's form or as bare name, description and parameters.

    OpenAI's functions without parameters take no arguments; of a bare name the schema is not known.

    Raises:
        DataError: One is not a definition with a schema.
    """
    listed = parsed(value)
    if listed is None:
        return ()
    if not isinstance(listed, list):
        raise DataError(f"expected a list of tools, found {_kind(listed)} ({where})")
    return tuple(_tool(parsed(item), where) for item in listed)


def _tool(item: Any, where: str) -> Tool:
    inner = (_first(item, "function") or item) if isinstance(item, Mapping) else None
    name = inner.get("name") if isinstance(inner, Mapping) else None
    if not isinstance(name, str) or inner is None:
        raise DataError(f"expected tools with a name and parameters, found {_shown(item)} ({where})")
    schema = parsed(_first(inner, "parameters", "input_schema", "inputSchema"))
    if schema is None and inner is not item:
        schema = _NO_ARGUMENTS
    if not isinstance(schema, dict):
        raise DataError(f"expected the schema of the tool {name!r:.60}, found none ({where})")
    return Tool(name=name, description=text_of(inner.get("description")), parameters=schema)


def _messages(item: Any, before: int, where: str) -> list[Message]:
    """An item as messages: each tool's answer is one of its own; `before` calls were made until then."""
    role, parts = _role(item, where), _parts(item)
    if not any(map(_is_answer, parts)):
        return [_message(item, role, parts, before, where)]
    if role != "assistant":
        parts.sort(key=lambda part: not _is_answer(part))  # an answer directly follows its call
    messages: list[Message] = []
    for answers, run in groupby(parts, _is_answer):
        if answers:
            messages += map(_answer, run)
            continue
        said = _message(item, "user" if role == "tool" else role, list(run), before, where)
        before += len(said.tool_calls)
        if said.content.strip() or said.tool_calls:
            messages.append(said)
    return messages


def _role(item: Any, where: str) -> Role:
    if not isinstance(item, Mapping) or not isinstance(item.get("role"), str):
        raise DataError(f"expected a message with a role, found {_shown(item)} ({where})")
    name = item["role"].lower().strip()
    role = _ROLE_NAMES.get(str(ROLES.get(name, name)))
    if role is None:
        raise DataError(f"expected the role system, user, assistant or tool, found {name[:40]!r} ({where})")
    return role


def _parts(item: Mapping[str, Any]) -> list[Any]:
    """A message's content in parts, behind the calls that it has beside it."""
    listed, single = parsed(item.get("tool_calls")), item.get("function_call")
    beside = [*(listed if isinstance(listed, list) else ()), single]
    calls = [{**call, "type": "tool_call"} for call in beside if isinstance(call, Mapping)]
    content = _first(item, "content", "parts")
    return [*calls, *(content if isinstance(content, list) else [content])]


def _is_answer(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") in _ANSWERS


def _is_call(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") in _CALLS


def _message(item: Mapping[str, Any], role: Role, parts: Sequence[Any], before: int, where: str) -> Message:
    calls = [part for part in parts if _is_call(part)]
    answered = _first(item, "tool_call_id", "id") if role == "tool" else None
    content = text_of([part for part in parts if not _is_call(part)])
    if role == "tool" and not content:
        content = _written(_first(item, "content", "parts") or "")
    return Message(
        role=role,
        content=content,
        tool_calls=tuple(_call(call, before + index, where) for index, call in enumerate(calls)),
        tool_call_id=answered if isinstance(answered, str) and answered else None,
        name=item["name"] if isinstance(item.get("name"), str) else None,
    )


def _answer(part: Mapping[str, Any]) -> Message:
    content, id = _written(_first(part, "response", "result", "content")), _first(part, "id", "tool_use_id")
    return Message(role="tool", content=content, tool_call_id=id if isinstance(id, str) and id else None)


def _written(output: Any) -> str:
    """What a tool said: its text, that of its parts, or its JSON."""
    blocks = isinstance(output, list) and all(
        isinstance(part, Mapping) and part.get("type") in _BLOCKS for part in output
    )
    if output is None or isinstance(output, str) or (output and blocks):
        return text_of(output)
    return json.dumps(output, ensure_ascii=False)


def _call(call: Mapping[str, Any], number: int, where: str) -> ToolCall:
    inner: Any = _first(call, "function") or call
    name = inner.get("name") if isinstance(inner, Mapping) else None
    if not isinstance(name, str):
        raise DataError(f"expected a call with the name of a tool, found {_shown(call)} ({where})")
    arguments, id = _first(inner, "arguments", "input", "args"), call.get("id")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)
    return ToolCall(
        id=id if isinstance(id, str) and id else f"call_{number}", name=name, arguments=text if text.strip() else "{}"
    )


def _first(item: Mapping[str, Any], *names: str) -> Any:
    """The value under the first of these names that is not null, else None."""
    return next((item[name] for name in names if item.get(name) is not None), None)


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__


def _shown(value: Any) -> str:
    return repr(value)[:80]
