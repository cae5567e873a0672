"""The tokens of conversations with tools, turn by turn: sampled tokens are continued as they are, never re-encoded.

Decides what is remembered: the tokens up to the end of a turn, keyed by the sender and all messages until then. A
conversation that is not remembered is rendered from its messages.
"""

import hashlib
import json
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

from components.engines.base import ChatRequest
from components.engines.calling import parse_turn
from components.engines.turns import Turns
from components.records import Message, Tool

MOST_REMEMBERED = 4_000_000  # tokens, of four bytes each


class Conversations:
    """The tokens of the latest turns."""

    def __init__(self, turns: Turns, most: int = MOST_REMEMBERED) -> None:
        self._turns, self._most, self._held = turns, most, 0
        self._known: OrderedDict[bytes, array[int]] = OrderedDict()

    def prompt(self, request: ChatRequest, tools: Sequence[Tool]) -> list[int]:
        """The tokens of a conversation up to where the assistant's next turn begins.

        Raises:
            EngineError: The template does not take the messages.
        """
        names = list(_names(request.sender, tools, request.messages))
        for place in range(len(names) - 2, -1, -1):
            if request.messages[place].role == "assistant" and (known := self._known.get(names[place])):
                self._known.move_to_end(names[place])
                return [*known, *self._turns.between(request.messages[place + 1 :])]
        return self._turns.opening(request.messages, tools)

    def keep(self, request: ChatRequest, tools: Sequence[Tool], tokens: Sequence[int], text: str) -> None:
        """Remember a finished turn: all tokens up to its end, keyed with its `text` as the last message."""
        *_, name = _names(request.sender, tools, [*request.messages, parse_turn(text).message])
        self._held += len(tokens) - len(self._known.pop(name, ()))
        self._known[name] = array("I", tokens)
        while self._held > self._most:
            self._held -= len(self._known.popitem(last=False)[1])


def _names(sender: str, tools: Sequence[Tool], messages: Sequence[Message]) -> Iterator[bytes]:
    """A key for each prefix of a conversation; the ids of calls do not count."""
    name = _digest(b"", [sender, [tool.model_dump() for tool in tools]])
    for message in messages:
        calls = [[call.name, call.plain_arguments] for call in message.tool_calls]
        name = _digest(name, [message.role, message.content.strip(), calls])
        yield name


def _digest(before: bytes, content: Any) -> bytes:
    return hashlib.sha256(before + json.dumps(content, sort_keys=True).encode()).digest()
