"""A stage in a pod: which failures are retried, and what continues while the remote is away."""

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.exceptions import DownloadError, DvcException, FileTransferError, UploadError
from dvc.repo import Repo

from components.errors import ConfigError
from components.stages.carrying import Remote, attach
from components.stages.graph import nodes
from components.stages.pod import reproduced, saving
from components.stages.run import Run


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Any]:
    attach(tmp_path / "project", json.dumps({"url": str(tmp_path / "remote")}))
    with Repo(str(tmp_path / "project")) as opened:
        yield opened


@pytest.mark.parametrize("step", ["pull", "reproduce", "push"])
@pytest.mark.parametrize("kind", [DownloadError, UploadError])
def test_a_failed_transfer_is_left_to_another_attempt(
    repo: Any, monkeypatch: pytest.MonkeyPatch, step: str, kind: type[FileTransferError]
) -> None:
    with pytest.raises(kind):
        _with_a_fault(repo, monkeypatch, step, kind(3))


def test_a_transfer_that_ends_a_stage_is_no_refusal_either(repo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    failure = DvcException("failed to reproduce")
    failure.__cause__ = DownloadError(1)
    with pytest.raises(DownloadError):
        _with_a_fault(repo, monkeypatch, "reproduce", failure)


def test_a_refusal_of_dvc_is_final(repo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="expected DVC to run"):
        _with_a_fault(repo, monkeypatch, "reproduce", DvcException("a stage that is none"))


def _with_a_fault(repo: Any, monkeypatch: pytest.MonkeyPatch, step: str, fault: Exception) -> None:
    """Run a stage whose `step` fails; the others do nothing."""

    def fail(**_: Any) -> None:
        raise fault

    for name in ("pull", "reproduce", "push"):
        monkeypatch.setattr(repo, name, fail if name == step else lambda **_: None)
    run = Run.of("triage", "nano")
    node = next(each for each in nodes(run) if each.name == "audit")  # reads what the stage `data` leaves
    reproduced(repo, run, node, "key")


def test_a_remote_that_is_away_for_a_moment_ends_no_training_and_checkpoints_follow(
    repo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("components.stages.pod.EVERY_S", 0.02)
    remote, work = Remote.of(repo), tmp_path / "work"
    troubles: list[Exception] = [OSError("the remote is away"), RuntimeError("what a driver raises")]
    kept = remote.fs.put_file

    def put(path: str, to: str) -> None:
        if troubles:
            raise troubles.pop()
        kept(path, to)

    monkeypatch.setattr(remote.fs, "put_file", put)
    with caplog.at_level(logging.ERROR), saving(remote, work, "key"):
        work.mkdir()
        (work / "state.json").write_text("{}", encoding="utf-8")
        ends = time.monotonic() + 30
        while not list((tmp_path / "remote").rglob("state.json")) and time.monotonic() < ends:
            time.sleep(0.02)
    assert [path.read_text(encoding="utf-8") for path in (tmp_path / "remote").rglob("state.json")] == ["{}"]
    assert "the remote is away" in caplog.text and "what a driver raises" in caplog.text
