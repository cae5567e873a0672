"""Branches of retrainings, and what DVC keeps for them: which may go, and how they go."""

from collections.abc import Collection
from pathlib import Path

from components.data.versions import git

PREFIX = "retrain"


def old_branches(project: Path, workload: str, newest: int, needed: Collection[str] = ()) -> list[str]:
    """Branches of a workload's retrainings but for the newest so many.

    One that is checked out somewhere stays, and so does one whose commit is `needed`.

    Raises:
        DataError: The project is no git repository.
    """
    form = "%(refname:short) %(objectname) %(worktreepath)"
    lines = git(project, "for-each-ref", "--sort=-refname", f"--format={form}", f"refs/heads/{PREFIX}/{workload}/")
    found = [line.split() for line in lines.splitlines()]
    return [branch for branch, commit, *place in found[newest:] if not place and commit not in needed]


def remove_branch(project: Path, branch: str) -> None:
    """Remove a branch here; where it was pushed to, it stays."""
    git(project, "branch", "--quiet", "-D", branch)


def drop_unnamed(project: Path) -> None:
    """Remove from DVC's cache what neither this folder nor a branch nor a tag names."""
    from dvc.repo import Repo

    with Repo(str(project)) as repo:
        repo.gc(workspace=True, all_branches=True, all_tags=True)
