"""Requests in the form of OpenAI's chat completions.

Parameters that this server cannot honour are refused by name; those that change no answer are ignored (`neutral`).
"""

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from components.engines import Calls, Sampling
from components.params import ServingParams
from components.records import Message
from components.records.messages import in_order_of_calls
from components.serving.neutral import Nullable, refuse_unknown
from components.serving.refusals import RequestError
from components.serving.tools import (
    CHOICE_SCHEMA,
    MadeCall,
    OfferedTool,
    ToolChoice,
    calls_of,
    choice_of,
    refuse_unanswered,
)

TEXTS = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "refusal": "refusal",
}  # type of a part: the field with its text
MOST_PARTS = 1024  # parts of a message, and messages of a conversation
MOST_STOPS, MOST_STOP = 16, 256
CUSTOMER = ("safety_identifier", "user")
MOST_SEED = 2**63
ANY_OBJECT: dict[str, Any] = {"type": "object"}  # the schema of `json_object`


class Turn(BaseModel):
    """One message: text, or parts that are text."""

    model_config = ConfigDict(extra="ignore")  # clients send back what they got: `refusal`, `annotations`

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str = ""
    tool_calls: list[MadeCall] | None = Field(default=None, max_length=MOST_PARTS, fail_fast=True)
    tool_call_id: str | None = None
    function_call: None = None

    @field_validator("role", mode="before")
    @classmethod
    def _is_known(cls, role: Any) -> Any:
        if role == "function":
            raise ValueError("messages of the role function are not supported here, only of the role tool")
        return role

    @field_validator("function_call", mode="before")
    @classmethod
    def _calls_nothing(cls, calls: Any) -> None:
        if calls:
            raise ValueError("`function_call` is not supported here, only `tool_calls`")

    @model_validator(mode="after")
    def _in_its_role(self) -> "Turn":
        if self.tool_calls and self.role != "assistant":
            raise ValueError("expected calls of tools in messages of the assistant alone")
        if self.role == "tool" and not self.tool_call_id:
            raise ValueError("expected tool_call_id in a message of the role tool")
        return self

    @model_validator(mode="before")
    @classmethod
    def _as_text(cls, turn: Any) -> Any:
        """Join the parts of a content; an assistant's may be null, as when it called a tool or said nothing."""
        if not isinstance(turn, dict):
            return turn
        content = turn.get("content")
        if content is None and turn.get("role") != "assistant":
            raise ValueError("expected content")
        text = "".join(map(_text_of, content)) if isinstance(content, list) else content
        return {**turn, "content": "" if text is None else text}

    @property
    def message(self) -> Message:
        """The message as engines take it; `developer` is the later name of `system`."""
        return Message(
            role="system" if self.role == "developer" else self.role,
            content=self.content,
            tool_calls=tuple(tool_call.call for tool_call in self.tool_calls or ()),
            tool_call_id=self.tool_call_id if self.role == "tool" else None,
        )


def _text_of(part: Any) -> str:
    """The text of a part of a message."""
    kind = part.get("type") if isinstance(part, dict) else None
    text = part.get(TEXTS[kind]) if isinstance(kind, str) and kind in TEXTS else None
    if isinstance(kind, str) and kind not in TEXTS:
        raise ValueError(f"content of the type {kind[:40]} is not supported here, only text")
    if not isinstance(text, str):
        raise ValueError('expected parts of the form {"type": "text", "text": "…"}')
    return text


class NamedSchema(Nullable):
    """A JSON Schema with its name."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    name: str = "answer"
    content: dict[str, Any] = Field(alias="schema")


class ResponseFormat(Nullable):
    """The form that the answer must have."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None

    def answer_schema(self, most_bytes: int) -> dict[str, Any] | None:
        """The schema that answers must obey; None if any text will do.

        Raises:
            RequestError: The type asks for a schema, and there is none, or it is too long.
        """
        if self.type == "json_schema" and self.json_schema is None:
            raise RequestError(400, "expected response_format.json_schema, found none", param="response_format")
        if self.json_schema is None or self.type != "json_schema":
            return ANY_OBJECT if self.type == "json_object" else None
        if len(json.dumps(self.json_schema.content)) > most_bytes:
            raise RequestError(400, f"expected a schema of at most {most_bytes:,} bytes", param="response_format")
        return self.json_schema.content


class StreamOptions(Nullable):
    """Options of a streamed answer."""

    model_config = ConfigDict(extra="allow")

    include_usage: bool = False


