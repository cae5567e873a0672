"""Requests that come together are answered together: one thread, one batch after the other.

Decides which requests share a batch, and how long it waits for more: nobody waits who is alone. The thread belongs to
the engine, which computes one batch at a time.
"""

import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

from components.engines import Ask, Sampling, StreamingEngine
from components.records import Completion
from components.serving.champion import Served

Heard = Callable[[int, str], None]  # the number of a completion, and what its text goes on by


@dataclass
class Request:
    """A conversation that waits, for the version that was champion when it came.

    `heard` is called in the batches' thread while the answer is written, where the engine can tell it: with the
    beginnings of the completions' texts, so that `done` may hold more.
    """

    served: Served
    ask: Ask
    sampling: Sampling
    input: Mapping[str, str] = field(default_factory=dict[str, str])
    heard: Heard | None = None
    done: "Future[list[Completion]]" = field(default_factory=Future)

    @property
    def kind(self) -> tuple[int, str]:
        """What requests of one batch have in common."""
        return self.served.version, self.sampling.model_dump_json()


class Batcher:
    """A thread that answers requests in the order in which they come, as many at once as wait."""

    def __init__(self, most: int, wait_ms: float, told: Callable[[int], None] = lambda size: None) -> None:
        """At most `most` a batch; `wait_ms` is the time for each that is expected; `told` hears the size of each."""
        self._most, self._wait_s, self._told = most, wait_ms / 1e3, told
        self._expected = 1
        self._waiting: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> "Future[list[Completion]]":
        """Queue a request; cancelling the future takes it out if it has not been started."""
        self._waiting.put(request)
        return request.done

    def close(self) -> None:
        """Answer what waits, then end."""
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        going = True
        while going:
            first = self._waiting.get()
            if first is None:
                return
            requests, going = self._gather(first)
            for kind in dict.fromkeys(request.kind for request in requests):
                self._answer([request for request in requests if request.kind == kind])
            # Those who have their answers now are likely to ask again: they and who waits already share a batch then.
            self._expected = len(requests) + self._waiting.qsize()

    def _gather(self, first: Request) -> tuple[list[Request], bool]:
        """What waits already, and soon comes where more is expected; and whether more may come after it."""
        found = [first]
        while len(found) < self._most:
            try:
                request = self._waiting.get(timeout=self._wait_s if len(found) < self._expected else 0)
            except queue.Empty:
                break
            if request is None:
                return found, False
            found.append(request)
        return found, True

    def _answer(self, requests: list[Request]) -> None:
        """One batch; whatever goes wrong is told to each of its requests."""
        started = [request for request in requests if request.done.set_running_or_notify_cancel()]
        if not started:
            return
        self._told(len(started))
        n = started[0].sampling.n
        try:
            completions = _completions(started)
        except Exception as error:  # of any kind: a thread that ends would leave all later requests waiting
            for request in started:
                request.done.set_exception(error)
            return
        for place, request in enumerate(started):
            request.done.set_result(completions[place * n : (place + 1) * n])


def _completions(requests: list[Request]) -> list[Completion]:
    """What the engine answers, told on the way to those who listen."""
    sampling, engine, asks = requests[0].sampling, requests[0].served.engine, [request.ask for request in requests]
    listeners = {
        place * sampling.n + number: partial(request.heard, number)
        for place, request in enumerate(requests)
        if request.heard is not None
        for number in range(sampling.n)
    }
    if listeners and isinstance(engine, StreamingEngine):
        return engine.stream(asks, sampling, listeners)
    return engine.generate(asks, sampling)
