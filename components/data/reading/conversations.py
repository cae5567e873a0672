"""Conversations as inputs and answers: the last question, the earlier turns, and the answer.

Decides how the messages of all common programs are read (OpenAI, Anthropic, Gemini, ShareGPT, OpenTelemetry), and how
tool calls become an answer: an object with the tool's `name` and `arguments`, or a list of such objects.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.data.reading.objects import loads

ROLES = {
    "human": "user", "gpt": "assistant", "bot": "assistant", "chatbot": "assistant", "model": "assistant",
    "ai": "assistant", "developer": "system", "function": "tool", "observation": "tool", "customer": "user",
    "agent": "assistant",
}  # fmt: skip
_KNOWN = {"user", "assistant", "system", "tool"}
_TEXT_PARTS = {"text", "input_text", "output_text", "refusal"}
_THOUGHTS = {"reasoning", "thinking", "redacted_thinking"}


@dataclass(frozen=True)
class Turn:
    """A message: role, text, tool calls, and whether training uses it."""

    role: str
    text: str
    calls: tuple[dict[str, Any], ...] = ()
    counts: bool = True


@dataclass(frozen=True)
class Exchange:
    """A question with its context and answer: system prompt, earlier turns as text, the last question, the answer.

    `answer` is a text, the object of a tool call, or None if there is none.
    """

    system: str
    earlier: str
    question: str
    answer: Any
    turns: int


@dataclass
class Chat:
    """Messages in a uniform form."""

    turns: list[Turn] = field(default_factory=list[Turn])

    def last_exchange(self) -> Exchange | None:
        """The exchange with the last answer that training uses; None if there is no question."""
        turns = [turn for turn in self.turns if turn.role != "system"]
        last = next((n for n in reversed(range(len(turns))) if turns[n].role == "assistant" and turns[n].counts), None)
        before = turns if last is None or last == 0 else turns[:last]
        question = next((n for n in reversed(range(len(before))) if before[n].role == "user"), None)
        if question is None:
            return None
        rest = [*before[:question], *before[question + 1 :]]
        return Exchange(
            system="\n\n".join(turn.text for turn in self.turns if turn.role == "system" and turn.text),
            earlier="\n".join(f"{turn.role}: {_text_of_turn(turn)}" for turn in rest),
            question=before[question].text,
            answer=None if last is None else answer_of(turns[last]),
            turns=len(rest),
        )

    def last_question(self) -> Exchange | None:
        """The last question of a chat whose answer stands elsewhere, after all that was said."""
        if self.turns[-1].role == "assistant":
            return self.last_exchange()
        return Chat([*self.turns, Turn("assistant", "")]).last_exchange()


def chat_of(value: Any) -> Chat | None:
    """A value as a chat, in any of the common forms; None if it is not one."""
    value = parsed(value)
    if isinstance(value, Mapping):
        inner = next(
            (value[name] for name in ("messages", "conversations", "contents", "input") if name in value), None
        )
        chat = chat_of(inner) if isinstance(parsed(inner), list) else None
        system = value.get("system") or value.get("systemInstruction") or value.get("system_instruction")
        if chat is not None and (text := text_of(system)):
            chat.turns.insert(0, Turn("system", text))
        return chat
    if not isinstance(value, list) or not value or not all(isinstance(item, Mapping) for item in value):
        return None
    turns = [turn for item in value if (turn := _turn(item)) is not None]
    return Chat(turns) if turns and len(turns) >= len(value) / 2 else None


def answer_of(turn: Turn) -> Any:
    """A turn's answer: its text, or its tool calls."""
    if not turn.calls:
        return turn.text or None
    return turn.calls[0] if len(turn.calls) == 1 else list(turn.calls)


def reply_of(value: Any) -> Any:
    """The answer in a program's log: a text, a message, a completion's choices, or any other value."""
    value = parsed(value)
    if isinstance(value, Mapping):
        return _reply_of_object(value)
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        messages = [
            item for item in value if item.get("type", "message") in ("message", "function_call") or "role" in item
        ]
        if any({"message", "role", "choices", "finish_reason", "arguments"} & item.keys() for item in messages):
            return _last(messages)
        texts = [text_of(item) for item in value]
        if all(texts) and all(item.keys() & {"text", "content"} and item.keys() <= _MESSAGE_KEYS for item in value):
            return "\n".join(texts)
    return value if value not in ("", [], {}) else None


