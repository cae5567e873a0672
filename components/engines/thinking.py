"""Removes a reasoning model's thoughts, which stand before the answer in `<think>` … `</think>`.

Decides which part of a completion is the answer: all of it where it does not begin with thoughts, and nothing where
the thoughts do not end.
"""

import re
from collections.abc import Callable

BEGIN, END = "<think>", "</think>"
_BLANKS = re.compile(r"\s{0,2}")  # that models write before thoughts


def answer_of(text: str, *, thinking: bool = False) -> str:
    """The answer in a completion; `thinking` says that the prompt has already opened the thoughts."""
    if not thinking and not _after_blanks(text).startswith(BEGIN):
        return text
    return text.partition(END)[2].lstrip()


class AnswerFilter:
    """Passes the answer in a streamed completion on to `on_text`, as `answer_of` would cut it out."""

    def __init__(self, on_text: Callable[[str], None], *, thinking: bool = False) -> None:
        self._on_text, self._thinking, self._kept = on_text, thinking, ""
        self._stripping = self._open = False  # between thoughts and answer; within the answer

    def __call__(self, piece: str) -> None:
        """Take the next piece."""
        self._kept += piece
        if self._open:
            self._pass_on(self._kept)
        elif self._stripping:
            self._begin(self._kept.lstrip())
        elif self._thinking or _after_blanks(self._kept).startswith(BEGIN):
            _, end, rest = self._kept.partition(END)
            self._stripping = bool(end)
            if end:
                self._kept = ""
                self._begin(rest.lstrip())
        elif not BEGIN.startswith(_after_blanks(self._kept)):
            self._begin(self._kept)

    def _begin(self, text: str) -> None:
        """Begin the answer, unless it has no text yet."""
        self._open = bool(text)
        self._pass_on(text)

    def _pass_on(self, text: str) -> None:
        self._kept = ""
        if text:
            self._on_text(text)


def _after_blanks(text: str) -> str:
    blanks = _BLANKS.match(text)
    return text[blanks.end() :] if blanks else text
