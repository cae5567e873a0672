"""What git knows of a workload's earlier harvests: which a commit has, and which of them a new data version keeps."""

import logging
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from components.data.harvest import HARVEST
from components.errors import DataError

log = logging.getLogger(__name__)


def git(folder: Path, *words: str, options: Sequence[str] = ()) -> str:
    """The output of a git command in a folder; `options` are git's own, which stand before the command.

    It takes no lock that it can do without: killed, it would leave one that keeps people from committing.

    Raises:
        DataError: It fails.
    """
    command = ["git", "--no-optional-locks", *options, *words]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        output = str(getattr(error, "stderr", "") or error).strip().splitlines()
        raise DataError(
            f"expected `git {words[0]}` to succeed, found {output[-1] if output else error} ({folder})"
        ) from error
    return done.stdout.rstrip()


def named(project: Path, workload: str, commit: str) -> list[str]:
    """The harvests that a workload's settings name at a commit."""
    return [str(name) for name in _settings(project, workload, commit).get("harvest") or ()]


def others_of(project: Path, workload: str, start: str, earlier: str) -> list[str]:
    """The harvests of the champion's data version that a version which starts elsewhere does not begin with."""
    own = named(project, workload, start)
    return [name for name in named(project, workload, earlier) if name not in own] if earlier else []


def to_carry(project: Path, workload: str, start: str, earlier: str) -> list[str]:
    """Which of them such a version has all the same: not what the project once had and dropped.

    None, with a warning, if answers or inputs have another form by now, or if the project has further harvests, which
    may have the same examples.
    """
    others = [name for name in others_of(project, workload, start, earlier) if not _had(project, workload, name)]
    if not others:
        return []
    further = set(named(project, workload, start)).difference(named(project, workload, earlier))
    if further or _form(project, workload, start) != _form(project, workload, earlier):
        why = f"the project has {min(further)} besides" if further else "the workload's output or inputs have changed"
        log.warning(
            "%s: left out %s, from which the champion learnt: %s; merge %s to have them all the same.",
            workload, ", ".join(others), why, _branch(project, earlier),
        )  # fmt: skip
        return []
    log.info("%s: carried over from the champion's data version: %s.", workload, ", ".join(others))
    return others


def _settings(project: Path, workload: str, commit: str) -> dict[str, Any]:
    """A workload's settings at a commit; empty if git does not have them."""
    try:
        text = git(project, "show", f"{commit}:./params/workloads/{workload}.yaml")
    except DataError:
        return {}
    return yaml.safe_load(text) or {}


def _form(project: Path, workload: str, commit: str) -> tuple[Any, ...]:
    """What decides, in a workload's settings at a commit, which form its answers and inputs have."""
    settings = _settings(project, workload, commit)
    source = settings.get("source") or {}
    return settings.get("output"), source.get("columns"), source.get("generator")


def _had(project: Path, workload: str, harvest: str) -> bool:
    """Whether the project's history has a harvest, as after a merge."""
    pointer = f"data/{workload}/{HARVEST}/{harvest}.dvc"
    return bool(git(project, "rev-list", "--full-history", "--max-count=1", "HEAD", "--", pointer))


def _branch(project: Path, commit: str) -> str:
    """The local branch of a commit; the commit if it has none."""
    form = ("--count=1", "--format=%(refname:short)", f"--points-at={commit}")
    return git(project, "for-each-ref", *form, "refs/heads/") or commit
