"""What a run is known by: the hash of its settings, the commit of its code."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.errors import ConfigError
from components.params import GateParams
from components.stages.run import Run, digest, git_commit

ROOT = Path(__file__).resolve().parents[3]


def git(*words: str) -> None:
    settings = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *settings, *words], check=True, capture_output=True)


def test_a_digest_tells_settings_texts_and_their_borders_apart() -> None:
    settings = GateParams(alpha=0.05)
    assert digest(settings, "text", 1) == digest(GateParams(alpha=0.05), "text", 1)
    different = [
        digest(settings, "text", 1), digest(GateParams(alpha=0.01), "text", 1), digest(settings, "texts", 1),
        digest(settings, "text", 2), digest("ab", "c"), digest("a", "bc"),
    ]  # fmt: skip
    assert len(set(different)) == len(different)
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in different)


def test_the_commit_is_marked_where_files_differ_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert git_commit() == "unknown"
    git("init")
    for folder in ("components", "params"):
        Path(folder).mkdir()
    Path("components/code.py").write_text("a = 1\n")
    Path("dvc.lock").write_text("stages: {}\n")
    git("add", ".")
    git("commit", "--message", "First")
    git("tag", "--annotate", "v1", "--message", "A tag")
    clean = git_commit()
    assert re.fullmatch("[0-9a-f]{40}", clean)
    Path("dvc.lock").write_text("what a run has made\n")
    assert git_commit() == clean
    new = Path("params/new.yaml")
    new.write_text("name: new\n")
    assert git_commit() == f"{clean}-dirty"
    new.unlink()
    Path("components/code.py").write_text("a = 2\n")
    assert git_commit() == f"{clean}-dirty"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of this repository, copied; the file that names the runs."""
    shutil.copytree(ROOT / "params", tmp_path / "params")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "params" / "pipeline.yaml"


def change_run(path: Path, **changes: Any) -> None:
    content = yaml.safe_load(path.read_text())
    content["runs"]["triage-nano"].update(changes)
    path.write_text(yaml.safe_dump(content))


def test_a_run_may_train_otherwise_than_its_profile_says(settings: Path) -> None:
    plain = Run.load("triage-nano").profile
    change_run(settings, sft={"epochs": 7}, rl={"steps": 3})
    found = Run.load("triage-nano").profile
    assert (found.sft.epochs, found.rl.steps) == (7, 3)
    assert found.sft.model_copy(update={"epochs": plain.sft.epochs}) == plain.sft


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"sft": {"epoch": 7}}, "runs.triage-nano.sft.epoch: extra inputs are not permitted (params/pipeline.yaml)"),
        ({"rl": {"steps": 0}}, "runs.triage-nano.rl.steps: input should be greater than or equal to 1, found 0"),
        ({"sft": {"max_tokens": 9}}, "runs.triage-nano.sft: max_tokens is the profile's to set"),
    ],
)
def test_a_run_that_changes_what_is_not_there_or_not_its_own_is_refused(
    settings: Path, changes: dict[str, Any], told: str
) -> None:
    change_run(settings, **changes)
    with pytest.raises(ConfigError, match=re.escape(told)):
        Run.load("triage-nano")
