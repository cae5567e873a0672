"""OpenAI's responses (`/v1/responses`), for text only: a chat completion in another form.

Parameters that need state on the server (`previous_response_id`) or tools are refused by name.
"""

import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from components.records import Completion
from components.serving.neutral import NOTHING, Nullable, refuse_unknown
from components.serving.protocol import MOST_PARTS, Asked, ChatCompletionRequest
from components.serving.refusals import RequestError
from components.serving.replies import event, new_id, usage

OF_TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})
OF_CHAT = frozenset({"messages", "n", "response_format"})  # fields of chat completions that responses do not have


class Format(Nullable):
    """The form that the answer must have."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    type: Literal["text", "json_object", "json_schema"] = "text"
    content: dict[str, Any] | None = Field(default=None, alias="schema")


class Text(Nullable):
    """Settings of the answer's text."""

    model_config = ConfigDict(extra="allow")

    format: Format | None = None


class ResponsesRequest(Asked):
    """A request for a response: a text, or the turns of a conversation."""

    input: str | Annotated[list[dict[str, Any]], Field(fail_fast=True)] = Field(max_length=2**20)
    instructions: str | None = None
    max_output_tokens: int | None = Field(default=None, ge=1)
    text: Text = Text()
    reasoning: dict[str, Any] = Field(default_factory=dict)

    @property
    def chat(self) -> ChatCompletionRequest:
        """The equivalent chat completion.

        Raises:
            RequestError: The input is not only messages, or something other than text is asked for.
        """
        if any(value not in (*NOTHING, "none") for value in self.reasoning.values()):
            raise RequestError(
                400, "expected a request without `reasoning`, which is not supported here",
                code="unsupported_parameter", param="reasoning",
            )  # fmt: skip
        extra = self.model_extra or {}
        if strange := sorted(extra.keys() & OF_CHAT):
            raise RequestError(
                400, f"expected a request without `{strange[0]}`, which responses do not have",
                code="unsupported_parameter", param=strange[0],
            )  # fmt: skip
        refuse_unknown({name: extra[name] for name in OF_TOOLS if name in extra} | (self.text.model_extra or {}))
        named = {"role": "system", "content": self.instructions} if self.instructions else None
        body: dict[str, Any] = {
            "model": self.model, "messages": [*([named] if named else []), *self._turns], "stream": self.stream,
            "temperature": self.temperature, "top_p": self.top_p, "max_completion_tokens": self.max_output_tokens,
            "response_format": self._format, **{name: extra[name] for name in extra.keys() - OF_TOOLS},
        }  # fmt: skip
        return ChatCompletionRequest.model_validate(body)

    @property
    def _turns(self) -> list[dict[str, Any]]:
        if isinstance(self.input, str):
            return [{"role": "user", "content": self.input}]
        if len(self.input) > MOST_PARTS:
            raise RequestError(400, f"expected at most {MOST_PARTS:,} items", param="input")
        for item in self.input:
            if (kind := item.get("type", "message")) != "message":
                raise RequestError(400, f"expected messages as input, found {kind!r:.60}", param="input")
        return [{"role": item.get("role"), "content": item.get("content")} for item in self.input]

    @property
    def _format(self) -> dict[str, Any] | None:
        form = self.text.format
        if form is None:
            return None
        return {"type": form.type, "json_schema": None if form.content is None else {"schema": form.content}}


class Response:
    """The answer to one request, whole and as server-sent events."""

    def __init__(self, asked: ResponsesRequest, model: str) -> None:
        self.name = new_id("resp_")
        self._asked, self._model, self._at = asked, model, int(time.time())
        self._item, self._written, self._number = self.name.replace("resp_", "msg_"), "", 0

    def body(self, completions: Sequence[Completion]) -> dict[str, Any]:
        """The response as a whole."""
        completion, used = completions[0], usage(completions)
        whole = completion.finish_reason != "length"
        return self._head("completed" if whole else "incomplete") | {
            "incomplete_details": None if whole else {"reason": "max_output_tokens"},
            "output": [self._message("completed" if whole else "incomplete", [_text(completion.text)])],
            "usage": {
                "input_tokens": used["prompt_tokens"],
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": used["completion_tokens"],
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": used["total_tokens"],
            },
        }

    def begins(self) -> str:
        """The events that begin the response, its message and its text."""
        return "".join(
            [
                self._event("response.created", response=self._head("in_progress")),
                self._event("response.in_progress", response=self._head("in_progress")),
                self._event("response.output_item.added", output_index=0, item=self._message("in_progress", [])),
                self._part("response.content_part.added", part=_text("")),
            ]
        )

    def text(self, _: int, piece: str) -> str:
        """The event for the next piece of the text."""
        self._written += piece
        return self._part("response.output_text.delta", delta=piece, logprobs=[])

    def ends(self, completions: Sequence[Completion]) -> str:
        """The events that end the text, its message and the response."""
        whole = self.body(completions)
        return "".join(
            [
                self._part("response.output_text.done", text=self._written, logprobs=[]),
                self._part("response.content_part.done", part=_text(self._written)),
                self._event("response.output_item.done", output_index=0, item=whole["output"][0]),
                self._event(f"response.{whole['status']}", response=whole),
            ]
        )

    def broken(self, error: RequestError) -> str:
        """The event of a response that ends early."""
        failure = {"code": "server_error" if error.status >= 500 else "invalid_prompt", "message": str(error)}
        return self._event("response.failed", response=self._head("failed") | {"error": failure})

    def _event(self, kind: str, **content: Any) -> str:
        self._number += 1
        return event({"type": kind, "sequence_number": self._number - 1, **content})

    def _part(self, kind: str, **content: Any) -> str:
        return self._event(kind, item_id=self._item, output_index=0, content_index=0, **content)

    def _message(self, status: str, content: list[Any]) -> dict[str, Any]:
        return {"id": self._item, "type": "message", "role": "assistant", "status": status, "content": content}

    def _head(self, status: str) -> dict[str, Any]:
        asked = self._asked
        form = asked.text.format.model_dump(by_alias=True, exclude_none=True) if asked.text.format else {"type": "text"}
        return {
            "id": self.name, "object": "response", "created_at": self._at, "status": status, "model": self._model,
            "error": None, "incomplete_details": None, "instructions": asked.instructions, "output": [], "usage": None,
            "max_output_tokens": asked.max_output_tokens, "temperature": asked.temperature, "top_p": asked.top_p,
            "text": {"format": form}, "tools": [], "tool_choice": "auto", "parallel_tool_calls": True, "metadata": {},
            "previous_response_id": None, "reasoning": {"effort": None, "summary": None}, "store": False,
            "truncation": "disabled",
        }  # fmt: skip


def _text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
