"""Retraining branches and their data in DVC: which can be removed, and how."""

import logging
from collections.abc import Collection
from pathlib import Path

from components.data.versions import cache_folder, git

PREFIX = "retrain"
log = logging.getLogger(__name__)


def old_branches(project: Path, workload: str, newest: int, needed: Collection[str] = ()) -> list[str]:
    """A workload's retraining branches, except the newest ones.

    Branches that are checked out, and those whose commit is `needed`, are kept.

    Raises:
        DataError: The project is not a git repository.
    """
    form = "%(refname:short) %(objectname) %(worktreepath)"
    lines = git(project, "for-each-ref", "--sort=-refname", f"--format={form}", f"refs/heads/{PREFIX}/{workload}/")
    branches = [line.split() for line in lines.splitlines()]
    return [branch for branch, commit, *place in branches[newest:] if not place and commit not in needed]


def remove_branch(project: Path, branch: str) -> None:
    """Remove a local branch; pushed copies are kept."""
    git(project, "branch", "--quiet", "-D", branch)


def drop_unnamed(project: Path) -> None:
    """Remove everything from DVC's cache that this folder, branches and tags do not use.

    A cache elsewhere is left as it is: it may have other projects' data.
    """
    from dvc.repo import Repo

    cache = cache_folder(project).resolve()
    if not cache.is_relative_to(project.resolve()):
        log.warning("Nothing of DVC's cache is removed: it lies outside of the project (%s), for others too.", cache)
        return
    with Repo(str(project)) as repo:
        repo.gc(workspace=True, all_branches=True, all_tags=True)
