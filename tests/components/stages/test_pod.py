"""A stage in a pod: what it finds there, which failures are retried, and what continues while the remote is away."""

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.exceptions import DownloadError, DvcException, FileTransferError, UploadError
from dvc.repo import Repo

from components.errors import ConfigError
from components.stages.carrying import Remote, attach, digest_of, packed, travelling, unpack
from components.stages.graph import nodes
from components.stages.pod import reproduced, saving
from components.stages.run import LADDERS, WORKLOADS, Run

ROOT = Path(__file__).resolve().parents[3]
OWN = {
    "pod_sums/__init__.py": "from pod_units import Scorer\n\n\nclass Adds(Scorer):\n    pass\n",
    "pod_units.py": "class Scorer:\n    score = print\n\n    def __init__(self, schema):\n        pass\n",
    "pod_orders/__init__.py": "from .texts import generate\n",
    "pod_orders/texts.py": "from components.workloads.triage import generate\n",
    "pod_method.py": (
        "from components.methods.classical import Classical\n\n\nclass Own(Classical):\n    label = 'Own'\n"
    ),
}
READ = "from components.stages.run import Run; print(Run.load('triage-nano-own').name)"


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


def change(path: Path, changes: dict[str, Any]) -> None:
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump(settings | changes), encoding="utf-8")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A run of a project without Gradus's code in it, whose scorer, generator and method are its own."""
    shutil.copytree(ROOT / "params", tmp_path / "project" / "params")
    monkeypatch.chdir(tmp_path / "project")
    for name, code in OWN.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(Path.cwd())
    triage = yaml.safe_load((WORKLOADS / "triage.yaml").read_text(encoding="utf-8"))
    source = {**triage["source"], "generator": "pod_orders:generate"}
    change(WORKLOADS / "triage.yaml", {"source": source, "scorer": {"weighted": {"pod_sums:Adds": 1.0}}})
    rungs = {"classical": {"method": "classical"}, "own": {"method": "pod_method:Own"}}
    (LADDERS / "own.yaml").write_text(yaml.safe_dump({"rungs": rungs}), encoding="utf-8")
    yield Run.of("triage", "nano", "own")
    for name in [name for name in sys.modules if name.partition(".")[0].startswith("pod_")]:
        del sys.modules[name]


def test_a_pod_reads_the_settings_of_a_run_whose_code_is_the_projects_own(own: Run, tmp_path: Path) -> None:
    audit = next(node for node in nodes(own) if node.name == "audit")  # which reads none of that code
    content = packed(travelling(own, audit))
    unpack(content, tmp_path / "pod", digest_of(content))
    process = subprocess.run(
        [sys.executable, "-c", READ], cwd=tmp_path / "pod", env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.stdout == "triage-nano-own\n", process.stderr
