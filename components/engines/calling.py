"""Tool calls in an assistant's turn: the grammar that they are decoded under, a parser for streamed turns, its inverse.

Decides the format, which Hermes, Qwen and nano share: JSON between `<tool_call>` tags, name before arguments. Text
before a call is free, but cannot contain the tag: whatever begins as a call is a valid call.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from components.engines.base import Calls
from components.engines.closing import closed
from components.records import Message, Tool, ToolCall

OPEN, CLOSE = "<tool_call>", "</tool_call>"
FORM: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""JSON on one line, as json.dumps writes it: a model that may write blanks anywhere may never stop writing them."""
_BEGINS = re.compile(r'\{"name": ("(?:[^"\\]|\\.)*+"), "arguments": ')


def grammar_of(calls: Calls, answer_schema: dict[str, Any] | None, tags: tuple[str, str] | None) -> str:
    """A turn's grammar, as llguidance's Lark; `tags` names the tags' tokens where each tag is a single token."""
    opens, closes = tags or (f'"{OPEN}"', f'"{CLOSE}"')
    tools = [tool for tool in calls.tools if tool.name in calls.names]
    answer = "TEXT?" if answer_schema is None else "answer"
    rules = [
        "%llguidance {}",
        f"start: {_start(calls, free=answer_schema is None, answer=answer)}",
        r"TEXT: /(.|\n)+/ & ~/(.|\n)*<tool_call>(.|\n)*/",
        r"BLANKS: /[ \n]{1,2}/",
    ]
    if answer_schema is not None:
        rules.append(f"answer: {_json(answer_schema)}")
    if tools and calls.most != 0:
        rules += [] if tags else [r"opened[lazy]: /(.|\n)*<tool_call>/"]
        rules.append(f"said_call: TEXT? {opens} body" if tags else "said_call: opened body")
        rules += [f"call: BLANKS? {opens} body", f"body: BLANKS? ({_listed(len(tools))}) BLANKS? {closes}"]
        rules += [f"call_{at}: {_called(tool)}" for at, tool in enumerate(tools)]
    return "\n".join(rules)


def answer_grammar(schema: dict[str, Any]) -> str:
    """The grammar of an answer that is held to a schema, as llguidance's Lark.

    It never encodes what must come next as tokens of its own, for which it would need the model's tokenizer.
    """
    return f'%llguidance {{"no_forcing": true}}\nstart: {_json(schema)}'


def _start(calls: Calls, *, free: bool, answer: str) -> str:
    """The start rule: in which order text and calls may come."""
    several = calls.most is None
    if calls.most == 0 or not calls.names:
        return answer
    if calls.least:
        return "call+" if several else "call"
    if free:
        return f"said_call* {answer}" if several else f"said_call | {answer}"
    return f"{'call+' if several else 'call'} | {answer}"


def _listed(count: int) -> str:
    return " | ".join(f"call_{at}" for at in range(count))


def _called(tool: Tool) -> str:
    begins = json.dumps(f'{{"name": {json.dumps(tool.name, ensure_ascii=False)}, "arguments": ', ensure_ascii=False)
    return f'{begins} {_json(tool.arguments_schema)} "}}"'


def _json(schema: dict[str, Any]) -> str:
    return f"%json {json.dumps({**closed(schema), 'x-guidance': FORM})}"


@dataclass(frozen=True)
class Piece:
    """The next part of a turn: text, or a part of call number `call`; its first piece has the tool's `name`."""

    text: str
    call: int | None = None
    name: str | None = None