def _reply_of_object(value: Mapping[str, Any]) -> Any:
    inner = next((value[name] for name in _ENVELOPES if isinstance(value.get(name), list)), None)
    if inner is None:
        inner = value.get("message") or value.get("delta")
    if inner is not None:
        return reply_of(inner)
    if "role" in value or "tool_calls" in value:
        turn = _turn({"role": "assistant", **value})
        return answer_of(turn) if turn else None
    if value.keys() & {"content", "text", "parts"} and value.keys() <= _MESSAGE_KEYS:
        return text_of(value) or None
    return dict(value) or None


def _last(messages: Sequence[Mapping[str, Any]]) -> Any:
    """The answer in an output's last message, or in the first of several choices; calls in an output are combined."""
    calls = [call for message in messages if message.get("type") == "function_call" and (call := _call(message))]
    if calls:
        return calls[0] if len(calls) == 1 else calls
    chosen = messages[0] if "message" in messages[0] else messages[-1]
    return reply_of(chosen)


_ENVELOPES = ("choices", "output", "generations", "candidates")
_MESSAGE_KEYS = {
    "content", "text", "parts", "type", "role", "annotations", "logprobs", "id", "status", "finish_reason", "index",
    "name", "refusal", "audio", "phase",
}  # fmt: skip


def parsed(value: Any) -> Any:
    """The JSON value of a text that is an object or a list; anything else unchanged."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return loads(value)
        except ValueError:
            return value
    return value


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or its parts, with those without text named in brackets.

    A model's thoughts are parts that nobody was told, and left out.
    """
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        for name in ("text", "content", "value", "parts"):
            if name in content and content[name] is not None:
                return text_of(content[name])
        kind = content.get("type")
        return f"[{kind}]" if isinstance(kind, str) and kind not in _TEXT_PARTS else ""
    if isinstance(content, list):
        return "\n".join(text for part in content if not _is_thought(part) and (text := text_of(part)))
    return "" if content is None else str(content)


def _is_thought(part: Any) -> bool:
    return isinstance(part, Mapping) and (part.get("type") in _THOUGHTS or part.get("thought") is True)


def _turn(message: Mapping[str, Any]) -> Turn | None:
    role = message.get("role", message.get("from", message.get("speaker")))
    if not isinstance(role, str) and message.get("type") in ("human", "ai", "system", "tool"):
        role = message["type"]
    if not isinstance(role, str):
        return None
    name = role.lower().strip()
    name = ROLES.get(name, name)
    if name not in _KNOWN:
        return None
    content = message.get("content", message.get("value", message.get("parts", message.get("text"))))
    calls = [call for raw in _raw_calls(message, content) if (call := _call(raw))]
    return Turn(name, text_of(_without_calls(content)), tuple(calls), message.get("weight") not in (0, False))


def _raw_calls(message: Mapping[str, Any], content: Any) -> list[Any]:
    calls = list(message["tool_calls"]) if isinstance(message.get("tool_calls"), list) else []
    if isinstance(message.get("function_call"), Mapping):
        calls.append(message["function_call"])
    if isinstance(content, list):
        calls += [part for part in content if isinstance(part, Mapping) and _is_call(part)]
    return calls


def _is_call(part: Mapping[str, Any]) -> bool:
    return part.get("type") in ("tool_use", "tool_call", "function_call") or "functionCall" in part


def _without_calls(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    return [part for part in content if not (isinstance(part, Mapping) and _is_call(part))]


def _call(value: Any) -> dict[str, Any] | None:
    """A tool call in the form of an answer."""
    if not isinstance(value, Mapping):
        return None
    inner = value.get("function") or value.get("functionCall") or value
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
        return None
    arguments = inner.get("arguments", inner.get("args", inner.get("input", {})))
    decoded = parsed(arguments)
    return {"name": inner["name"], "arguments": {} if decoded in (None, "") else decoded}


def _text_of_turn(turn: Turn) -> str:
    """A turn's text in later prompts."""
    calls = ["calls " + json.dumps(call, ensure_ascii=False) for call in turn.calls]
    return " ".join(" ".join([turn.text, *calls]).split())
