"""The shapes of OpenAI's chat completions: what answers look like, whole and as a stream of events."""

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from components.records import Completion
from components.serving.refusals import RequestError


def new_id(prefix: str = "chatcmpl-") -> str:
    """A name for a request's answer."""
    return f"{prefix}{uuid.uuid4().hex}"


class Reply(Protocol):
    """The form of an answer under a name: whole (`body`), or event by event."""

    name: str

    def body(self, completions: Sequence[Completion]) -> dict[str, Any]:
        """The answer as a whole."""
        ...

    def begins(self) -> str:
        """All choices begin."""
        ...

    def text(self, index: int, piece: str, /) -> str:
        """A choice goes on."""
        ...

    def ends(self, completions: Sequence[Completion]) -> str:
        """All choices end, and so does the stream."""
        ...

    def broken(self, error: RequestError) -> str:
        """The stream ends before its time."""
        ...


class ChatReply:
    """A `chat.completion`; as events, for each choice its role, its text in pieces and its end; then the usage."""

    def __init__(self, model: str, choices: int = 1, *, include_usage: bool = False) -> None:
        self.name = new_id()
        self._model, self._at, self._choices, self._counted = model, int(time.time()), choices, include_usage

    def body(self, completions: Sequence[Completion]) -> dict[str, Any]:
        """The answer as a whole; tokens of the prompt count once, as OpenAI counts them."""
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": one.text, "refusal": None},
                "logprobs": None,
                "finish_reason": one.finish_reason,
            }
            for index, one in enumerate(completions)
        ]
        return {**self._head("chat.completion"), "choices": choices, "usage": usage(completions)}

    def begins(self) -> str:
        """All choices begin."""
        role = {"role": "assistant", "content": ""}
        return "".join(self._choice(index, role, None) for index in range(self._choices))

    def text(self, index: int, piece: str) -> str:
        """A choice goes on."""
        return self._choice(index, {"content": piece}, None)

    def ends(self, completions: Sequence[Completion]) -> str:
        """All choices end, and so does the stream."""
        events = [self._choice(index, {}, one.finish_reason) for index, one in enumerate(completions)]
        if self._counted:
            events.append(event({**self._head("chat.completion.chunk"), "choices": [], "usage": usage(completions)}))
        return "".join([*events, "data: [DONE]\n\n"])

    def broken(self, error: RequestError) -> str:
        """The stream ends before its time."""
        return event(error.body)

    def _choice(self, index: int, delta: dict[str, str], reason: str | None) -> str:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        return event({**self._head("chat.completion.chunk"), "choices": [choice]})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.name, "object": kind, "created": self._at, "model": self._model}


def usage(completions: Sequence[Completion]) -> dict[str, int]:
    """Tokens of a request."""
    asked, told = completions[0].usage.input_tokens, sum(one.usage.output_tokens for one in completions)
    return {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told}


def event(content: Mapping[str, Any]) -> str:
    """A server-sent event; where its content has a type, that is the event's name, as OpenAI's responses have it."""
    name = f"event: {content['type']}\n" if isinstance(content.get("type"), str) else ""
    return f"{name}data: {json.dumps(content, ensure_ascii=False)}\n\n"
