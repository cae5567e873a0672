"""An answer on its way: its text comes from the engine's thread and is read in the server's, piece by piece.

Decides the order of the pieces, and that all of the text leaves: what was not told on the way comes at the end.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence

from components.records import Completion


class Stream:
    """One answer; nothing is lost if nobody reads it."""

    def __init__(self) -> None:
        self._loop, self._told = asyncio.get_running_loop(), Counter[int]()
        self._pieces: asyncio.Queue[tuple[int, str] | None] = asyncio.Queue()

    def add(self, index: int, text: str) -> None:
        """Take what the text of a choice goes on by, from any thread."""
        self._loop.call_soon_threadsafe(self._pieces.put_nowait, (index, text))

    async def pieces(self, answer: "asyncio.Task[Sequence[Completion]]") -> AsyncGenerator[tuple[int, str]]:
        """The pieces of all choices as they come, until the answer is complete.

        Raises:
            Exception: What the answer ended with, behind the pieces that came before.
        """
        answer.add_done_callback(lambda _: self._pieces.put_nowait(None))  # behind all that was heard
        while (piece := await self._pieces.get()) is not None:
            self._told[piece[0]] += len(piece[1])
            yield piece
        for index, one in enumerate(answer.result()):
            if rest := one.text[self._told[index] :]:
                yield index, rest
