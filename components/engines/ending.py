"""When an answer ends before its model ends it: one of its request's `stops` stands in it, or nobody waits for it."""

from collections.abc import Callable, Sequence
from typing import Literal

from components.engines.base import ChatRequest


class Ending:
    """Reads an answer as it is written, passes it on to `on_text`, and knows when it ends early."""

    def __init__(self, request: ChatRequest, on_text: Callable[[str], None] | None = None) -> None:
        self._stops, self._unwanted, self._on_text = request.stops, request.unwanted, on_text
        self._longest = max(map(len, self._stops), default=0)
        self._kept, self._stopped = "", False

    @property
    def reads(self) -> bool:
        """Whether the answer's text is needed while it is written."""
        return bool(self._stops) or self._on_text is not None

    @property
    def watches(self) -> bool:
        """Whether the answer may end early at all."""
        return bool(self._stops) or self._unwanted is not None

    def __call__(self, piece: str) -> None:
        """Take the next piece of the text."""
        if self._stops:
            text = self._kept + piece
            self._stopped = self._stopped or stop_in(text, self._stops) is not None
            self._kept = text[max(0, len(text) - self._longest) :]
        if self._on_text is not None:
            self._on_text(piece)

    def reason(self) -> Literal["stop", "length"] | None:
        """Why the answer ends here; None if it goes on. One that nobody waits for ends as at its limit."""
        if self._stopped:
            return "stop"
        return "length" if self._unwanted is not None and self._unwanted() else None


def stop_in(text: str, stops: Sequence[str]) -> tuple[int, int] | None:
    """Where a text's first stop ends and begins: the one that is complete first, in whatever pieces the text comes."""
    found = ((at + len(stop), at) for stop in stops if (at := text.find(stop)) >= 0)
    return min(found, default=None)
