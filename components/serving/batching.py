"""Answers concurrent requests in batches: one thread, one batch after the other.

Decides how long a batch waits for more requests: a request that is alone does not wait. The thread belongs to the
engines of this process, which compute one batch at a time. It survives any error in a batch, or reports that it has
ended. An engine that joins callers itself has a thread of its own, which hands it each request by itself, as soon as
there is room.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from components.engines import ConcurrentEngine, Engine, StreamingEngine
from components.records import Completion
from components.serving.champion import Served
from components.serving.request import Request
from components.serving.waiting import QueueFull, Waiting

log = logging.getLogger(__name__)
MOST_WAITING = 256
MOST_AT_ONCE = 256  # threads that wait for an engine's answers


class Batcher:
    """A thread that answers waiting requests in batches; callers take turns."""

    def __init__(
        self,
        most: int,
        wait_ms: float,
        on_batch: Callable[[int], None] = lambda size: None,
        *,
        most_waiting: int = MOST_WAITING,
        caller_share: float = 1.0,
    ) -> None:
        """Start the thread. A batch has at most `most` completions, and waits `wait_ms` for each expected request.

        `on_batch` is called with the number of requests of each batch. Up to `most_waiting` requests wait; one caller
        may have `caller_share` of them, in [0, 1].
        """
        self._most, self._wait_s, self._on_batch = most, wait_ms / 1e3, on_batch
        self._waiting = Waiting(most_waiting, max(1, round(most_waiting * caller_share)))
        self._pool = ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="answers")
        self._running, self._ended = 0, threading.Condition()
        self._at_work = dict[Request, float]()  # since when, by time.monotonic
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """How many requests have not been started."""
        return len(self._waiting)

    @property
    def oldest_s(self) -> float:
        """For how many seconds the oldest request at work has been answered; 0 if there is none."""
        return max((time.monotonic() - since for since in list(self._at_work.values())), default=0.0)

    def submit(self, request: Request) -> "Future[list[Completion]]":
        """Queue a request; cancelling the future takes it out if it has not been started.

        Raises:
            QueueFull: There is no room, or this caller has used up its share of it.
        """
        if not self.alive:
            raise QueueFull
        self._waiting.put(request)
        return request.done

    def drop_spare(self) -> None:
        """Give up what nobody waits for: what is at work ends early if its engine can, the rest is not answered."""
        self._waiting.drop_spare()
        for request in list(self._at_work):
            if request.spare:
                request.leave()

    def stop(self) -> None:
        """Take no more requests; the thread ends when the waiting ones are answered."""
        self._waiting.close()

    def close(self) -> None:
        """Answer the waiting requests, then stop."""
        self.stop()
        self._thread.join()

    def _run(self) -> None:
        try:
            most, expected = self._most, 1
            while batch := self._waiting.take(most, expected, self._wait_s):
                engine = batch[0].served.engine
                if isinstance(engine, ConcurrentEngine):
                    most, expected = self._hand_over(batch, min(engine.at_once, MOST_AT_ONCE)), 1
                    continue
                self._answer(batch)
                # Callers who have just been answered are likely to ask again, and can share a batch with others.
                again = 0 if batch[0].spare else len(batch)
                most, expected = self._most, again + len(self._waiting)
        except BaseException as error:  # a defect of this module
            log.critical("No request is answered any more.", exc_info=error)
        finally:
            self._waiting.close()
            for request in self._waiting.drain():
                if request.done.set_running_or_notify_cancel():
                    request.done.set_exception(QueueFull())  # the server's fault, not the request's
            self._pool.shutdown()  # waits for what engines are answering

    def _hand_over(self, requests: list[Request], at_once: int) -> int:
        """Have each request answered by itself, and wait until there is room for more; returns for how many."""
        for request in requests:
            with self._ended:
                self._ended.wait_for(lambda: self._running < at_once)
                self._running += 1
            self._pool.submit(self._answer_alone, request)
        with self._ended:
            self._ended.wait_for(lambda: self._running < at_once)
            return at_once - self._running

    def _answer_alone(self, request: Request) -> None:
        try:
            self._answer([request])
        finally:
            with self._ended:
                self._running -= 1
                self._ended.notify()

    def _answer(self, requests: list[Request]) -> None:
        """Answer one batch; an error is passed to each of its requests."""
        started = [request for request in requests if request.done.set_running_or_notify_cancel()]
        if not started:
            return
        n = started[0].sampling.n
        self._at_work.update(dict.fromkeys(started, time.monotonic()))
        try:
            self._on_batch(len(started))
            completions = _completions(started)
            answers = [completions[place * n : (place + 1) * n] for place in range(len(started))]
        except BaseException as error:  # of any kind, even a library's panic: the server needs this thread
            if not isinstance(error, Exception):
                log.critical("A batch was given up.", exc_info=error)
                error = RuntimeError(f"expected answers, found {type(error).__name__}: {error}")
            for request in started:
                request.done.set_exception(error)
            return
        finally:
            for request in started:
                del self._at_work[request]
        for request, answer in zip(started, answers, strict=True):
            request.done.set_result(answer)


class Batchers:
    """The batchers of a server: one for the engines that compute here one by one, one for each that joins callers.

    So an engine that hangs holds up those alone who ask it.
    """

    def __init__(self, make: Callable[[], Batcher]) -> None:
        self.shared = make()
        self._make, self._lock, self._closed = make, threading.Lock(), False
        self._own = dict[int, tuple[Engine, Batcher]]()  # by the engine's id, which no other has while it is kept
        self._stopped = list[Batcher]()

    @property
    def kept(self) -> list[Batcher]:
        """Those that take requests."""
        with self._lock:
            return [self.shared, *(batcher for _, batcher in self._own.values())]

    @property
    def waiting(self) -> int:
        """How many callers' requests have not been started."""
        return sum(batcher.waiting for batcher in self.kept)

    def submit(self, request: Request, standing: Collection[Served]) -> "Future[list[Completion]]":
        """Queue a request for its version's engine; an engine that no version in `standing` has is kept no longer.

        Raises:
            QueueFull: There is no room, or this caller has used up its share of it.
        """
        with self._lock:
            self._stop_others({id(served.engine) for served in standing})
            return self._of(request.served.engine).submit(request)

    def oldest_s(self, engine: Engine) -> float:
        """For how many seconds the oldest request has been answered among those that this engine's callers wait for."""
        with self._lock:
            return self._own.get(id(engine), (engine, self.shared))[1].oldest_s

    def close(self) -> None:
        """Answer all callers' waiting requests, then stop."""
        for batcher in (*self.kept, *self._stopped):
            batcher.drop_spare()
        with self._lock:
            self._closed = True
            self._stop_others(set())
        self.shared.close()
        for batcher in self._stopped:
            batcher.close()

    def _of(self, engine: Engine) -> Batcher:
        if self._closed or not isinstance(engine, ConcurrentEngine):
            return self.shared
        if id(engine) not in self._own:
            self._own[id(engine)] = engine, self._make()
        return self._own[id(engine)][1]

    def _stop_others(self, engines: Collection[int]) -> None:
        """Stop the batchers of all but these engines; who waits there is still answered."""
        for known in self._own.keys() - engines:
            _, batcher = self._own.pop(known)
            batcher.stop()
            self._stopped = [*(other for other in self._stopped if other.alive), batcher]


def _completions(requests: list[Request]) -> list[Completion]:
    """The engine's answers, streamed to the requests that have an `on_text`."""
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
