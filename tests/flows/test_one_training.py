"""However many climbs are started, those of one Prefect server train one after the other."""

import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from flows import ladder

RUN: Any = SimpleNamespace(name="triage-nano")
STEPS = ("find_standing", "carry_out", "settle_advice", "tell_record")


class Training:
    """Stages that take a while, and how many of them ran at once."""

    def __init__(self) -> None:
        self.running = self.most = self.ended = 0
        self._lock = threading.Lock()

    def stage(self, *_: object) -> None:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(0.02)
        with self._lock:
            self.running -= 1
            self.ended += 1


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> Training:
    result, places = Training(), {ladder.TRAINER: threading.BoundedSemaphore(1)}  # as `gradus up` sets Prefect's limit
    for name in ("making", "nodes"):
        monkeypatch.setattr(ladder, name, lambda run: [SimpleNamespace(name="sft"), SimpleNamespace(name="grpo")])
    for name in ("stage", *STEPS):
        monkeypatch.setattr(ladder, name, result.stage)
    monkeypatch.setattr(ladder, "concurrency", lambda name, occupy: places[name])
    return result


@pytest.mark.parametrize(
    ("climb", "stages"),
    [(lambda: ladder.ladder.fn(RUN, "record", "champion"), 8), (lambda: ladder.first_look.fn(RUN), 2)],
    ids=["ladder", "first look"],
)
def test_climbs_that_start_together_train_one_after_the_other(training: Training, climb: Any, stages: int) -> None:
    threads = [threading.Thread(target=climb) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (training.ended, training.most) == (4 * stages, 1)
