"""The shapes of OpenAI's chat completions: what answers look like, whole and as a stream of events."""

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from components.records import Completion
from components.serving.refusals import RequestError


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

    def __init__(self, name: str, model: str, choices: int = 1, *, include_usage: bool = False) -> None:
        self._head, self._choices, self._counted = _head("chat.completion.chunk", name, model), choices, include_usage

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
            events.append(event({**self._head, "choices": [], "usage": usage(completions)}))
        return "".join([*events, "data: [DONE]\n\n"])

    def broken(self, error: RequestError) -> str:
        """The stream ends before its time."""
        return event(error.body)

    def _choice(self, index: int, delta: dict[str, str], reason: str | None) -> str:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        return event({**self._head, "choices": [choice]})


def usage(completions: Sequence[Completion]) -> dict[str, int]:
    """Tokens of a request."""
    asked, told = completions[0].usage.input_tokens, sum(one.usage.output_tokens for one in completions)
    return {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told}


def event(content: Mapping[str, Any]) -> str:
    """A server-sent event; where its content has a type, that is the event's name, as OpenAI's responses have it."""
    name = f"event: {content['type']}\n" if isinstance(content.get("type"), str) else ""
    return f"{name}data: {json.dumps(content, ensure_ascii=False)}\n\n"


def _head(kind: str, name: str, model: str) -> dict[str, Any]:
    return {"id": name, "object": kind, "created": int(time.time()), "model": model}
