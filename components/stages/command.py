"""What `python -m components.stages STAGE RUN [NAME]` does. An error is one sentence, with exit code 2."""

import fcntl
import importlib
import logging
import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from components.errors import EXIT_CODE_ERROR, ConfigError, GradusError
from components.params import Environment
from components.records import write_record
from components.registry import joined_run, open_run
from components.stages import BASE_MODEL, OF_A_RUN, OF_A_RUNG, call
from components.stages.environment import settle
from components.stages.graph import StageNode, nodes
from components.stages.interpreter import go_on_in, other_python
from components.stages.judging import leave_spent, tell_judge, workers_spending
from components.stages.run import STATE, Run, StageRecord, digest, git_commit, threads
from components.stages.storage import apply
from components.stages.warm import end_with_parent
from components.training.launch import WORKER, is_main

PARENT = "GRADUS_MLFLOW_PARENT"  # id of the run that the stages of one climb belong to


def main(arguments: list[str]) -> None:
    """Run one stage.

    Raises:
        ConfigError: The arguments do not name a stage and exactly one run or profile.
    """
    stage, *words = arguments or [""]
    if stage in BASE_MODEL and len(words) == 1:
        getattr(importlib.import_module(BASE_MODEL[stage]), stage)(words[0])
    elif (stage in OF_A_RUN and len(words) == 1) or (stage in OF_A_RUNG and len(words) == 2):
        climb(stage, *words)
    else:
        stages = ", ".join((*BASE_MODEL, *OF_A_RUN))
        raise ConfigError(
            f"expected NAME RUN with NAME one of {stages}, or NAME RUN RUNG with NAME one of {', '.join(OF_A_RUNG)}, "
            f"found {' '.join(arguments)!r}"
        )


def making(run: Run) -> list[StageNode]:
    """The stages before the decision, in order."""
    return [node for node in nodes(run) if node.command[0] not in ("gate", "report")]


def climb(stage: str, name: str, part: str = "") -> None:
    """Run a stage: as a process of its own, or as a worker of a stage that trains with several processes."""
    run = Run.load(name)
    if not os.environ.get(WORKER):
        if python := other_python(needed(run, stage, part), os.environ):
            go_on_in(python, "components.stages", list(filter(None, (stage, name, part))))
        with alone("-".join(filter(None, (name, stage, part)))):
            recorded(stage, run, part)
    else:
        worked(stage, run, part)


def worked(stage: str, run: Run, part: str) -> None:
    """Run a stage as one of its workers; the main one records it."""
    from components.tracking import NullTracker

    with joined_run(os.environ[PARENT]) if is_main() else nullcontext(NullTracker()) as tracker:
        call(stage, run, tracker, part)
    leave_spent()


def needed(run: Run, stage: str, part: str) -> Environment:
    """The environment that a stage declares."""
    if run.profile.environment == "base":
        return "base"
    words = tuple(filter(None, (stage, run.name, part)))
    matching: list[Environment] = [node.environment for node in nodes(run) if node.command == words]
    return matching[0] if matching else "base"


def recorded(stage: str, run: Run, part: str) -> None:
    """Run a stage as an MLflow run, and write its stage record."""
    started, full = time.monotonic(), f"{stage}-{part}" if part else stage
    tags = {
        "run": run.name,
        "stage": stage,
        **run.setting,
        **({"rung": part} if part else {}),
        "git_commit": git_commit(),
        "params_hash": digest(run.workload, run.profile, run.seed),
        "threads": str(threads()),  # another number of threads rounds sums differently, and gives other weights
    }
    shown = part if stage == "rung" else f"{run.name}/{full}"  # rungs are what people compare
    with open_run(run.workload.name, shown, tags, os.environ.get(PARENT)) as tracker, workers_spending() as workers:
        tracker.params({**run.setting})
        os.environ[PARENT] = str(tracker.run_id)  # workers that this stage launches record in this run
        call(stage, run, tracker, part)
        seconds = time.monotonic() - started
        tracker.metrics({"stage_seconds": seconds})
        judge_usd = tell_judge(run, tracker, workers)
    record = StageRecord(stage=full, seconds=seconds, mlflow_run_id=tracker.run_id, judge_usd=judge_usd)
    write_record(run.folder / "stages" / f"{full}.json", record)


@contextmanager
def alone(name: str) -> Generator[None]:
    """Hold a stage's lock, so that it does not run twice at the same time.

    Raises:
        ConfigError: Another process runs the stage.
    """
    path = STATE / "locks" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"expected to run {name} alone, found another process that runs it ({path})") from None
        yield


def start(arguments: list[str]) -> None:
    """Run one stage in a process of its own; exits with a code where it fails."""
    os.umask(0o077)  # as the command line does, since DVC may have been started by hand
    settle()
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str((STATE / "compiled").resolve()))
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if is_main():
        logging.getLogger("components").setLevel(logging.INFO)
    else:  # only the main worker shows progress
        os.environ["TQDM_DISABLE"] = "1"
    end_with_parent()
    try:
        apply(Path())
        main(arguments)
    except GradusError as error:
        if os.environ.get("GRADUS_DEBUG") == "1":
            raise
        print(f"gradus: {error}", file=sys.stderr)
        sys.exit(EXIT_CODE_ERROR)
