"""Answers without the thoughts before them: models that think aloud put these in `<think>` … `</think>`.

Decides what of a completion is the answer: all of it where it does not begin with thoughts, and nothing where the
thoughts do not end.
"""

import re
from collections.abc import Callable

BEGIN, END = "<think>", "</think>"
_BLANKS = re.compile(r"\s{0,2}")  # that models write before thoughts


def answer_of(text: str, *, thinking: bool = False) -> str:
    """The answer in a completion; `thinking` where its prompt has begun the thoughts already."""
    if not thinking and not _after_blanks(text).startswith(BEGIN):
        return text
    return text.partition(END)[2].lstrip()


class Answering:
    """Tells `hear` the answer in a text that comes in pieces, as `answer_of` would cut it out."""

    def __init__(self, hear: Callable[[str], None], *, thinking: bool = False) -> None:
        self._hear, self._thinking, self._kept = hear, thinking, ""
        self._stripping = self._open = False  # behind thoughts; where every further piece is the answer's

    def __call__(self, piece: str) -> None:
        """Take the next piece."""
        self._kept += piece
        if self._open:
            self._tell(self._kept)
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
        """The answer begins, unless there is nothing of it yet."""
        self._open = bool(text)
        self._tell(text)

    def _tell(self, text: str) -> None:
        self._kept = ""
        if text:
            self._hear(text)


def _after_blanks(text: str) -> str:
    found = _BLANKS.match(text)
    return text[found.end() :] if found else text