class Asked(Nullable):
    """The fields that all kinds of requests share."""

    model_config = ConfigDict(extra="allow")

    model: str
    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    stream: bool = False

    @property
    def customer(self) -> str | None:
        """The customer that it is asked for, by either of OpenAI's names for that; ignored if it is not text."""
        named = ((self.model_extra or {}).get(name) for name in CUSTOMER)
        return next((name for name in named if isinstance(name, str) and name), None)

    def refuse_unknown(self) -> None:
        """Refuse fields that ask for something that this server does not do.

        Raises:
            RequestError: Names the first such field.
        """
        refuse_unknown(self.model_extra or {})


class ChatCompletionRequest(Asked):
    """A request for chat completions; the temperature is 0 unless given, so that a specialist's answers do not vary."""

    messages: list[Turn] = Field(min_length=1, max_length=MOST_PARTS, fail_fast=True)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    n: int = Field(default=1, ge=1, le=16)
    seed: int | None = None
    stop: tuple[str, ...] = Field(default=(), max_length=MOST_STOPS, fail_fast=True)
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    tools: list[OfferedTool] = Field(default_factory=list[OfferedTool], fail_fast=True)
    tool_choice: Annotated[ToolChoice | None, WithJsonSchema(CHOICE_SCHEMA)] = None
    parallel_tool_calls: bool = True

    @field_validator("tool_choice", mode="before")
    @classmethod
    def _is_a_choice(cls, choice: Any) -> Any:
        return choice_of(choice)

    @field_validator("messages")
    @classmethod
    def _answers_its_calls(cls, turns: list[Turn]) -> list[Turn]:
        refuse_unanswered([turn.message for turn in turns])
        return turns

    @field_validator("stop", mode="before")
    @classmethod
    def _of_one(cls, stop: Any) -> Any:
        return (stop,) if isinstance(stop, str) else stop

    @field_validator("stop")
    @classmethod
    def _that_ends(cls, stop: tuple[str, ...]) -> tuple[str, ...]:
        if any(len(text) > MOST_STOP for text in stop):
            raise ValueError(f"expected texts of at most {MOST_STOP} characters")
        return tuple(text for text in stop if text)

    def refuse_unknown(self) -> None:
        """Refuse fields that ask for something that this server does not do, also in `stream_options`.

        Raises:
            RequestError: Names the first such field.
        """
        super().refuse_unknown()
        refuse_unknown((self.stream_options and self.stream_options.model_extra) or {})

    @property
    def conversation(self) -> list[Message]:
        """The messages as engines take them, tools' answers in the order of their calls."""
        return list(in_order_of_calls(turn.message for turn in self.messages))

    @property
    def calling(self) -> bool:
        """Whether tools are offered, or were called before."""
        return bool(self.tools) or any(turn.tool_calls for turn in self.messages)

    def calls(self, params: ServingParams) -> Calls | None:
        """What the answer may call: nothing if calls were made and no tool is offered; None if there is only text.

        Raises:
            RequestError: The tools or the choice are wrong, or `stop` is set too.
        """
        calls = calls_of(self.tools, self.tool_choice, params, several=self.parallel_tool_calls)
        if calls is None and self.calling:
            calls = Calls(most=0)
        if calls is not None and self.stop:
            raise RequestError(
                400, "expected a request without `stop` where tools are called: a call must not be cut",
                code="unsupported_parameter", param="stop",
            )  # fmt: skip
        return calls

    def sampling(self, max_new_tokens: int, answer_schema: dict[str, Any] | None, params: ServingParams) -> Sampling:
        """How the engine samples the answer; the first two arguments are the defaults.

        Whatever the request says, no more tokens are computed than the settings allow for one request.

        Raises:
            RequestError: The schema that it names is missing or too long.
        """
        named = self.response_format
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_new_tokens=min(
                self.max_completion_tokens or self.max_tokens or max_new_tokens, params.most_new_tokens // self.n
            ),
            n=self.n,
            seed=abs(self.seed or 0) % MOST_SEED,
            answer_schema=named.answer_schema(params.most_schema_bytes) if named else answer_schema,
            calls=self.calls(params),
        )


class FeedbackRequest(BaseModel):
    """Feedback on an answer, by its id: its score in [0, 1], the right answer, or both."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1, max_length=100)
    score: float | None = Field(default=None, ge=0, le=1)
    corrected: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _knows_its_fields(cls, body: Any) -> Any:
        """Name the first unknown field alone: without this, each of thousands is an error."""
        strange = [name for name in body if name not in cls.model_fields][:1] if isinstance(body, dict) else []
        if strange:
            raise ValueError(f"expected no fields but {', '.join(cls.model_fields)}, found {strange[0]!r:.60}")
        return body

    @model_validator(mode="after")
    def _says_something(self) -> "FeedbackRequest":
        if self.score is None and self.corrected is None:
            raise ValueError("expected a score, a corrected answer, or both")
        return self
