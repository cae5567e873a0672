"""Encodes a conversation turn by turn, so that earlier turns keep their tokens.

Decides where a turn begins and ends: right after the end token of the one before, so that the template's separators
count as the environment's, and with its own end token. A turn is rendered after a placeholder dialogue; the real one
is never rendered again.
"""

import re
from collections.abc import Collection, Sequence
from typing import Any

from components.engines.chat import Chat
from components.errors import EngineError
from components.records import Message, Tool

_ASKED, _SAID = Message(role="user", content="-"), Message(role="assistant", content="-")


class Turns:
    """Encodes single turns by a model's chat template."""

    def __init__(self, tokenizer: Any, ends: Collection[int], chat: Chat | None = None) -> None:
        self._chat = chat or Chat(tokenizer)
        self._ends = re.compile("|".join(map(re.escape, tokenizer.convert_ids_to_tokens(sorted(ends)))) or r"(?!)")

    def opening(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]:
        """The tokens of a conversation up to where the assistant's first turn begins."""
        return self._chat.encoded([self._rendered(messages, tools)])[0]

    def between(self, messages: Sequence[Message]) -> list[int]:
        """The tokens of new messages after an assistant's turn, up to where its next turn begins.

        Raises:
            EngineError: The template refuses the messages, or ends its turns without an end token.
        """
        before = len(self._ends.findall(self._rendered([_ASKED, _SAID], prompt=False)))
        text = self._rendered([_ASKED, _SAID, *messages])
        places = [end.end() for end in self._ends.finditer(text)]
        if not before or len(places) < before:
            raise EngineError("expected a chat template that ends turns with an end token, found none")
        return self._chat.encoded([text[places[before - 1] :]])[0]

    def reply(self, message: Message) -> list[int]:
        """The tokens of an assistant's turn, with the token that ends it.

        Raises:
            EngineError: The template changes the text before the turn when the turn is added.
        """
        before = self._rendered([_ASKED])
        text = self._rendered([_ASKED, message], prompt=False)
        ends = [end.end() for end in self._ends.finditer(text)]
        if not text.startswith(before) or not ends or ends[-1] <= len(before):
            raise EngineError("expected a chat template that only adds to what was said, found one that rewrites it")
        return self._chat.encoded([text[len(before) : ends[-1]]])[0]

    def _rendered(self, messages: Sequence[Message], tools: Sequence[Tool] = (), *, prompt: bool = True) -> str:
        try:
            return self._chat.rendered(messages, tools, generation_prompt=prompt)
        except Exception as error:  # templates raise anything
            raise EngineError(f"expected a chat template that takes calls of tools, found: {error}") from error
