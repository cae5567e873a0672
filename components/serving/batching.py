"""Requests that come together are answered together: one thread, one batch after the other.

Decides how long a batch waits for more requests: nobody waits who is alone. The thread belongs to the engine, which
computes one batch at a time; whatever goes wrong in it, it goes on, or says that it does not.
"""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from components.engines import StreamingEngine
from components.records import Completion
from components.serving.request import Request
from components.serving.waiting import QueueFull, Waiting

log = logging.getLogger(__name__)
MOST_WAITING = 256


class Batcher:
    """A thread that answers requests, as many at once as wait; callers take turns."""

    def __init__(
        self,
        most: int,
        wait_ms: float,
        told: Callable[[int], None] = lambda size: None,
        *,
        most_waiting: int = MOST_WAITING,
        caller_share: float = 1.0,
    ) -> None:
        """At most `most` completions a batch; `wait_ms` is the time for each request that is expected.

        `told` hears the size of each batch. Of those that wait, one caller may have `caller_share`.
        """
        self._most, self._wait_s, self._told = most, wait_ms / 1e3, told
        self._waiting = Waiting(most_waiting, max(1, round(most_waiting * caller_share)))
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether anything is answered."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """Requests that are not begun."""
        return len(self._waiting)

    def submit(self, request: Request) -> "Future[list[Completion]]":
        """Queue a request; cancelling the future takes it out if it has not been started.

        Raises:
            QueueFull: There is no room, or this caller has used up its share of it.
        """
        if not self.alive:
            raise QueueFull
        self._waiting.put(request)
        return request.done

    def close(self) -> None:
        """Answer what waits, then end."""
        self._waiting.close()
        self._thread.join()

    def _run(self) -> None:
        try:
            expected = 1
            while batch := self._waiting.take(self._most, expected, self._wait_s):
                self._answer(batch)
                # Those who have their answers now are likely to ask again: they and who waits share a batch then.
                expected = len(batch) + len(self._waiting)
        except BaseException as error:  # of this module's own making
            log.critical("No request is answered any more.", exc_info=error)
        finally:
            self._waiting.close()
            for request in self._waiting.drain():
                if request.done.set_running_or_notify_cancel():
                    request.done.set_exception(QueueFull())  # the server's fault, not the request's

    def _answer(self, requests: list[Request]) -> None:
        """One batch; whatever goes wrong is told to each of its requests."""
        started = [request for request in requests if request.done.set_running_or_notify_cancel()]
        if not started:
            return
        n = started[0].sampling.n
        try:
            self._told(len(started))
            completions = _completions(started)
            answers = [completions[place * n : (place + 1) * n] for place in range(len(started))]
        except BaseException as error:  # of any kind, a library's panic too: one that ends the thread ends the server
            if not isinstance(error, Exception):
                log.critical("A batch was given up.", exc_info=error)
                error = RuntimeError(f"expected answers, found {type(error).__name__}: {error}")
            for request in started:
                request.done.set_exception(error)
            return
        for request, answer in zip(started, answers, strict=True):
            request.done.set_result(answer)


def _completions(requests: list[Request]) -> list[Completion]:
    """What the engine answers, told on the way to those who listen."""
    sampling, engine, chats = requests[0].sampling, requests[0].served.engine, [request.chat for request in requests]
    listeners = {
        place * sampling.n + number: partial(request.on_text, number)
        for place, request in enumerate(requests)
        if request.on_text is not None
        for number in range(sampling.n)
    }
    if listeners and isinstance(engine, StreamingEngine):
        return engine.stream(chats, sampling, listeners)
    return engine.generate(chats, sampling)
