"""A killed climb resumes where it was, and leaves nothing behind that would be in its way."""

import fcntl
import os
import re
import signal
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.stages.run import StageRecord
from tests.flows.conftest import RUN, Project, wait_until

# Long enough to be killed in the middle: 200 steps of 30 examples, a checkpoint every 20; no end before its time.
SFT = {"dev_examples": 2, "methods": {"sft": {"epochs": 50, "evaluations": 10, "patience": 10}}}
STEPS = 200


@dataclass(frozen=True)
class Killed:
    """A project whose climb was killed in SFT: what was done by then, and the step that SFT had reached."""

    project: Project
    stages: dict[str, StageRecord]
    step: int


@pytest.fixture(scope="module")
def killed(make_project: Callable[[], Project]) -> Killed:
    project = make_project()
    project.set("profiles/nano.yaml", SFT)
    with started(project, "flows.cli", "run", "triage"):
        wait_until(lambda: checkpoint(project))
    return Killed(project, project.stages(), checkpoint(project))


@contextmanager
def started(
    project: Project, module: str, *arguments: str, output: Path | None = None
) -> Generator[subprocess.Popen[bytes]]:
    """A command that runs until the block ends; then all of its processes are killed."""
    with project.start(module, *arguments, output=output) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def work(project: Project) -> Path:
    return project.folder / "state" / "training" / RUN / "sft"


def checkpoint(project: Project) -> int:
    """The step of the last whole checkpoint of SFT, 0 where there is none."""
    result = work(project).glob("checkpoint-*/trainer_state.json")
    return max((int(path.parent.name.rpartition("-")[2]) for path in result), default=0)


def is_free(lock: Path) -> bool:
    """Whether no process holds a lock; the one that did has ended, however it ended."""
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


def first_step_shown(output: str) -> int:
    """Where the progress bar of SFT began."""
    result = re.search(rf"train: .*?\| (\d+)/{STEPS} \[", output)
    assert result, output
    return int(result[1])


def test_what_was_done_before_the_kill_is_recorded_and_nothing_else(killed: Killed) -> None:
    assert [*killed.stages] == sorted(
        ["data", "audit", "rung-classical", "rung-loose", "rung-schema", "rung-schema_definitions", "best-prompts"]
    )
    assert 0 < killed.step < STEPS
    assert not (killed.project.artifacts / "rungs" / "sft" / "artifact").exists()


def test_ctrl_c_ends_a_climb_with_one_sentence(killed: Killed, tmp_path: Path) -> None:
    project, before = killed.project, checkpoint(killed.project)
    with started(project, "flows.cli", "run", "triage", output=tmp_path / "said") as process:
        wait_until(lambda: checkpoint(project) > before)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
    said = (tmp_path / "said").read_text()
    assert "Traceback" not in said
    assert said.rstrip().endswith("gradus: stopped; the same command goes on from the last finished stage.")


def test_a_stage_ends_when_the_process_that_started_it_is_killed(killed: Killed) -> None:
    project, before = killed.project, checkpoint(killed.project)
    lock = project.folder / "state" / "locks" / f"{RUN}-rung-sft.lock"
    with started(project, "dvc", "repro", "--single-item", project.target("rung-sft")) as parent:
        wait_until(lambda: checkpoint(project) > before)
        parent.kill()
        parent.wait()
        wait_until(lambda: is_free(lock), most_s=30)  # it looks once a second, and the machine may be busy
    assert work(project).is_dir() and not (project.artifacts / "stages" / "rung-sft.json").exists()


def test_a_climb_goes_on_from_the_checkpoint_and_repeats_no_stage(killed: Killed) -> None:
    reached = checkpoint(killed.project)
    result = killed.project.climb()
    assert result.returncode == 0, result.stderr
    assert first_step_shown(result.stderr) >= reached >= killed.step
    done = killed.project.stages()
    assert done.keys() == {*killed.project.nodes}
    assert {stage: done[stage] for stage in killed.stages} == killed.stages
    assert not work(killed.project).exists()
