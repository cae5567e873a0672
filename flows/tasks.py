"""Prefect's task: one stage of a run, reproduced by DVC."""

import logging
import os
import sys
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NoReturn

from prefect import task
from prefect.cache_policies import NO_CACHE

from components.errors import EXIT_CODE_STOPPED, ConfigError, GradusError
from components.stages import warm
from components.stages.graph import RUNS, StageNode, feeds, nodes
from components.stages.run import Run

log = logging.getLogger(__name__)
On = Literal["local", "k8s"]  # where stages run: as processes here, or as Jobs of Kubernetes


class StageFailedError(GradusError):
    """A stage failed and has reported the error itself, so that this has no message."""


@task(name="stage", task_run_name="{name}", cache_policy=NO_CACHE)
def stage(run: Run, name: str, on: On = "local") -> None:
    """Reproduce one stage here or on the cluster, unless nothing changed.

    Raises:
        StageFailedError: The stage failed; it has written why to standard error.
        ConfigError: DVC cannot start it: a file that it needs is missing, or another process is running here.
        ServiceError: The cluster refuses it.
    """
    if on == "local":
        if reproduce(run, name):
            warm.begin()  # more will follow
    else:
        from flows.cluster import Cluster, on_the_cluster

        on_the_cluster(run, next(node for node in nodes(run) if node.name == name), Cluster.reached())


def reproduce(run: Run, name: str) -> bool:
    """Run a stage of a run if its inputs or outputs changed, and say whether they did."""
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
    return bool(ran)


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


def unchanged(run: Run, names: list[str]) -> bool:
    """Whether all of these stages are up to date."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(".") as repo:
            return not repo.status(targets=[_target(run, name) for name in names])
    except DvcException:  # a stage's input does not exist yet
        return False


def stale(run: Run, stages: Sequence[StageNode]) -> list[str]:
    """The names of stages that must run: their inputs or outputs changed, or a stage before them must run."""
    changed = {node.name for node in stages if not unchanged(run, [node.name])}
    return following(stages, changed)


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
    return f"{RUNS / run.name / 'dvc.yaml'}:{name}"
