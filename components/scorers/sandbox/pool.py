"""A sandbox's workers: started on demand, replaced when lost, ended with the sandbox.

Decides which isolation is used, and who is to blame for a lost worker: a program, if it brings down two workers and a
fresh one still works afterwards; otherwise the sandbox itself, which is an error and never a zero.
"""

import threading
import weakref
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from components.errors import ScorerError
from components.params.sandbox import SandboxParams
from components.scorers.sandbox.isolation import Isolation
from components.scorers.sandbox.programs import Answer, Call, Execution, Program
from components.scorers.sandbox.worker import Worker, WorkerLost

_PROBE = Program(code="def double(n):\n    return 2 * n\n", calls=(Call(call="double", args=(21,)),))
_WORKS = (Answer(value=42),)


class Sandbox:
    """Runs untrusted programs, several at a time, each in a fresh isolated process."""

    def __init__(self, params: SandboxParams) -> None:
        """Start nothing yet."""
        self._params = params
        self._idle: deque[Worker] = deque()
        self._choice = threading.Lock()
        self._isolation: Isolation | ScorerError | None = None
        # A worker ends with the thread that started it, so the threads must live as long as the workers.
        self._threads = ThreadPoolExecutor(params.workers, thread_name_prefix="sandbox")
        self._close = weakref.finalize(self, _close, self._threads, self._idle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait for running programs, then end all workers; the sandbox cannot be used any more."""
        self._threads.shutdown()
        self._close()

    @property
    def isolation(self) -> Isolation:
        """The isolation of programs here.

        Raises:
            ScorerError: There is none, and the settings do not waive it.
        """
        with self._choice:
            if self._isolation is None:
                self._isolation = self._threads.submit(self._choose).result()
        if isinstance(self._isolation, ScorerError):
            raise self._isolation
        return self._isolation

    def run_many(self, programs: Sequence[Program]) -> list[Execution | ScorerError]:
        """Run programs, in order; an error of the sandbox itself takes the execution's place."""
        try:
            isolation = self.isolation
        except ScorerError as error:
            return [error] * len(programs)
        return list(self._threads.map(lambda program: self._run(program, isolation), programs))

    def _choose(self) -> Isolation | ScorerError:
        """The first isolation that works, with a worker started."""
        setting = self._params.isolation
        candidates: tuple[Isolation, ...] = ("bubblewrap", "unshare") if setting == "auto" else (setting,)
        reasons: list[str] = []
        for isolation in candidates:
            try:
                self._idle.append(self._start(isolation))
                return isolation
            except ScorerError as error:
                reasons.append(f"{isolation}: {error}")
        return ScorerError(
            f"expected a sandbox for generated programs, found none ({'; '.join(reasons)}); install bubblewrap, "
            "or trust the programs in words: isolation: none_i_trust_the_code"
        )

    def _start(self, isolation: Isolation) -> Worker:
        """A new worker that has run a test program."""
        worker = Worker(self._params, isolation)
        try:
            execution = worker.run(_PROBE)
            if execution.answers == _WORKS:
                return worker
            reason = execution.failure or f"{execution.answers}"
        except (WorkerLost, ScorerError) as error:
            reason = str(error) or "it was lost"
        worker.close()
        raise ScorerError(f"its first program failed: {reason}")

    def _run(self, program: Program, isolation: Isolation) -> Execution | ScorerError:
        try:
            for _ in range(2):
                worker = self._take(isolation)
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
            self._idle.append(self._start(isolation))
        except ScorerError as error:
            return error
        return Execution(failure="brought down two workers")

    def _take(self, isolation: Isolation) -> Worker:
        try:
            return self._idle.pop()
        except IndexError:
            return self._start(isolation)


def _close(threads: ThreadPoolExecutor, idle: deque[Worker]) -> None:
    threads.shutdown(wait=False)  # the sandbox may be collected in one of these threads, which cannot wait for itself
    while idle:
        idle.pop().close()
