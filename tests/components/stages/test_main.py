"""What DVC calls: one stage by its name, alone."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from components.errors import ConfigError
from components.stages.command import alone, main
from components.stages.warm import STARTER
from components.training.launch import WORKER

HOLD = """
import fcntl, sys
with open(sys.argv[1], "a") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    input()
"""


@contextmanager
def another_process_holds(lock: Path) -> Generator[None]:
    """Another process holds a lock until the block ends, and is then killed."""
    lock.parent.mkdir(parents=True)
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        yield
        process.kill()


def test_a_process_that_the_stage_itself_launched_is_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(WORKER, "1")
    with (
        another_process_holds(Path("state/locks/shop-nano-rung-sft.lock")),
        pytest.raises(ConfigError, match=r"found none at params/pipeline\.yaml"),  # it gets as far as its settings
    ):
        main(["rung", "shop-nano", "sft"])


def test_a_stage_that_another_process_runs_is_refused_until_that_one_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lock = Path("state/locks/shop-nano-rung-sft.lock")
    with another_process_holds(lock):
        with (
            pytest.raises(ConfigError, match=f"expected to run shop-nano-rung-sft alone.*{lock}"),
            alone("shop-nano-rung-sft"),
        ):
            pytest.fail("two processes run one stage")
        with alone("shop-nano-rung-grpo"):
            pass
    with alone("shop-nano-rung-sft"):
        pass


@pytest.mark.parametrize(
    "arguments", [[], ["data"], ["data", "triage-nano", "more"], ["rung", "triage-nano"], ["flight", "triage-nano"]]
)
def test_an_unknown_stage_or_run_is_refused_with_the_names(arguments: list[str]) -> None:
    with pytest.raises(
        ConfigError,
        match=r"NAME one of pretrain, examine, data, .* RUN RUNG with NAME one of rung, best, answer",
    ):
        main(arguments)


STAGE = "import time; from components.stages.warm import end_with_parent; end_with_parent(); time.sleep(600)"


def test_a_stage_ends_where_its_starter_had_ended_before_it_looked() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as starter:
        starter.wait()
    environment = {**os.environ, STARTER: str(starter.pid)}
    stage = subprocess.run([sys.executable, "-c", STAGE], env=environment, timeout=300, check=False)
    assert stage.returncode == -signal.SIGTERM
