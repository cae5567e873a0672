"""Answers in the form of OpenAI's chat completions, whole and as a stream of events."""

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from components.engines.calling import Piece, TurnParser, parse_turn
from components.records import Completion
from components.serving.refusals import RequestError
from components.serving.tools import call_id


def new_id(prefix: str = "chatcmpl-") -> str:
    """A new id for a request's answer."""
    return f"{prefix}{uuid.uuid4().hex}"


class Reply(Protocol):
    """The form of an answer under a name: whole (`body`), or event by event."""

    name: str

    def body(self, completions: Sequence[Completion]) -> dict[str, Any]:
        """The answer as a whole."""
        ...

    def begins(self) -> str:
        """The events that begin all choices."""
        ...

    def text(self, index: int, piece: str, /) -> str:
        """The events for the next piece of a choice."""
        ...

    def ends(self, completions: Sequence[Completion]) -> str:
        """The events that end all choices and the stream."""
        ...

    def broken(self, error: RequestError) -> str:
        """The event of a stream that ends early."""
        ...


class ChatReply:
    """A `chat.completion`; as events, for each choice its role, its text in pieces and its end; then the usage.

    With `calling`, calls of tools are taken out of the texts: a call's name comes first, then its arguments in pieces.
    """

    def __init__(self, model: str, choices: int = 1, *, include_usage: bool = False, calling: bool = False) -> None:
        self.name = new_id()
        self._model, self._at, self._choices, self._counted = model, int(time.time()), choices, include_usage
        self._heard = [TurnParser() for _ in range(choices)] if calling else None

    def body(self, completions: Sequence[Completion]) -> dict[str, Any]:
        """The answer as a whole; tokens of the prompt count once, as OpenAI counts them."""
        choices = [self._whole(index, completion) for index, completion in enumerate(completions)]
        return {**self._head("chat.completion"), "choices": choices, "usage": usage(completions)}

    def begins(self) -> str:
        """The events that begin all choices."""
        role = {"role": "assistant", "content": ""}
        return "".join(self._choice(index, role, None) for index in range(self._choices))

    def text(self, index: int, piece: str) -> str:
        """The events for the next piece of a choice."""
        if self._heard is None:
            return self._choice(index, {"content": piece}, None)
        return "".join(self._piece(index, part) for part in self._heard[index](piece))

    def ends(self, completions: Sequence[Completion]) -> str:
        """The events that end all choices and the stream."""
        events: list[str] = []
        for index, completion in enumerate(completions):
            hearing = None if self._heard is None else self._heard[index]
            events += [self._piece(index, piece) for piece in hearing.close()] if hearing else []
            called = hearing is not None and bool(hearing.begun) and not hearing.inside
            events.append(self._choice(index, {}, _reason(completion, calls=called)))
        if self._counted:
            events.append(event({**self._head("chat.completion.chunk"), "choices": [], "usage": usage(completions)}))
        return "".join([*events, "data: [DONE]\n\n"])

    def broken(self, error: RequestError) -> str:
        """The event of a stream that ends early."""
        return event(error.body)

    def _whole(self, index: int, completion: Completion) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": completion.text, "refusal": None}
        calls: list[Any] = []
        called = False
        if self._heard is not None:
            turn = parse_turn(completion.text, lambda number: call_id(self.name, index, number))
            said, calls = turn.message, [call.openai for call in turn.message.tool_calls]
            called = bool(calls) and turn.whole
            message |= {"content": said.content or None if calls else said.content}
            message |= {"tool_calls": calls} if calls else {}
        reason = _reason(completion, calls=called)
        return {"index": index, "message": message, "logprobs": None, "finish_reason": reason}

    def _piece(self, index: int, piece: Piece) -> str:
        """The event for the next piece of a choice's text, or of a call."""
        if piece.call is None:
            return self._choice(index, {"content": piece.text}, None)
        function = {"arguments": piece.text}
        call: dict[str, Any] = {"index": piece.call, "function": function}
        if piece.name is not None:
            name = {"name": piece.name, **function}
            call |= {"id": call_id(self.name, index, piece.call), "type": "function", "function": name}
        return self._choice(index, {"tool_calls": [call]}, None)

    def _choice(self, index: int, delta: Mapping[str, Any], reason: str | None) -> str:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        return event({**self._head("chat.completion.chunk"), "choices": [choice]})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.name, "object": kind, "created": self._at, "model": self._model}


def _reason(completion: Completion, *, calls: bool) -> str:
    """Why a choice ended; `calls` says that it ended in calls, which one that was cut off or has no object did not."""
    return "tool_calls" if calls and completion.finish_reason == "stop" else completion.finish_reason


def usage(completions: Sequence[Completion]) -> dict[str, int]:
    """The tokens of a request; those of the prompt count once."""
    asked, answered = completions[0].usage.input_tokens, sum(each.usage.output_tokens for each in completions)
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}


def event(content: Mapping[str, Any]) -> str:
    """A server-sent event; where its content has a type, that is the event's name, as OpenAI's responses have it."""
    name = f"event: {content['type']}\n" if isinstance(content.get("type"), str) else ""
    return f"{name}data: {json.dumps(content, ensure_ascii=False)}\n\n"
