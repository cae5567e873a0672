"""A record is whole or not there: a process that is killed while it makes one does not keep others from making it."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.registry.created import create
from components.registry.store import connect

ROOT = Path(__file__).resolve().parents[3]
KILLED = """
import os, signal
from sqlalchemy import event
from sqlalchemy.engine import Engine
from components.registry.store import connect

left = [600]

@event.listens_for(Engine, "after_cursor_execute")
def count(*_):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)

connect()
"""


@pytest.mark.slow  # MLflow makes 60 tables, twice
def test_a_kill_while_a_record_is_created_leaves_room_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After 600 of the 1,700 statements there are tables that the next process would make a second time."""
    database = tmp_path / "state" / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{database}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, check=False).returncode == -signal.SIGKILL
    assert not database.exists()
    assert connect().get_experiment_by_name("Default") is not None
    assert sorted(path.suffix for path in database.parent.iterdir() if path.is_file()) == [".db"]


def test_a_record_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    database.write_bytes(b"a record")
    create(database)
    assert database.read_bytes() == b"a record"
    assert os.listdir(tmp_path) == ["mlflow.db"]


class Made:
    """MLflow's client as far as it makes a file; the real one takes seconds."""

    def __init__(self, tracking_uri: str) -> None:
        Path(tracking_uri.removeprefix("sqlite:///")).write_bytes(b"a new record")

    def search_experiments(self, **_: Any) -> None: ...


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_disk_without_hard_links_holds_a_record_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(*_: Any) -> None:
        raise OSError(number, "no hard links here")

    monkeypatch.setattr("mlflow.MlflowClient", Made)
    monkeypatch.setattr(os, "link", refused)
    create(tmp_path / "mlflow.db")
    assert (tmp_path / "mlflow.db").read_bytes() == b"a new record"
    assert os.listdir(tmp_path) == ["mlflow.db"]


def test_a_disk_that_is_full_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("mlflow.MlflowClient", Made)
    monkeypatch.setattr(os, "link", full)
    with pytest.raises(OSError, match="no space"):
        create(tmp_path / "mlflow.db")
    assert os.listdir(tmp_path) == []
