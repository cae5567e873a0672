"""Requests that come together are answered together: one thread, one batch after the other.

Decides which requests share a batch; the thread belongs to the engine, which computes one batch at a time.
"""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field

from components.engines import Ask, Sampling
from components.records import Completion
from components.serving.champion import Served


@dataclass
class Request:
    """A conversation that waits, for the version that was champion when it came."""

    served: Served
    ask: Ask
    sampling: Sampling
    input: Mapping[str, str] = field(default_factory=dict[str, str])
    done: "Future[list[Completion]]" = field(default_factory=Future)

    @property
    def kind(self) -> tuple[int, str]:
        """What requests of one batch have in common."""
        return self.served.version, self.sampling.model_dump_json()


class Batcher:
    """A thread that answers requests in the order in which they come, as many at once as wait."""

    def __init__(self, most: int, wait_ms: float, told: Callable[[int], None] = lambda size: None) -> None:
        """At most `most` a batch; `told` hears the size of each."""
        self._most, self._wait_s, self._told = most, wait_ms / 1e3, told
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

    def _gather(self, first: Request) -> tuple[list[Request], bool]:
        """What waits already, or comes in a moment; and whether more may come after it."""
        found, ends = [first], time.monotonic() + self._wait_s
        while len(found) < self._most:
            try:
                request = self._waiting.get(timeout=max(0.0, ends - time.monotonic()))
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
        sampling, engine = started[0].sampling, started[0].served.engine
        try:
            completions = engine.generate([request.ask for request in started], sampling)
        except Exception as error:  # of any kind: a thread that ends would leave all later requests waiting
            for request in started:
                request.done.set_exception(error)
            return
        for place, request in enumerate(started):
            request.done.set_result(completions[place * sampling.n : (place + 1) * sampling.n])
