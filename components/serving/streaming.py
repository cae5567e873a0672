"""Streams an answer: its text comes from the engine's thread and is read in the server's, piece by piece.

Decides the order of the pieces, and that all of the text is sent: what was not streamed comes at the end.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence

from components.records import Completion


class Stream:
    """One answer; nothing is lost if nobody reads it."""

    def __init__(self) -> None:
        self._loop, self._streamed = asyncio.get_running_loop(), Counter[int]()
        self._pieces: asyncio.Queue[tuple[int, str] | None] = asyncio.Queue()

    def add(self, index: int, text: str) -> None:
        """Take the next piece of a choice's text, from any thread."""
        self._loop.call_soon_threadsafe(self._pieces.put_nowait, (index, text))

    async def pieces(self, answer: "asyncio.Task[Sequence[Completion]]") -> AsyncGenerator[tuple[int, str]]:
        """The pieces of all choices as they come, until the answer is complete.

        Raises:
            Exception: The answer's error, after the pieces that came before it.
        """
        answer.add_done_callback(lambda _: self._pieces.put_nowait(None))  # after all pieces
        while (piece := await self._pieces.get()) is not None:
            self._streamed[piece[0]] += len(piece[1])
            yield piece
        for index, completion in enumerate(answer.result()):
            if rest := completion.text[self._streamed[index] :]:
                yield index, rest
