"""What Prefect runs: one stage of a run, reproduced by DVC."""

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
from components.stages.graph import RUNS, StageNode, nodes
from components.stages.run import Run

log = logging.getLogger(__name__)
On = Literal["local", "k8s"]  # where stages run: as processes here, or as Jobs of Kubernetes


class StageFailedError(GradusError):
    """A stage ended with an error that it has told itself, so that there is nothing more to say."""


@task(name="stage", task_run_name="{name}", cache_policy=NO_CACHE)
def stage(run: Run, name: str, on: On = "local") -> None:
    """Have one stage reproduced where it is to run, or find that nothing changed.

    Raises:
        StageFailedError: The stage failed; it has said why on standard error.
        ConfigError: DVC cannot start it: a file that it needs is missing, or another process works here.
        ServiceError: The cluster does not take it.
    """
    if on == "local":
        reproduce(run, name)
    else:
        from flows.cluster import Cluster, on_the_cluster

        on_the_cluster(run, next(node for node in nodes(run) if node.name == name), Cluster.reached())


def reproduce(run: Run, name: str) -> None:
    """Run a stage of a run if its inputs or outputs changed."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.stage.exceptions import StageCmdFailedError

    quiet()
    try:
        with Repo(".") as repo:
            ran = repo.reproduce(targets=[_target(run, name)], single_item=True)  # pyright: ignore[reportCallIssue] — bound at import
    except DvcException as error:
        cause = error.__cause__ or error
        if isinstance(cause, StageCmdFailedError):
            if str(cause).endswith(f"exited with {EXIT_CODE_STOPPED}"):
                stop()  # Ctrl-C, which DVC lets only the stage feel
            raise StageFailedError from error
        raise ConfigError(f"expected DVC to run {name} of {run.name}, found {cause}") from error
    if not ran:
        log.info("%s: nothing changed.", name)


@contextmanager
def opened() -> Generator[Any]:
    """The project as DVC sees it.

    Raises:
        ConfigError: DVC refuses something.
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
    """Keep what DVC says beside a stage's own lines to warnings, each told once, by DVC's own handler."""
    dvc = logging.getLogger("dvc")
    dvc.setLevel(logging.WARNING)  # its hints on git
    dvc.propagate = False
    logging.getLogger("dvc.output").setLevel(logging.ERROR)  # "… is empty": a split without rows, which `data` tells


def stop(*_: object) -> NoReturn:
    """End this process at Ctrl-C with one sentence.

    At once: Prefect would tell its server, which the same Ctrl-C has ended, again and again for minutes.
    """
    print("gradus: stopped; the same command goes on from the last finished stage.", file=sys.stderr, flush=True)
    os._exit(EXIT_CODE_STOPPED)


def unchanged(run: Run, names: list[str]) -> bool:
    """Whether none of these stages has anything to do."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(".") as repo:
            return not repo.status(targets=[_target(run, name) for name in names])
    except DvcException:  # what a stage reads is not there yet
        return False


def stale(run: Run, stages: Sequence[StageNode]) -> list[str]:
    """The names of stages that have something to do: what they read or left changed, or a stage before them has."""
    changed = {node.name for node in stages if not unchanged(run, [node.name])}
    return following(stages, changed)


def following(stages: Sequence[StageNode], changed: Collection[str]) -> list[str]:
    """The names of stages that changed, or that read what one of these leaves, in their order."""
    names, made = list[str](), set[Path]()
    for node in stages:
        if node.name in changed or any(_feeds(out, Path(dep)) for out in made for dep in node.deps):
            names.append(node.name)
            made |= {Path(out) for out in node.outs}
    return names


def _feeds(out: Path, dep: Path) -> bool:
    """Whether what a stage leaves is, lies in, or holds what another reads."""
    return out == dep or out in dep.parents or dep in out.parents


def _target(run: Run, name: str) -> str:
    """A stage as DVC finds it."""
    return f"{RUNS / run.name / 'dvc.yaml'}:{name}"
