"""The shapes of OpenAI's chat completions: what a request may hold, what answers and errors look like.

What this server cannot honour is refused by name; what changes no answer (`user`, `metadata`) is let through.
"""

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.exceptions import HTTPException

from components.engines import Sampling
from components.records import Completion, Message

HARMLESS = frozenset({"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"})
NEUTRAL: tuple[Any, ...] = (None, False, 0, [], {}, "")  # values by which a client asks for nothing


class RequestError(Exception):
    """A request that is refused: its status and the fields of OpenAI's error object."""

    def __init__(self, status: int, message: str, *, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param

    @property
    def body(self) -> dict[str, Any]:
        """The error as OpenAI's clients read it."""
        kinds = {401: "authentication_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


def refusal(error: Exception) -> RequestError:
    """Any error as one that clients read; what nobody foresaw is not told to them."""
    match error:
        case RequestError():
            return error
        case ValidationError() | RequestValidationError():
            first = error.errors()[0]
            field_name = ".".join(str(part) for part in first["loc"])
            return RequestError(400, f"{field_name}: {first['msg']}" if field_name else first["msg"], param=field_name)
        case HTTPException():
            return RequestError(error.status_code, str(error.detail))
        case _:
            return RequestError(500, "the server failed; its log says why")


class TextPart(BaseModel):
    """A part of a message; others than text are refused."""

    type: Literal["text"]
    text: str


class Turn(BaseModel):
    """One message."""

    model_config = ConfigDict(extra="ignore")  # clients send back what they got: `refusal`, `annotations`

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]

    @property
    def message(self) -> Message:
        """The message as engines take it; `developer` is the later name of `system`."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return Message(role="system" if self.role == "developer" else self.role, content=text)


class NamedSchema(BaseModel):
    """A JSON Schema with its name."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    name: str
    content: dict[str, Any] = Field(alias="schema")


class ResponseFormat(BaseModel):
    """What the answer is held to."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None

    @property
    def answer_schema(self) -> dict[str, Any] | None:
        """The schema that answers obey; None where they are free.

        Raises:
            RequestError: The type asks for a schema, and there is none.
        """
        if self.type == "json_schema" and self.json_schema is None:
            raise RequestError(400, "expected response_format.json_schema, found none", param="response_format")
        if self.json_schema is not None and self.type == "json_schema":
            return self.json_schema.content
        return {"type": "object"} if self.type == "json_object" else None


class StreamOptions(BaseModel):
    """Of a streamed answer."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """A request for chat completions; the temperature is 0 unless given, since a specialist's answer is no lottery."""

    model_config = ConfigDict(extra="allow")

    model: str
    messages: list[Turn] = Field(min_length=1)
    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    n: int = Field(default=1, ge=1, le=16)
    seed: int | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None

    def refuse_unknown(self) -> None:
        """Refuse what asks for something that this server does not do.

        Raises:
            RequestError: Names the first such field.
        """
        for name, value in (self.model_extra or {}).items():
            if name not in HARMLESS and value not in NEUTRAL:
                raise RequestError(
                    400, f"expected a request without `{name}`, which is not supported here, found {value!r:.60}",
                    code="unsupported_parameter", param=name,
                )  # fmt: skip

    def sampling(self, max_new_tokens: int, answer_schema: dict[str, Any] | None) -> Sampling:
        """How the engine draws the answer; the arguments hold where the request says nothing."""
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            max_new_tokens=self.max_completion_tokens or self.max_tokens or max_new_tokens,
            n=self.n,
            seed=abs(self.seed or 0),
            answer_schema=self.response_format.answer_schema if self.response_format else answer_schema,
        )


class FeedbackRequest(BaseModel):
    """What became of an answer, by its id: how good it was in [0, 1], what would have been right, or both."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1, max_length=100)
    score: float | None = Field(default=None, ge=0, le=1)
    corrected: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "FeedbackRequest":
        if self.score is None and self.corrected is None:
            raise ValueError("expected a score, a corrected answer, or both")
        return self


def new_id() -> str:
    """A name for a request's answer."""
    return f"chatcmpl-{uuid.uuid4().hex}"


def answer_body(name: str, model: str, completions: Sequence[Completion]) -> dict[str, Any]:
    """A `chat.completion`; tokens of the prompt count once, as OpenAI counts them."""
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": one.text, "refusal": None},
            "logprobs": None,
            "finish_reason": one.finish_reason,
        }
        for index, one in enumerate(completions)
    ]
    return {**_head("chat.completion", name, model), "choices": choices, "usage": usage(completions)}


class Events:
    """The same as server-sent events: for each choice its role, its text in pieces and its end; then the usage."""

    def __init__(self, name: str, model: str) -> None:
        self._head = _head("chat.completion.chunk", name, model)

    def role(self, index: int) -> str:
        """A choice begins."""
        return self._choice(index, {"role": "assistant", "content": ""}, None)

    def text(self, index: int, piece: str) -> str:
        """A choice goes on."""
        return self._choice(index, {"content": piece}, None)

    def ends(self, completions: Sequence[Completion], *, include_usage: bool) -> str:
        """All choices end, and so does the stream."""
        events = [self._choice(index, {}, one.finish_reason) for index, one in enumerate(completions)]
        if include_usage:
            events.append(_event({**self._head, "choices": [], "usage": usage(completions)}))
        return "".join([*events, "data: [DONE]\n\n"])

    def broken(self, error: RequestError) -> str:
        """The stream ends before its time."""
        return _event(error.body)

    def _choice(self, index: int, delta: dict[str, str], reason: str | None) -> str:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        return _event({**self._head, "choices": [choice]})


def usage(completions: Sequence[Completion]) -> dict[str, int]:
    """Tokens of a request."""
    asked, told = completions[0].usage.input_tokens, sum(one.usage.output_tokens for one in completions)
    return {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told}


def _event(content: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(content, ensure_ascii=False)}\n\n"


def _head(kind: str, name: str, model: str) -> dict[str, Any]:
    return {"id": name, "object": kind, "created": int(time.time()), "model": model}
