"""Answers of several processes: the same as one gives, in the order of the prompts, and none of them stays."""

import os
from pathlib import Path

import psutil
import pytest

from components.engines import Ask, Sampling, open_engine
from components.engines.pool import PooledEngine
from components.engines.transformers_engine import TransformersEngine
from components.errors import EngineError
from components.params import EngineParams
from components.records import Message

TWO = EngineParams(batch_tokens=4096, processes=2)
SAMPLING = Sampling(max_new_tokens=3, temperature=1.0, n=2, seed=3)


def asks(n: int) -> list[Ask]:
    return [Ask(f"e{at}", [Message(role="user", content="word " * (1 + at % 7) + str(at))]) for at in range(n)]


@pytest.fixture(scope="module")
def folder() -> Path:
    return Path("models/nano")


def test_two_processes_answer_as_one_does_and_end_with_the_engine(folder: Path) -> None:
    engine = open_engine(TWO, folder, "fp32", offline=True)
    assert isinstance(engine, PooledEngine)
    found = engine.generate(asks(300), SAMPLING)
    alone = TransformersEngine.open(folder, 4096, "fp32").generate(asks(300), SAMPLING)
    assert [(one.example_id, one.text, one.usage) for one in found] == [
        (one.example_id, one.text, one.usage) for one in alone
    ]
    # The fork server stays with this process; its workers do not.
    workers = _workers()
    assert len(workers) == 2
    del engine
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive


def test_one_process_serves_whatever_the_setting() -> None:
    assert isinstance(open_engine(TWO, Path("models/nano"), "fp32"), TransformersEngine)


def test_a_process_that_dies_is_an_error_and_no_wait(folder: Path) -> None:
    engine = PooledEngine(folder, TWO, "fp32")
    for worker in _workers():
        worker.kill()
    with pytest.raises(EngineError, match=r"a process of engine\.processes"):
        engine.generate(asks(4), SAMPLING)


def _workers() -> list[psutil.Process]:
    """Grandchildren of this process: what its fork server forked."""
    me = psutil.Process(os.getpid())
    direct = {child.pid for child in me.children()}
    return [child for child in me.children(recursive=True) if child.pid not in direct]
