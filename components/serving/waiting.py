"""Queues requests: a limited number, and fairly between callers.

Decides who is next, and who shares a batch: callers take turns, however many requests each of them has. Requests that
nobody waits for (`spare`) take no caller's place, and their turn comes when no caller waits.
"""

import threading
from collections import OrderedDict, deque

from components.serving.request import Request

MOST_SPARE = 8


class QueueFull(Exception):
    """A request may not join: too many wait, or too many of this caller."""


class Waiting:
    """A queue for each caller; after its turn, a caller moves to the end. Its length counts callers' requests."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._queues: OrderedDict[str, deque[Request]] = OrderedDict()
        self._spare = deque[Request]()
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def put(self, request: Request) -> None:
        """Queue a request.

        Raises:
            QueueFull: There is no room, this caller has used up its share of it, or the queue is closed.
        """
        with self._changed:
            if request.spare:
                self._put_spare(request)
                return
            if len(self) >= self._most or len(self._queues.get(request.caller, ())) >= self._most_of_one:
                self._drop_given_up()
            queue = self._queues.get(request.caller, deque[Request]())
            if self._closed or len(self) >= self._most or len(queue) >= self._most_of_one:
                raise QueueFull
            queue.append(request)
            self._queues[request.caller] = queue
            self._changed.notify()

    def _put_spare(self, request: Request) -> None:
        if self._closed or len(self._spare) >= MOST_SPARE:
            raise QueueFull
        self._spare.append(request)
        self._changed.notify()

    def close(self) -> None:
        """Take no more requests."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self, most: int, expected: int, wait_s: float) -> list[Request]:
        """The next batch, of at most `most` completions: the request whose turn it is, and others of its kind.

        Waits for the first request, and `wait_s` seconds for each further one until there are as many as expected.
        Empty once the queue is closed and all requests are taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._queues or self._spare)
            while not self._closed and len(self) < min(most, expected):
                before = len(self)
                if not self._changed.wait_for(lambda before=before: self._closed or len(self) > before, wait_s):
                    break
            return self._next(most)

    def drop_spare(self) -> None:
        """Drop what no caller waits for."""
        with self._changed:
            for request in self._spare:
                request.done.cancel()
            self._spare.clear()

    def drain(self) -> list[Request]:
        """Remove and return all waiting requests, because nobody will take them."""
        with self._changed:
            requests = [request for queue in (*self._queues.values(), self._spare) for request in queue]
            self._queues.clear()
            self._spare.clear()
            return requests

    def _next(self, most: int) -> list[Request]:
        """The oldest request of the next caller, and others of its kind: one of each caller, then another of each."""
        if not self._queues:
            return [self._spare.popleft()] if self._spare else []
        batch: list[Request] = []
        rows, passed = 0, False
        while not passed:
            passed = True
            for caller in list(self._queues):
                queue = self._queues[caller]
                fits = next((request for request in queue if not batch or request.kind == batch[0].kind), None)
                if fits is None or (batch and rows + fits.sampling.n > most):
                    continue
                queue.remove(fits)
                batch.append(fits)
                rows, passed = rows + fits.sampling.n, False
                if queue:
                    self._queues.move_to_end(caller)
                else:
                    del self._queues[caller]
        return batch

    def _drop_given_up(self) -> None:
        """Drop requests whose callers no longer wait."""
        for caller, queue in list(self._queues.items()):
            left = deque(request for request in queue if not request.done.cancelled())
            if left:
                self._queues[caller] = left
            else:
                del self._queues[caller]
