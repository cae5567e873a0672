"""DVC, for the stages of a run: reproduces one, and says which must run."""

import logging
import os
import sys
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from components.errors import EXIT_CODE_STOPPED, ConfigError, GradusError
from components.stages import warm
from components.stages.graph import RUNS, StageNode, feeds
from components.stages.run import Run

log = logging.getLogger(__name__)


class StageFailedError(GradusError):
    """A stage failed and has reported the error itself, so that this has no message."""


def reproduce(run: Run, name: str) -> None:
    """Run a stage of a run, unless neither its inputs nor its outputs changed."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.stage.exceptions import StageCmdFailedError

    os.environ[warm.STARTER] = str(os.getpid())
    quiet()
    try:
        with Repo(".") as repo:
            ran = repo.reproduce(targets=[_target(run, name)], single_item=True)  # pyright: ignore[reportCallIssue] — bound at import
    except DvcException as error:
        cause = error.__cause__ or error
        if isinstance(cause, StageCmdFailedError):
            if str(cause).endswith(f"exited with {EXIT_CODE_STOPPED}"):
                stop()  # Ctrl-C, which DVC passes only to the stage
            raise StageFailedError from error
        raise ConfigError(f"expected DVC to run {name} of {run.name}, found {cause}") from error
    if not ran:
        log.info("%s: nothing changed.", name)


@contextmanager
def opened() -> Generator[Any]:
    """The project's DVC repository.

    Raises:
        ConfigError: DVC refuses an operation.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    quiet()
    try:
        with Repo(".") as repo:
            yield repo
    except DvcException as error:
        raise ConfigError(f"expected DVC to send and fetch a stage's files, found {error}") from error


def quiet() -> None:
    """Limit DVC's log to warnings, each shown once, by DVC's own handler."""
    dvc = logging.getLogger("dvc")
    dvc.setLevel(logging.WARNING)  # hides its hints on git
    dvc.propagate = False
    logging.getLogger("dvc.output").setLevel(logging.ERROR)  # hides "… is empty": a split without rows


def stop(*_: object) -> NoReturn:
    """End this process at Ctrl-C with one sentence.

    Immediately, because Prefect would try for minutes to reach its server, which the same Ctrl-C has ended.
    """
    print("gradus: stopped; the same command goes on from the last finished stage.", file=sys.stderr, flush=True)
    os._exit(EXIT_CODE_STOPPED)


def changed(run: Run, names: Collection[str]) -> set[str]:
    """The names of those stages whose inputs or outputs changed, or whose inputs do not exist yet."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo, lock_repo

    found = set[str]()
    try:
        with Repo(".") as repo, lock_repo(repo):
            # All at once: for each target by its name DVC would read the file and its lock anew.
            stages: list[Any] = [each for each, _ in repo.stage.collect_granular(str(_file(run)))]
            found |= set(names) - {stage.name for stage in stages}  # the file was written anew without them
            found |= {stage.name for stage in stages if stage.name in names and _is_changed(stage)}
    except DvcException:  # the file does not exist yet, or another process holds the lock
        return set(names)
    return found


def _is_changed(stage: Any) -> bool:
    from dvc.exceptions import DvcException

    try:
        return bool(stage.status(check_updates=True))
    except DvcException:  # an input does not exist yet
        return True


def stale(run: Run, stages: Sequence[StageNode]) -> list[str]:
    """The names of stages that must run: their inputs or outputs changed, or a stage before them must run."""
    return following(stages, changed(run, [node.name for node in stages]))


def following(stages: Sequence[StageNode], changed: Collection[str]) -> list[str]:
    """The names of changed stages, and of those that depend on them, in order."""
    names, made = list[str](), set[Path]()
    for node in stages:
        if node.name in changed or any(feeds(out, Path(dep)) for out in made for dep in node.deps):
            names.append(node.name)
            made |= {Path(out) for out in node.outs}
    return names


def _target(run: Run, name: str) -> str:
    """DVC's name for a stage."""
    return f"{_file(run)}:{name}"


def _file(run: Run) -> Path:
    return RUNS / run.name / "dvc.yaml"
