"""Ends answers before a text that the caller names: `stop` of OpenAI's API."""

from collections.abc import Callable, Sequence

from components.engines.ending import stop_in
from components.records import Completion


def cut(completion: Completion, stops: Sequence[str]) -> Completion:
    """A completion up to the first of these texts; if there is one, its finish reason is `stop`."""
    stop = stop_in(completion.text, stops)
    if stop is None:
        return completion
    return completion.model_copy(update={"text": completion.text[: stop[1]], "finish_reason": "stop"})


class Stopping:
    """Passes a streamed text on to `on_text`, up to the first stop; what may begin a stop is held back."""

    def __init__(self, on_text: Callable[[int, str], None], stops: Sequence[str]) -> None:
        self._on_text, self._stops = on_text, stops
        self._kept: dict[int, str] = {}
        self._ended: set[int] = set()

    def __call__(self, index: int, piece: str) -> None:
        """Take the next piece of a choice's text."""
        if index in self._ended:
            return
        text = self._kept.pop(index, "") + piece
        stop = stop_in(text, self._stops)
        if stop is not None:
            end = stop[1]
            self._ended.add(index)
        else:
            end = len(text) - max((_overlap(text, stop) for stop in self._stops), default=0)
            self._kept[index] = text[end:]
        if text[:end]:
            self._on_text(index, text[:end])


def _overlap(text: str, stop: str) -> int:
    """How many of a text's last characters may be the beginning of a stop."""
    return next((n for n in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:n])), 0)
