"""Conversations with tools in tokens, turn by turn: what was sampled goes on as it was and is not tokenised again.

Decides what is remembered: the tokens up to the end of a turn, by all that was said until then, for whoever said it. A
conversation that nobody remembers is rendered anew.
"""

import hashlib
import json
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

from components.engines.base import Ask
from components.engines.calling import spoken
from components.engines.turns import Turns
from components.records import Message, Tool

MOST_REMEMBERED = 4_000_000  # tokens, of four bytes each


class Conversations:
    """The tokens of the latest turns."""

    def __init__(self, turns: Turns, most: int = MOST_REMEMBERED) -> None:
        self._turns, self._most, self._held = turns, most, 0
        self._known: OrderedDict[bytes, array[int]] = OrderedDict()

    def prompt(self, ask: Ask, tools: Sequence[Tool]) -> list[int]:
        """The tokens of a conversation up to where the assistant's next turn begins.

        Raises:
            EngineError: The template does not take the messages.
        """
        names = list(_names(ask.sender, tools, ask.messages))
        for place in range(len(names) - 2, -1, -1):
            if ask.messages[place].role == "assistant" and (known := self._known.get(names[place])):
                self._known.move_to_end(names[place])
                return [*known, *self._turns.between(ask.messages[place + 1 :])]
        return self._turns.opening(ask.messages, tools)

    def keep(self, ask: Ask, tools: Sequence[Tool], tokens: Sequence[int], text: str) -> None:
        """Remember a turn that has ended: its tokens and those before it, and its text."""
        *_, name = _names(ask.sender, tools, [*ask.messages, spoken(text).message])
        self._held += len(tokens) - len(self._known.pop(name, ()))
        self._known[name] = array("I", tokens)
        while self._held > self._most:
            self._held -= len(self._known.popitem(last=False)[1])


def _names(sender: str, tools: Sequence[Tool], messages: Sequence[Message]) -> Iterator[bytes]:
    """A name for each beginning of a conversation; ids of calls are no part of it."""
    name = _digest(b"", [sender, [tool.model_dump() for tool in tools]])
    for message in messages:
        calls = [[call.name, call.plain_arguments] for call in message.tool_calls]
        name = _digest(name, [message.role, message.content.strip(), calls])
        yield name


def _digest(before: bytes, content: Any) -> bytes:
    return hashlib.sha256(before + json.dumps(content, sort_keys=True).encode()).digest()
