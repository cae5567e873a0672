"""Rows of lessons for a training by the clock: made by all cores at once, used again only while they lag behind."""

import multiprocessing
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from multiprocessing.queues import Queue
from multiprocessing.sharedctypes import Synchronized

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from components.base.batches import ANSWER_BLOCK, Batch, Encoded, encode
from components.base.curriculum import Curriculum
from components.params import ClockedParams, PhaseParams

ROWS_AT_ONCE = 32
KEPT_ROWS = 60_000
READY_BATCHES = 6


@dataclass(frozen=True)
class Rows:
    """R rows of T tokens: ids (uint16), the lesson's number in its row (uint8, 0 for padding), whether it is an answer."""

    tokens_R_T: np.ndarray
    lessons_R_T: np.ndarray
    answered_R_T: np.ndarray


def phase_at(params: ClockedParams, share: float) -> PhaseParams:
    """What is taught after this share of the time."""
    return next((phase for phase in params.phases if share < phase.until), params.phases[-1])


def curriculum_of(phase: PhaseParams) -> Curriculum:
    """The mixture of a phase."""
    return Curriculum(phase.weights, phase.full_difficulty_at, phase.most_messages, phase.rough_share)


def make_rows(
    curriculum: Curriculum, tokenizer: PreTrainedTokenizerBase, rng: random.Random, share: float, row_tokens: int
) -> Rows:
    """Fill some rows with lessons, until three in a row find no room."""
    room, misses = [row_tokens] * ROWS_AT_ONCE, 0
    rows: list[list[Encoded]] = [[] for _ in room]
    while misses < 3:
        encoded = encode(curriculum.lesson(rng, share), tokenizer)
        size = len(encoded[0])
        fitting = [at for at, left in enumerate(room) if left >= size and len(rows[at]) < 255]
        if fitting:
            at = min(fitting, key=room.__getitem__)
            rows[at].append(encoded)
            room[at] -= size
        elif size <= row_tokens:  # a longer lesson is dropped
            misses += 1
    return _laid_out(rows, row_tokens)


def _laid_out(rows: list[list[Encoded]], row_tokens: int) -> Rows:
    tokens = np.zeros((len(rows), row_tokens), dtype=np.uint16)
    lessons, answered = np.zeros(tokens.shape, dtype=np.uint8), np.zeros(tokens.shape, dtype=bool)
    for at, row in enumerate(rows):
        start = 0
        for number, (ids, answers) in enumerate(row, start=1):
            end = start + len(ids)
            tokens[at, start:end], lessons[at, start:end], answered[at, start:end] = ids, number, answers
            start = end
    return Rows(tokens, lessons, answered)


def to_batch(rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Batch:
    """Some rows (tokens, lessons, answered) as one step's batch."""
    tokens, lessons, answered = (np.stack(part) for part in zip(*rows, strict=True))
    at = np.arange(tokens.shape[1])
    begins = np.ones(lessons.shape, dtype=bool)
    begins[:, 1:] = lessons[:, 1:] != lessons[:, :-1]
    positions = at - np.maximum.accumulate(np.where(begins, at, 0), axis=1)
    found = np.flatnonzero(answered)
    spare = -len(found) % ANSWER_BLOCK
    sources = np.concatenate((found - 1, np.zeros(spare, dtype=np.int64)))
    targets = np.concatenate((tokens.reshape(-1)[found].astype(np.int64), np.full(spare, -100)))
    whole = (tokens.astype(np.int64), positions, lessons.astype(np.int64), sources, targets)
    return Batch(*(torch.from_numpy(part) for part in whole))


class Generators:
    """Processes that make rows until they are stopped; how hard, they read from the shared share of the time."""

    def __init__(self, params: ClockedParams, tokenizer: PreTrainedTokenizerBase, count: int) -> None:
        context = multiprocessing.get_context("fork")  # before CUDA is touched: the children never use it
        self.share: Synchronized[float] = context.Value("d", 0.0)  # pyright: ignore[reportAttributeAccessIssue]
        self.queue: Queue[Rows] = context.Queue(maxsize=4 * count)
        self._processes: list[ForkProcess] = [
            context.Process(target=_generate, args=(params, tokenizer, number, self.share, self.queue), daemon=True)
            for number in range(count)
        ]
        for process in self._processes:
            process.start()

    def stop(self) -> None:
        """End the processes; what they had ready is dropped."""
        for process in self._processes:
            process.kill()


def _generate(
    params: ClockedParams,
    tokenizer: PreTrainedTokenizerBase,
    number: int,
    share: "Synchronized[float]",
    made: "Queue[Rows]",
) -> None:
    rng = random.Random(f"{params.seed}/{number}")
    while True:
        now = share.value
        made.put(make_rows(curriculum_of(phase_at(params, now)), tokenizer, rng, now, params.clock.row_tokens))


class Feed:
    """Batches, prepared by a thread: of new rows, filled up with ones used less than `most_uses` times."""

    def __init__(self, generators: Generators, params: ClockedParams, *, pinned: bool) -> None:
        self._generators, self._clock, self._pinned = generators, params.clock, pinned
        self._rng = random.Random(f"{params.seed}/feed")
        self._fresh: deque[list] = deque()  # pyright: ignore
        self._kept: deque[list] = deque(maxlen=KEPT_ROWS)  # pyright: ignore
        self._ready: queue.Queue[Batch] = queue.Queue(READY_BATCHES)
        self.new_rows, self.used_rows = 0, 0
        threading.Thread(target=self._prepare, daemon=True).start()

    def __iter__(self) -> Iterator[Batch]:
        """Batches without end."""
        while True:
            yield self._ready.get()

    def _prepare(self) -> None:
        while True:
            batch = to_batch([row[1] for row in self._take(self._clock.rows)])
            self._ready.put(batch.pin_memory() if self._pinned else batch)

    def _take(self, count: int) -> list:  # pyright: ignore
        self._drain()
        while len(self._fresh) < count:
            wanted = count - len(self._fresh)
            pool = [row for row in self._sample(4 * wanted) if row[0] < self._clock.most_uses]
            if len(pool) >= wanted:
                again = pool[:wanted]
                break
            self._receive(self._generators.queue.get())
        else:
            again = []
        rows = [self._fresh.popleft() for _ in range(count - len(again))]
        for row in (*rows, *again):
            row[0] += 1
        self._kept.extend(rows)
        self.used_rows += count
        return [*rows, *again]

    def _sample(self, count: int) -> list:  # pyright: ignore
        if len(self._kept) < 20 * self._clock.rows:
            return []
        chosen = {self._rng.randrange(len(self._kept)) for _ in range(count)}
        return [self._kept[at] for at in chosen]

    def _drain(self) -> None:
        while True:
            try:
                self._receive(self._generators.queue.get_nowait())
            except queue.Empty:
                return

    def _receive(self, rows: Rows) -> None:
        parts = zip(rows.tokens_R_T, rows.lessons_R_T, rows.answered_R_T, strict=True)
        self._fresh.extend([0, part] for part in parts)
        self.new_rows += len(rows.tokens_R_T)


def measured_rate(params: ClockedParams, tokenizer: PreTrainedTokenizerBase, seconds: float) -> float:
    """Tokens a second that one process makes, at the end of the training."""
    rng, made, started = random.Random(0), 0, time.monotonic()
    while time.monotonic() - started < seconds:
        rows = make_rows(curriculum_of(params.phases[-1]), tokenizer, rng, 1.0, params.clock.row_tokens)
        made += int((rows.lessons_R_T > 0).sum())
    return made / (time.monotonic() - started)
