"""Retraining branches and their data in DVC: which can be removed, and how."""

from collections.abc import Collection
from pathlib import Path

from components.data.versions import git

PREFIX = "retrain"


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
    """Remove everything from DVC's cache that this folder, branches and tags do not use."""
    from dvc.repo import Repo

    with Repo(str(project)) as repo:
        repo.gc(workspace=True, all_branches=True, all_tags=True)
