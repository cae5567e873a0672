"""What models read and say: the turns of a conversation, and the tools that are called in them."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, Literal

from pydantic import SerializerFunctionWrapHandler, model_serializer

from components.records.record import Record
from components.schema import resolve_root

Role = Literal["system", "user", "assistant", "tool"]
_COMPOSED = frozenset(("$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "dependentSchemas"))
_TOLD = re.compile(r"(?:(?:an )?error|traceback)\b", re.IGNORECASE)  # what frameworks make of a tool's failure


class ToolCall(Record):
    """A call of a tool as an assistant wrote it; `arguments` are the text that should be a JSON object.

    A call that could not be read as one has no name, and the whole text as its arguments.
    """

    id: str
    name: str
    arguments: str

    @property
    def plain_arguments(self) -> str:
        """The arguments in one way of writing, so that arguments that a client has rewritten stay equal."""
        with suppress(ValueError, RecursionError):
            return json.dumps(json.loads(self.arguments), sort_keys=True)
        return self.arguments

    @property
    def openai(self) -> dict[str, Any]:
        """The call as OpenAI's messages have it."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


class Tool(Record):
    """A tool as it is described to a model; `parameters` is the JSON Schema of its arguments."""

    name: str
    description: str = ""
    parameters: dict[str, Any]

    @property
    def arguments_schema(self) -> dict[str, Any]:
        """The schema of what it is called with: arguments that it does not name are none unless it allows them.

        One that is composed of others stays as open as it is: it could only be closed to what it names itself, and so
        to what the others name.
        """
        schema = resolve_root(self.parameters)
        closed = {} if _COMPOSED & schema.keys() else {"additionalProperties": False}
        return {"type": "object", **closed, **schema}

    @property
    def openai(self) -> dict[str, Any]:
        """The tool as OpenAI's requests and chat templates have it."""
        return {"type": "function", "function": self.model_dump()}


class Message(Record):
    """One turn of a conversation; an assistant's may call tools, a tool's answers the call of `tool_call_id`."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None

    @model_serializer(mode="wrap")
    def _without_what_it_lacks(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Role and content alone where there is nothing else: what was written before tools came reads as it did."""
        return {key: value for key, value in write(self).items() if key in ("role", "content") or value}

    @property
    def openai(self) -> dict[str, Any]:
        """The message as OpenAI's requests and chat templates have it."""
        calls = [call.openai for call in self.tool_calls]
        return {**self.model_dump(), **({"tool_calls": calls} if calls else {})}


def in_order_of_calls(messages: Iterable[Message]) -> tuple[Message, ...]:
    """These messages, where tools' answers come in the order of the calls that they answer.

    Clients that run tools at once send answers as they come, and templates show them without ids. Answers among which
    one has no call in the turn before them stay as they are.
    """
    ordered: list[Message] = []
    calls: list[ToolCall] = []
    for answering, turns in groupby(messages, lambda message: message.role == "tool"):
        run = list(turns)
        ordered += _as_called(run, calls) if answering else run
        calls = [call for turn in run for call in turn.tool_calls]
    return tuple(ordered)


def _as_called(answers: Sequence[Message], calls: Sequence[ToolCall]) -> Sequence[Message]:
    waiting: dict[str | None, list[Message]] = defaultdict(list)
    for answer in answers:
        waiting[answer.tool_call_id].append(answer)
    called = [waiting[call.id].pop(0) for call in calls if waiting[call.id]]
    return called if len(called) == len(answers) else answers


def is_failure(result: str) -> bool:
    """Whether a tool's answer tells of a failure: JSON with an `error`, or words that begin so."""
    try:
        value = json.loads(result)
    except (ValueError, RecursionError):
        return _TOLD.match(result.lstrip()) is not None
    return isinstance(value, dict) and bool(value.get("error"))  # pyright: ignore[reportUnknownMemberType]
