"""A small model in several processes of one machine, for offline inference.

Decides how prompts are shared out. A model of a few million parameters decodes as fast on one core as on two, so a
process for each core answers twice as many; larger models use the cores themselves. Serving has one process: nobody
may wait for a share to fill.
"""

import multiprocessing
import os
import threading
import time
import weakref
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from components.engines.base import Ask, Sampling
from components.errors import EngineError
from components.params import EngineParams, Precision
from components.records import Completion

if TYPE_CHECKING:
    from components.engines.transformers_engine import TransformersEngine

SHARE = 256  # prompts that a process takes at a time: enough for whole batches, few enough to end together
_here: "TransformersEngine | None" = None  # a worker's own


class PooledEngine:
    """As `TransformersEngine`, whose answers do not depend on what else is asked, up to rounding."""

    def __init__(self, folder: Path, settings: EngineParams, precision: Precision = "auto") -> None:
        """Open a model folder in `settings.processes` processes; returns when all of them have it.

        Raises:
            EngineError: The folder holds no model that loads, or one that this engine cannot run.
        """
        from components.engines.transformers_engine import TransformersEngine

        TransformersEngine.open(folder, settings.batch_tokens, precision)  # what is wrong is told here
        context = multiprocessing.get_context("forkserver")  # no fork of a process that has threads
        context.set_forkserver_preload(["components.engines.transformers_engine"])
        self._pool = ProcessPoolExecutor(
            settings.processes, context, _open, (folder, settings.batch_tokens, precision, _threads(settings.processes))
        )
        weakref.finalize(self, self._pool.shutdown)
        for ready in [self._pool.submit(_ready) for _ in range(settings.processes)]:
            ready.result()

    def generate(self, prompts: list[Ask], sampling: Sampling) -> list[Completion]:
        """Answer every prompt: `n` completions in a row for each, in the order of the prompts.

        Raises:
            EngineError: A batch does not fit into the memory, or a process died.
        """
        by_length = sorted(range(len(prompts)), key=lambda at: -sum(len(turn.content) for turn in prompts[at].messages))
        shares = [by_length[start : start + SHARE] for start in range(0, len(by_length), SHARE)]
        found: dict[int, list[Completion]] = {}
        n = sampling.n
        try:
            asked: dict[Future[list[Completion]], list[int]] = {
                self._pool.submit(_answer, [prompts[at] for at in share], sampling): share for share in shares
            }
            with tqdm(total=len(prompts) * n, desc="completions", unit="answer") as bar:
                for done in as_completed(asked):
                    answers, share = done.result(), asked[done]
                    found |= {at: answers[place * n : (place + 1) * n] for place, at in enumerate(share)}
                    bar.update(len(answers))
        except BrokenProcessPool as error:
            raise EngineError("expected a process of engine.processes to answer, found that it died") from error
        return [answer for at in range(len(prompts)) for answer in found[at]]


def _threads(processes: int) -> int:
    """Threads of each process, when the cores are shared out evenly."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // processes)


def _open(folder: Path, batch_tokens: int, precision: Precision, threads: int) -> None:
    """Make this process a worker."""
    global _here  # noqa: PLW0603 — a pool's worker keeps its model between tasks nowhere else
    import torch

    from components.engines.transformers_engine import TransformersEngine

    os.environ["TQDM_DISABLE"] = "1"  # the parent shows one bar for all
    torch.set_num_threads(threads)
    _end_with(os.getppid())
    _here = TransformersEngine.open(folder, batch_tokens, precision)


def _end_with(parent: int) -> None:
    """End this worker when the process that forked it is gone, which ends with the one that uses the pool."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _ready() -> None:
    """A task that waits for the worker, and long enough that each of them gets one."""
    time.sleep(0.05)


def _answer(prompts: list[Ask], sampling: Sampling) -> list[Completion]:
    assert _here is not None
    return _here.generate(prompts, sampling)
