"""Conversations to token ids, by the tokenizer's chat template.

Decides what may become a control token: what the chat template writes, never what people wrote. Training, engines and
length checks all get their tokens here, so that a model is served what it was trained on.
"""

import json
import re
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

from components.engines.base import Sampling
from components.engines.thinking import BEGIN
from components.records import Message, Tool

_MARKS = (("<|", "<｜"), ("|>", "｜>"))  # <|fim_prefix|>
_BRACKETED = re.compile(r"<[^<>]+>|\[[^\[\]]+\]")  # <think>, </tool_call>, [INST]
_OPEN, _CLOSE = "\ue000", "\ue001"  # private characters: no text is normalised into them


def too_long(tokens: int, context: int) -> str:
    """Why a prompt of so many tokens is not answered."""
    return f"expected a prompt of 1 to {context - 1:,} tokens, found {tokens:,}"


class Chat:
    """Encodes conversations with a tokenizer and its chat template.

    A text that contains a control token's name, such as `<|im_end|>`, is read by a copy of the tokenizer in which that
    token has a name that nobody can guess: the text is encoded as ordinary characters. All other texts are read by the
    tokenizer itself, and have the same ids as in any other library.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._secret = secrets.token_hex(16)
        template = str(tokenizer.chat_template or "")
        self._takes_text = "arguments is string" in template
        added = tokenizer.added_tokens_decoder.items()
        self._control: dict[int, str] = {
            id: token.content for id, token in added if is_control(token.content, template, special=token.special)
        }
        self._ids = {name: id for id, name in self._control.items()}
        # The longest first, as tokenizers match them.
        by_length = sorted(self._ids, key=len, reverse=True)
        self._named = re.compile("|".join(map(re.escape, by_length)) or r"(?!)")
        self._counted = frozenset(self._control) - {
            tokenizer.unk_token_id
        }  # that one also stands for unknown characters

    def prompts(self, conversations: Sequence[Sequence[Message]]) -> list[list[int]]:
        """Token ids of each conversation up to where the assistant's answer begins.

        Raises:
            Exception: Whatever the chat template raises, of any type.
        """
        return self.encoded([self.rendered(conversation) for conversation in conversations])

    def prompts_within(self, conversations: Sequence[Sequence[Message]], context: int) -> list[list[int] | str]:
        """Like `prompts`, for prompts of less than `context` tokens; in the place of any other, why there is none."""
        texts: list[str] = []
        reasons: dict[int, str] = {}
        for at, conversation in enumerate(conversations):
            try:
                texts.append(self.rendered(conversation))
            except Exception as error:  # templates raise anything: for an unknown role, for no message
                reasons[at] = f"expected messages that the chat template takes, found: {error}"
                texts.append("")
        encoded = self.encoded(texts)
        for at, tokens in enumerate(encoded):
            if at not in reasons and not 0 < len(tokens) < context:
                reasons[at] = too_long(len(tokens), context)
        return [reasons.get(at, tokens) for at, tokens in enumerate(encoded)]

    def rendered(
        self, conversation: Sequence[Message], tools: Sequence[Tool] = (), *, generation_prompt: bool = True
    ) -> str:
        """The text of a conversation, only for `encoded`: names of control tokens in its messages are marked.

        Raises:
            Exception: Whatever the chat template raises.
        """
        offered = {"tools": [self._marked_all(tool.openai) for tool in tools]} if tools else {}
        return self._tokenizer.apply_chat_template(
            [self._turn(message) for message in conversation],
            tokenize=False,
            add_generation_prompt=generation_prompt,
            **offered,
        )

    def _turn(self, message: Message) -> dict[str, Any]:
        """A message for the template; arguments of calls stay text where the template expects text."""
        turn = {**message.openai, "content": self._marked(message.content)}
        for call in turn.get("tool_calls", ()):
            arguments = call["function"]["arguments"]
            if not self._takes_text:
                with suppress(ValueError, RecursionError):
                    arguments = json.loads(arguments)
            call["function"] = {key: self._marked_all(value) for key, value in call["function"].items()} | {
                "arguments": self._marked_all(arguments)
            }
        return turn

    def _marked_all(self, value: Any) -> Any:
        """A value of JSON in which every text is marked."""
        if isinstance(value, str):
            return self._marked(value)
        if isinstance(value, list):
            return [self._marked_all(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        if isinstance(value, dict):
            return {self._marked(key): self._marked_all(item) for key, item in value.items()}  # pyright: ignore[reportUnknownArgumentType]
        return value

    @cached_property
    def thinking(self) -> bool:
        """Whether the template's generation prompt opens a thought."""
        turn = {"role": "user", "content": ""}
        rendered: str = self._tokenizer.apply_chat_template([turn], tokenize=False, add_generation_prompt=True)
        return rendered.rstrip().endswith(BEGIN)

    def thinks_under(self, sampling: Sampling) -> bool:
        """Whether a completion begins within a thought; one that is held to a schema from its start cannot."""
        return self.thinking and not sampling.holds_start

    def texts(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text; none is a control token."""
        return self.encoded([self._marked(text) for text in texts])

    def encoded(self, rendered: Sequence[str]) -> list[list[int]]:
        """Token ids of rendered texts: their control tokens are those of the template."""
        if not rendered:
            return []
        ids: list[list[int]] = self._tokenizer(
            list(rendered), add_special_tokens=False, return_attention_mask=False, verbose=False
        )["input_ids"]
        for place, text in enumerate(rendered):
            if self._secret in text or self._controls(ids[place]) > len(self._named.findall(text)):
                ids[place] = self._apart(text)
        return ids

    def _controls(self, ids: Sequence[int]) -> int:
        """How many ids are control tokens; after normalisation that may be more than the text names."""
        return sum(map(ids.count, self._counted & set(ids)))

    def _marked(self, text: str) -> str:
        """A text in which the names of control tokens are replaced by marks."""
        return self._named.sub(lambda name: self._name("text", self._ids[name[0]]), text)

    def _name(self, kind: str, id: int) -> str:
        """A stand-in for a control token, which only who knows the secret can write."""
        return f"{_OPEN}{kind}{self._secret}{id}{_CLOSE}"

    def _apart(self, rendered: str) -> list[int]:
        """The ids of a text in which some names are the template's control tokens and others are just text."""
        if self._copy is None:
            return self._pieces(rendered)
        # The template's first: marks contain no token's name.
        named = self._named.sub(lambda name: self._name("token", self._ids[name[0]]), rendered)
        return self._copy(self._plain(named))

    def _plain(self, rendered: str) -> str:
        """A rendered text with its marks replaced by the names that they stand for."""
        mark = re.compile(f"{_OPEN}text{self._secret}([0-9]+){_CLOSE}")
        return mark.sub(lambda match: self._control[int(match[1])], rendered)

    def _pieces(self, rendered: str) -> list[int]:
        """As `_apart`, for a tokenizer that cannot be copied: the texts between control tokens are read one by one."""
        ids: list[int] = []
        for piece in re.split(f"({self._named.pattern})", rendered):
            if piece in self._ids:
                ids.append(self._ids[piece])
            elif piece:
                encoded = self._tokenizer(self._plain(piece), add_special_tokens=False, split_special_tokens=True)
                ids += encoded["input_ids"]
        return ids

    @cached_property
    def _copy(self) -> Callable[[str], list[int]] | None:
        """Encodes with a copy of the tokenizer whose control tokens have secret names; None for slow tokenizers."""
        if not self._tokenizer.is_fast:
            return None
        from tokenizers import Tokenizer

        layout: dict[str, Any] = json.loads(self._tokenizer.backend_tokenizer.to_str())
        new = {name: self._name("token", id) for id, name in self._control.items()}
        for token in layout["added_tokens"]:
            if token["content"] in new:
                token |= {"content": new[token["content"]], "normalized": False}
        _rename(layout["model"], new)
        copy = Tokenizer.from_str(json.dumps({**layout, "post_processor": None, "truncation": None, "padding": None}))
        return lambda text: copy.encode(text, add_special_tokens=False).ids


def is_control(name: str, template: str, *, special: bool) -> bool:
    """Whether an added token marks structure: it is special, looks like `<|…|>`, or is a tag that the template writes.

    Other added tokens, such as a field's words, HTML tags or runs of blanks, are ordinary text.
    """
    tag = _BRACKETED.fullmatch(name) is not None and name in template
    is_mark = len(name) > len("<|>") and name.startswith(_MARKS[0]) and name.endswith(_MARKS[1])
    return special or is_mark or tag


def _rename(model: dict[str, Any], new: dict[str, str]) -> None:
    """Give tokens other names in a tokenizer's model, whatever its kind."""
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, dict):
        model["vocab"] = {new.get(name, name): id for name, id in vocabulary.items()}
    elif isinstance(vocabulary, list):  # of (name, score), the id its place
        model["vocab"] = [[new.get(name, name), score] for name, score in vocabulary]
    if model.get("unk_token") in new:
        model["unk_token"] = new[model["unk_token"]]
    if "merges" in model:  # no merge may build a token that only the template may write
        pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
        model["merges"] = [pair for pair in pairs if not new.keys() & {*pair, "".join(pair)}]
