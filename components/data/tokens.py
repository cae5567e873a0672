"""Counts the tokens of examples, and compares them with limits.

Counts conversations as engines and training encode them: the prompt in the chat template, the answer or the turns of a
try, and an end token. Callers decide on model, prompts and limits.
"""

import os.path
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from components.engines.chat import Chat
from components.errors import ConfigError
from components.prompts import Prompt
from components.records import Example, Message, Tool
from components.tasks import demonstrated, problem_of, under

_ASKED = Message(role="user", content="-")
AT_ONCE = 2000  # texts encoded at once: a tokenizer's output for a text takes 20 kB and more


@dataclass(frozen=True)
class TokenLimit:
    """The maximum number of tokens of an example; `name` is the setting, `count` counts each example's tokens."""

    name: str
    most: int
    count: Callable[[Sequence[Example]], list[int]]


class ConversationTokens:
    """Counts the tokens of conversations with a transformers tokenizer.

    Results for a list of examples are reused for the same list with other prompts.

    Raises:
        ConfigError: The tokenizer has no chat template.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._chat = _chat_of(tokenizer)
        self._specials = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        self._examples: Sequence[Example] = ()
        self._prompt_lengths: dict[Prompt, list[int]] = {}
        self._answers: list[int] | None = None

    def longest(self, prompts: Sequence[Prompt], examples: Sequence[Example]) -> list[int]:
        """Each example's tokens with its longest prompt: conversation, demonstration and end token.

        The common beginning of a prompt's conversations, its system message, is counted once: 10,000 tickets with the
        four prompts of triage take three seconds; tokenised in full, they took over twenty.

        Raises:
            ConfigError: The chat template rejects a prompt's messages.
        """
        if examples is not self._examples:
            self._examples, self._prompt_lengths, self._answers = examples, {}, None
        for prompt in prompts:
            if prompt not in self._prompt_lengths:
                self._prompt_lengths[prompt] = self._of(prompt, examples)
        lengths_by_prompt = [self._prompt_lengths[prompt] for prompt in prompts]
        if self._answers is None:
            self._answers = self._lengths([example.demonstration for example in examples], self._chat.texts)
        return [max(lengths) + answer + 1 for *lengths, answer in zip(*lengths_by_prompt, self._answers, strict=True)]

    def _of(self, prompt: Prompt, examples: Sequence[Example]) -> list[int]:
        """The tokens of a prompt's conversations, up to the start of the answer."""
        try:
            texts = [self._chat.rendered(prompt.messages(example)) for example in examples]
        except TemplateError as error:
            raise ConfigError(
                f"expected messages that the model's chat template takes, found: {error} (prompt `{prompt.name}`)"
            ) from error
        opening = self._opening(texts)
        first, *rest = self._lengths([opening, *(text.removeprefix(opening) for text in texts)], self._chat.encoded)
        return [first + n for n in rest]

    def _opening(self, texts: Sequence[str]) -> str:
        """The common beginning of all texts, up to its last special token.

        No tokenizer merges text across a special token.
        """
        shared = os.path.commonprefix(texts)  # noqa: RUF071 - character by character on purpose
        return shared[: max([0, *(shared.rfind(special) for special in self._specials)])]

    def _lengths(self, texts: Sequence[str], encode: Callable[[Sequence[str]], list[list[int]]]) -> list[int]:
        """The tokens of each text; repeated texts are encoded once."""
        new, lengths = list(dict.fromkeys(texts)), dict[str, int]()
        for start in range(0, len(new), AT_ONCE):
            block = new[start : start + AT_ONCE]
            lengths |= zip(block, map(len, encode(block)), strict=True)
        return [lengths[text] for text in texts]


def _chat_of(tokenizer: Any) -> Chat:
    if not tokenizer.chat_template:
        raise ConfigError(f"expected a chat template in the tokenizer, found none ({tokenizer.name_or_path})")
    return Chat(tokenizer)


class TryTokens:
    """Counts the tokens of an agent's demonstrations under prompts, with the tools that the template tells of.

    Raises:
        ConfigError: The tokenizer has no chat template.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._chat = _chat_of(tokenizer)
        self._known: dict[str, int] = {}

    def longest(self, prompts: Sequence[Prompt], examples: Sequence[Example]) -> list[int]:
        """Tokens of each example's try under the prompt that makes it longest; 0 for a demonstration that is not a try.

        Raises:
            ConfigError: The chat template refuses tools, or turns of a try.
        """
        return [self._of(prompts, example) for example in examples]

    def _of(self, prompts: Sequence[Prompt], example: Example) -> int:
        """Those of the longest opening, and those of the turns behind it: control tokens stand between them."""
        if problem_of(example.demonstration):
            return 0
        trajectory = demonstrated(example)
        tries = [under(prompt.messages(example), trajectory) for prompt in prompts]
        opening = max(self._count(each.messages[: each.first_turn], each.tools) for each in tries)
        turns = trajectory.messages[trajectory.first_turn :]
        return opening + self._count((_ASKED, *turns)) - self._count((_ASKED,))

    def _count(self, messages: Sequence[Message], tools: Sequence[Tool] = ()) -> int:
        """Tokens of messages; openings come again, and are counted once."""
        key = f"{messages!r}{tools!r}"
        if key not in self._known:
            try:
                text = self._chat.rendered(messages, tools, generation_prompt=messages[-1].role != "assistant")
            except Exception as error:  # a template raises what it likes
                raise ConfigError(f"expected a chat template that takes calls of tools, found: {error}") from error
            self._known[key] = len(self._chat.encoded([text])[0])
        return self._known[key]
