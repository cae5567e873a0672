"""Converts agents' messages with tool calls to this project's messages.

Decides how OpenAI's form and the parts of OpenTelemetry's GenAI conventions are read: null content is empty, arguments
stay the model's text, and a tool's answer belongs to a call.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from components.data.reading.conversations import ROLES, parsed, text_of
from components.errors import DataError
from components.records import Message, Role, Tool, ToolCall

_ROLE_NAMES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_CALLS, _ANSWERS = ("tool_call", "tool_use", "function_call"), ("tool_call_response", "tool_result")


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
    return tuple(messages)


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
    inner = item.get("function", item) if isinstance(item, Mapping) else None
    name = inner.get("name") if isinstance(inner, Mapping) else None
    if not isinstance(name, str) or inner is None:
        raise DataError(f"expected tools with a name and parameters, found {_shown(item)} ({where})")
    schema = parsed(inner.get("parameters", inner.get("input_schema", inner.get("inputSchema"))))
    if not isinstance(schema, dict):
        raise DataError(f"expected the schema of the tool {name!r:.60}, found none ({where})")
    return Tool(name=name, description=text_of(inner.get("description")), parameters=schema)


def _messages(item: Any, before: int, where: str) -> list[Message]:
    """An item as messages: several tools' answers in one item become several messages."""
    if not isinstance(item, Mapping) or not isinstance(item.get("role"), str):
        raise DataError(f"expected a message with a role, found {_shown(item)} ({where})")
    name = item["role"].lower().strip()
    role = _ROLE_NAMES.get(str(ROLES.get(name, name)))
    if role is None:
        raise DataError(f"expected the role system, user, assistant or tool, found {name[:40]!r} ({where})")
    content = item["content"] if item.get("content") is not None else item.get("parts")
    parts = [part for part in content if isinstance(part, Mapping)] if isinstance(content, list) else []
    if answers := [part for part in parts if part.get("type") in _ANSWERS]:
        return [_answer(part) for part in answers]
    called = [part for part in parts if part.get("type") in _CALLS]
    called += [call for call in item.get("tool_calls") or () if isinstance(call, Mapping)]
    called += [item["function_call"]] if isinstance(item.get("function_call"), Mapping) else []
    texts = [part for part in content if part not in called] if isinstance(content, list) else content
    calls = tuple(_call(call, before + index, where) for index, call in enumerate(called))
    answered = item.get("tool_call_id", item.get("id")) if role == "tool" else None
    return [
        Message(
            role=role,
            content=text_of(texts),
            tool_calls=calls,
            tool_call_id=answered if isinstance(answered, str) else None,
            name=item["name"] if isinstance(item.get("name"), str) else None,
        )
    ]


def _answer(part: Mapping[str, Any]) -> Message:
    output = next((part[name] for name in ("response", "result", "content") if part.get(name) is not None), "")
    id = part.get("id", part.get("tool_use_id"))
    content = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
    return Message(role="tool", content=content, tool_call_id=id if isinstance(id, str) else None)


def _call(call: Mapping[str, Any], number: int, where: str) -> ToolCall:
    inner: Any = call.get("function", call)
    name = inner.get("name") if isinstance(inner, Mapping) else None
    if not isinstance(name, str):
        raise DataError(f"expected a call with the name of a tool, found {_shown(call)} ({where})")
    arguments = inner.get("arguments", inner.get("input", inner.get("args")))
    id = call.get("id")
    return ToolCall(
        id=id if isinstance(id, str) and id else f"call_{number}",
        name=name,
        arguments=arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False),
    )


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__


def _shown(value: Any) -> str:
    return repr(value)[:80]