class TurnParser:
    """Splits a streamed turn into text and calls.

    Blanks around calls are dropped. `begun` counts the calls so far.
    """

    def __init__(self) -> None:
        self.begun = 0
        self._kept, self._behind_call = "", False
        self._state: Callable[[], Piece | None] = self._saying
        self._depth, self._quoted, self._escaped = 0, False, False

    @property
    def inside(self) -> bool:
        """Whether a call has begun and not ended."""
        return self._state != self._saying

    def __call__(self, text: str) -> list[Piece]:
        """Parse the next part of the turn."""
        self._kept += text
        pieces: list[Piece] = []
        while True:
            state, before = self._state, len(self._kept)
            piece = state()
            if piece is not None and (piece.text or piece.name is not None):
                pieces.append(piece)
            if self._state == state and len(self._kept) == before:
                return pieces

    def close(self) -> list[Piece]:
        """End the turn; returns text that was held back because it could have begun a call."""
        kept = "" if self.inside else self._kept
        text = kept.rstrip() if self.begun else kept
        self._kept = ""
        return [Piece(text)] if text else []

    def _saying(self) -> Piece | None:
        if self._behind_call:
            self._kept = self._kept.lstrip()
            self._behind_call = not self._kept
        said, opened, rest = self._kept.partition(OPEN)
        if opened:
            self._kept, self._state = rest, self._opening
            return Piece(said.rstrip())
        text = self._kept[: len(self._kept) - _overlap(self._kept)].rstrip()
        self._kept = self._kept[len(text) :]
        return Piece(text)

    def _opening(self) -> Piece | None:
        self._kept = self._kept.lstrip()
        begins = _BEGINS.match(self._kept)
        if begins is None:
            return None
        self._kept, self._state, self._depth = self._kept[begins.end() :], self._arguing, 0
        self.begun += 1
        return Piece("", self.begun - 1, json.loads(begins[1]))

    def _arguing(self) -> Piece | None:
        for at, sign in enumerate(self._kept):
            self._read(sign)
            if sign in "}]" and not self._quoted and not self._depth:
                text, self._kept, self._state = self._kept[: at + 1], self._kept[at + 1 :], self._closing
                return Piece(text, self.begun - 1)
        text, self._kept = self._kept, ""
        return Piece(text, self.begun - 1)

    def _read(self, sign: str) -> None:
        """Update how deep in objects and lists the arguments are after this character."""
        if self._quoted:
            self._quoted = sign != '"' or self._escaped
            self._escaped = sign == "\\" and not self._escaped
        elif sign == '"':
            self._quoted = True
        else:
            self._depth += (sign in "{[") - (sign in "}]")

    def _closing(self) -> None:
        _, closed, rest = self._kept.partition(CLOSE)
        if closed:
            self._kept, self._state, self._behind_call = rest, self._saying, True


def _overlap(text: str) -> int:
    """How many characters at the end of a text may begin a call."""
    return next((n for n in range(min(len(OPEN) - 1, len(text)), 0, -1) if text.endswith(OPEN[:n])), 0)


class TurnWriter:
    """Writes a turn whose calls come apart from its text, piece by piece, in the form that `TurnParser` reads.

    A call stays open where its arguments are no JSON object in the end, as those of a turn that was cut are not; what
    comes behind such a call is dropped.
    """

    def __init__(self) -> None:
        self._number: int | str | None = None
        self._told = "", ""
        self._arguments, self._open = "", False

    def text(self, text: str) -> str:
        """The next part of the turn for some of its text."""
        return self._behind(text)

    def call(self, number: int | str, name: str | None, arguments: str | None, key: str | None = None) -> str:
        """The next part of the turn for a piece of a call, which begins where the tool's name is.

        Some servers count all calls as the same one: another name, or another id (`key`) beside a name, begins another.
        """
        begins, (last_name, last_key) = "", self._told
        if number != self._number or (name and (name != last_name or (key or last_key) != last_key)):
            if name is None:
                return ""
            self._told = name, key or ""
            begins = self._behind(f'\n{OPEN}\n{{"name": {json.dumps(name)}, "arguments": ')
            self._number, self._arguments = number, ""
        before, self._arguments = self._arguments, (self._arguments + (arguments or "")).lstrip()
        goes_on = self._begun and not self._open
        return begins + (self._arguments[len(before) :] if goes_on else "")

    def close(self) -> str:
        """The end of the call that is being written, if there is one."""
        if self._number is None or self._open:
            return ""
        self._number = None
        arguments = "{}" if self._arguments.rstrip() in ("", "null") else self._arguments
        self._open = not _is_object(arguments)
        return ("" if self._begun else arguments) + ("" if self._open else f"}}\n{CLOSE}")

    @property
    def _begun(self) -> bool:
        """Whether the call's arguments begin as an object; until then they are kept back."""
        return self._arguments.startswith("{")

    def _behind(self, text: str) -> str:
        """The end of the call that is being written, and a text behind it."""
        ends = self.close()
        return ends if self._open else ends + text


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


@dataclass(frozen=True)
class ParsedTurn:
    """A parsed assistant's turn; `whole` is False where its last call has not ended."""

    message: Message
    whole: bool


def parse_turn(text: str, name_of: Callable[[int], str] = lambda number: f"call_{number}") -> ParsedTurn:
    """Parse a whole turn; `name_of` gives each call's id, by its number. A turn without calls is unchanged."""
    parser = TurnParser()
    pieces = [*parser(text), *parser.close()]
    named = [(piece.call, piece.name) for piece in pieces if piece.call is not None and piece.name is not None]
    calls = tuple(ToolCall(id=name_of(number), name=name, arguments=_joined(pieces, number)) for number, name in named)
    message = Message(role="assistant", content=_joined(pieces, None), tool_calls=calls)
    return ParsedTurn(message, not parser.inside)


def _joined(pieces: Sequence[Piece], call: int | None) -> str:
    return "".join(piece.text for piece in pieces if piece.call == call)
