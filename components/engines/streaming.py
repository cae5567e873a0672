"""Streams an answer's text from its tokens: a character is passed on once all its bytes are there."""

from collections.abc import Callable
from typing import Any


def token_listener(tokenizer: Any, on_text: Callable[[str], None]) -> Callable[[int], None]:
    """A callback for the tokens of one answer; it calls `on_text` with each new piece of text.

    Bytes at the end that form no whole character are not passed on.
    """
    from tokenizers.decoders import DecodeStream

    text = DecodeStream(skip_special_tokens=True)

    def take(token: int) -> None:
        if piece := text.step(tokenizer.backend_tokenizer, token):
            on_text(piece)

    return take
