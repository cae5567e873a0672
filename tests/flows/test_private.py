"""Only its owner can read what Gradus writes, whoever starts the process and whatever the umask is."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.flows.conftest import RUN, Project


def open_to_others(folder: Path) -> list[str]:
    """Files and folders that group or others may do anything with."""
    return sorted(str(path) for path in folder.rglob("*") if path.lstat().st_mode & 0o077 and not path.is_symlink())


def started(project: Project, *command: str) -> None:
    """A command under a umask that gives everything away."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=project.folder, env=project.environment, umask=0, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_stage_that_dvc_starts_by_hand_writes_for_its_owner_alone(make_project: Callable[[], Project]) -> None:
    project = make_project()
    started(project, "components.stages", "data", RUN)
    assert (project.folder / "state/mlflow.db").is_file()
    assert (project.artifacts / "data/train.jsonl").is_file()
    assert open_to_others(project.folder / "state") == open_to_others(project.folder / "artifacts") == []


def test_a_command_writes_for_its_owner_alone(make_project: Callable[[], Project]) -> None:
    project = make_project()
    rows = "".join(f"sentence number {n} of some customer,{'yes' if n % 3 else 'no'}\n" for n in range(90))
    (project.folder / "own.csv").write_text(f"text,answer\n{rows}", encoding="utf-8")
    started(project, "flows.cli", "init", "own", "--from", "own.csv", "--yes")
    assert (project.folder / "params/workloads/own.yaml").stat().st_mode & 0o077 == 0
    assert open_to_others(project.folder / "params/prompts/own") == []
