"""The text of an answer while its tokens come: a character is told when all its bytes are there."""

from collections.abc import Callable
from typing import Any


def token_listener(tokenizer: Any, hear: Callable[[str], None]) -> Callable[[int], None]:
    """What takes the tokens of one answer, one after the other, and lets `hear` know how its text goes on.

    What is incomplete at the end is not told: a tail of bytes that are no character.
    """
    from tokenizers.decoders import DecodeStream

    text = DecodeStream(skip_special_tokens=True)

    def take(token: int) -> None:
        if piece := text.step(tokenizer.backend_tokenizer, token):
            hear(piece)

    return take
