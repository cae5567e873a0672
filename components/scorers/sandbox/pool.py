"""The workers of a sandbox: started when they are first needed, replaced when they are lost, ended with their owner.

Decides which wall is used, and who is charged when a worker is lost: a program that brings down two workers, after
which a fresh one still works, did it; anything else is the sandbox's own failure, an error and never a zero.
"""

import threading
import weakref
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from components.errors import ScorerError
from components.params.sandbox import SandboxParams
from components.scorers.sandbox.isolation import Wall
from components.scorers.sandbox.programs import Answer, Call, Execution, Program
from components.scorers.sandbox.worker import Worker, WorkerLost

_PROBE = Program(code="def double(n):\n    return 2 * n\n", calls=(Call(call="double", args=(21,)),))
_WORKS = (Answer(value=42),)


class Sandbox:
    """Runs programs that nobody has read, several at a time, each in a fresh process behind a wall."""

    def __init__(self, params: SandboxParams) -> None:
        """Nothing is started yet."""
        self._params = params
        self._idle: deque[Worker] = deque()
        self._choice = threading.Lock()
        self._wall: Wall | ScorerError | None = None
        # A worker ends with the thread that started it, so the threads have to last as long as the workers.
        self._threads = ThreadPoolExecutor(params.workers, thread_name_prefix="sandbox")
        self._close = weakref.finalize(self, _close, self._threads, self._idle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let running programs end, then end all workers; the sandbox is of no more use."""
        self._threads.shutdown()
        self._close()

    @property
    def wall(self) -> Wall:
        """What isolates programs here.

        Raises:
            ScorerError: Nothing does, and the settings do not say that nothing has to.
        """
        with self._choice:
            if self._wall is None:
                self._wall = self._threads.submit(self._choose).result()
        if isinstance(self._wall, ScorerError):
            raise self._wall
        return self._wall

    def run_many(self, programs: Sequence[Program]) -> list[Execution | ScorerError]:
        """Run programs, in order; where the sandbox itself failed, the error stands in the execution's place."""
        try:
            wall = self.wall
        except ScorerError as error:
            return [error] * len(programs)
        return list(self._threads.map(lambda program: self._run(program, wall), programs))

    def _choose(self) -> Wall | ScorerError:
        """The first wall that stands, with one worker behind it."""
        asked = self._params.isolation
        walls: tuple[Wall, ...] = ("bubblewrap", "unshare") if asked == "auto" else (asked,)
        reasons: list[str] = []
        for wall in walls:
            try:
                self._idle.append(self._start(wall))
                return wall
            except ScorerError as error:
                reasons.append(f"{wall}: {error}")
        return ScorerError(
            f"expected a sandbox for generated programs, found none ({'; '.join(reasons)}); install bubblewrap, "
            "or trust the programs in words: isolation: none_i_trust_the_code"
        )

    def _start(self, wall: Wall) -> Worker:
        """A fresh worker that has run a program."""
        worker = Worker(self._params, wall)
        try:
            execution = worker.run(_PROBE)
            if execution.answers == _WORKS:
                return worker
            reason = execution.failure or f"{execution.answers}"
        except (WorkerLost, ScorerError) as error:
            reason = str(error) or "it was lost"
        worker.close()
        raise ScorerError(f"its first program failed: {reason}")

    def _run(self, program: Program, wall: Wall) -> Execution | ScorerError:
        try:
            for _ in range(2):
                worker = self._take(wall)
                try:
                    execution = worker.run(program)
                except WorkerLost:
                    worker.close()
                    continue
                except ScorerError:
                    worker.close()
                    raise
                self._idle.append(worker)
                return execution
            self._idle.append(self._start(wall))
        except ScorerError as error:
            return error
        return Execution(failure="brought down two workers")

    def _take(self, wall: Wall) -> Worker:
        try:
            return self._idle.pop()
        except IndexError:
            return self._start(wall)


def _close(threads: ThreadPoolExecutor, idle: deque[Worker]) -> None:
    threads.shutdown(wait=False)  # the last reference may be gone in one of the threads, which cannot wait for itself
    while idle:
        idle.pop().close()
