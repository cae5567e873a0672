"""Tools in OpenAI's chat completions: which a request may offer, which may be called, and which calls are answered.

Decides what is refused; the engine decides how a call is written and held to its schema.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from components.engines import Calls
from components.params import ServingParams
from components.records import Message, Tool, ToolCall
from components.serving.refusals import RequestError
from components.serving.schemas import objection

NAME = r"^[A-Za-z0-9_-]{1,64}$"
_ANY: dict[str, Any] = {"type": "object", "properties": {}}


class Function(BaseModel):
    """A function that may be called; without parameters it takes none."""

    model_config = ConfigDict(extra="ignore")

    name: str = Field(pattern=NAME)
    description: str | None = None
    parameters: dict[str, Any] | None = None


class OfferedTool(BaseModel):
    """A tool that a request offers: a function."""

    model_config = ConfigDict(extra="ignore")

    type: Literal["function"]
    function: Function

    @property
    def tool(self) -> Tool:
        """The tool as engines and records have it."""
        function = self.function
        return Tool(name=function.name, description=function.description or "", parameters=function.parameters or _ANY)


@dataclass(frozen=True)
class Named:
    """The one tool that must be called."""

    name: str


CHOICES = ("none", "auto", "required")
ToolChoice = str | Named
CHOICE_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"enum": [*CHOICES, None]},
        {
            "type": "object", "required": ["type", "function"],
            "properties": {
                "type": {"const": "function"},
                "function": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
            },
        },
    ]
}  # fmt: skip


def choice_of(value: Any) -> ToolChoice:
    """A request's `tool_choice`: which tools may or must be called.

    Raises:
        ValueError: It has none of the known forms.
    """
    if isinstance(value, str) and value in CHOICES:
        return value
    function = value.get("function") if isinstance(value, dict) and value.get("type") == "function" else None  # pyright: ignore[reportUnknownMemberType]
    name = function.get("name") if isinstance(function, dict) else None  # pyright: ignore[reportUnknownMemberType]
    if not isinstance(name, str):
        raise ValueError(
            f'expected none, auto, required or {{"type": "function", "function": {{"name": "…"}}}}, found {value!r:.80}'
        )
    return Named(name)


class CalledFunction(BaseModel):
    """A function call by an assistant; the arguments are the text that it wrote."""

    name: str = Field(pattern=NAME)
    arguments: str


class MadeCall(BaseModel):
    """A call in an assistant's message."""

    model_config = ConfigDict(extra="ignore")

    id: str = Field(min_length=1, max_length=200)
    type: Literal["function"] = "function"
    function: CalledFunction

    @property
    def call(self) -> ToolCall:
        """The call as records have it."""
        return ToolCall(id=self.id, name=self.function.name, arguments=self.function.arguments)


def calls_of(
    offered: Sequence[OfferedTool], choice: ToolChoice | None, params: ServingParams, *, several: bool
) -> Calls | None:
    """What a turn may call; None if nothing is offered.

    Raises:
        RequestError: Too much is offered, a name comes twice, parameters are not a schema, or the tool that must be
            called is not offered.
    """
    if not offered:
        if choice == "required" or isinstance(choice, Named):
            raise RequestError(400, "expected `tools` where `tool_choice` asks for a call", param="tool_choice")
        return None
    tools = tuple(offer.tool for offer in offered)
    _refuse_too_much(tools, params)
    _refuse_no_schema(tools)
    names = tuple(tool.name for tool in tools)
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise RequestError(400, f"expected each tool once, found {twice} twice", param="tools")
    if choice == "none":
        return Calls(tools=tools, most=0)
    if isinstance(choice, Named):
        if choice.name not in names:
            raise RequestError(
                400, f"expected one of `tools` to be called, found {choice.name!r:.80}", param="tool_choice"
            )
        names = (choice.name,)
    least = 0 if choice in (None, "auto") else 1
    return Calls(tools=tools, names=names, least=least, most=None if several else 1)


def _refuse_too_much(tools: Sequence[Tool], params: ServingParams) -> None:
    if len(tools) > params.most_tools:
        raise RequestError(400, f"expected at most {params.most_tools:,} tools, found {len(tools):,}", param="tools")
    size = sum(len(json.dumps(tool.model_dump()).encode()) for tool in tools)
    if size > params.most_tools_bytes:
        raise RequestError(
            400, f"expected tools of at most {params.most_tools_bytes:,} bytes, found {size:,}", param="tools"
        )


def _refuse_no_schema(tools: Sequence[Tool]) -> None:
    for number, tool in enumerate(tools):
        if problem := _problem(tool.parameters):
            place = f"tools.{number}.function.parameters"
            raise RequestError(400, f"{place}: {problem}", param=place)


def _problem(schema: dict[str, Any]) -> str | None:
    """Why parameters are not a schema of a call's arguments; None if they are."""
    if (found := objection(schema)) is not None:
        return f"expected a JSON Schema, found {found}"
    kind = schema.get("type", "object")
    return None if kind == "object" else f"expected the schema of an object, found the type {kind!r:.60}"


def refuse_unanswered(messages: Sequence[Message]) -> None:
    """Refuse an answer to a call that was not made or is already answered, and a call without an answer.

    Raises:
        ValueError: Names the call.
    """
    waiting: list[str] = []
    for message in messages:
        if message.role == "tool":
            if message.tool_call_id not in waiting:
                raise ValueError(
                    "expected messages of the role tool after the calls that they answer, "
                    f"found {message.tool_call_id!r:.80}"
                )
            waiting.remove(message.tool_call_id)
            continue
        if waiting:
            break
        waiting = [call.id for call in message.tool_calls]
        if len(set(waiting)) < len(waiting):
            raise ValueError("expected calls with ids of their own, found one twice")
    if waiting:
        raise ValueError(f"expected an answer to each call, found none to {waiting[0]!r:.80}")


def call_id(request: str, choice: int, number: int) -> str:
    """The id of a call by its place: the same in the answer and in its trace."""
    digest = hashlib.sha256(f"{request}/{choice}/{number}".encode()).hexdigest()
    return f"call_{digest[:24]}"
