"""A conversation in tokens turn by turn: each turn is rendered by itself, behind what is there already.

Decides where a turn begins and ends: behind the token that ended the one before, so that the separators of the template
are the environment's, and with its own end token. Rendered behind a dialogue that stands for the real one, whose own
text is never rendered again.
"""

import re
from collections.abc import Collection, Sequence
from typing import Any

from components.engines.chat import Chat
from components.errors import EngineError
from components.records import Message, Tool

_ASKED, _SAID = Message(role="user", content="-"), Message(role="assistant", content="-")


class Turns:
    """The turns of a model's chat template."""

    def __init__(self, tokenizer: Any, ends: Collection[int], chat: Chat | None = None) -> None:
        self._chat = chat or Chat(tokenizer)
        self._ends = re.compile("|".join(map(re.escape, tokenizer.convert_ids_to_tokens(sorted(ends)))) or r"(?!)")

    def opening(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> list[int]:
        """The tokens of a conversation up to where the assistant's first turn begins."""
        return self._chat.encoded([self._rendered(messages, tools)])[0]

    def between(self, messages: Sequence[Message]) -> list[int]:
        """The tokens of new messages behind the end of an assistant's turn, up to where its next begins.

        Raises:
            EngineError: The template does not take them, or ends its turns with no end token.
        """
        before = len(self._ends.findall(self._rendered([_ASKED, _SAID], prompt=False)))
        text = self._rendered([_ASKED, _SAID, *messages])
        places = [end.end() for end in self._ends.finditer(text)]
        if not before or len(places) < before:
            raise EngineError("expected a chat template that ends turns with an end token, found none")
        return self._chat.encoded([text[places[before - 1] :]])[0]

    def reply(self, message: Message) -> list[int]:
        """The tokens of an assistant's turn, from where it begins to the token that ends it.

        Raises:
            EngineError: The template writes something else before it than where a turn begins.
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
        except Exception as error:  # a template raises what it likes
            raise EngineError(f"expected a chat template that takes calls of tools, found: {error}") from error
