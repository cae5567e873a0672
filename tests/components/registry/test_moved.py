"""A record that was copied or moved reads and writes beside itself, never in the folder that it came from."""

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from components.registry.moved import relocate

ROOT = Path(__file__).resolve().parents[3]
# A program of its own: MLflow keeps open what it opened once.
PROGRAM = """
import sys
from pathlib import Path
from components.records import Message, Rung, Verdict
from components.registry import Candidate, Check, open_run, reference_of, register_winner, registered, tracking_uri
from components.registry.store import connect

def make(name, answer):
    model = Path(name); model.mkdir(); (model / "answer.txt").write_text(answer)
    verdict = Verdict(champion="loose", challenger="schema", decision="promoted", reasons=("better",))
    rung = Rung(name="schema", method="prompt", makes="prompt", prompt="schema", params_hash="p", data_hash="d",
                seed=1, git_commit="c", seconds=1.0)
    check = Check([([Message(role="user", content="?")], answer)],
                  lambda folder, asked: [(folder / "answer.txt").read_text() for _ in asked])
    with open_run("shop-nano", "gate", {}) as run:
        (model / "reference.jsonl").write_text("")
        run.artifact(model / "reference.jsonl", "reference")
        register_winner(Candidate("shop", rung, model, verdict, run.run_id), check)

if sys.argv[1:]:
    make(*sys.argv[1:])
version = registered("shop")
print(version.folder)
print((version.folder / "answer.txt").read_text())
print(len(reference_of(version)))
"""


def printed(project: Path, *arguments: str) -> list[str]:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_a_copied_project_reads_and_writes_in_its_own_folder(tmp_path: Path) -> None:
    project, copy = tmp_path / "the project", tmp_path / "a copy with ä, 50%25 # ' \" and ;"
    project.mkdir()
    printed(project, "first", "one")
    shutil.copytree(project, copy)
    before = sorted(project.rglob("*"))
    folder, answer, rows = printed(copy)
    assert Path(folder).is_relative_to(copy) and (answer, rows) == ("one", "0")
    folder, answer, _ = printed(copy, "second", "two")
    assert Path(folder).is_relative_to(copy) and answer == "two"
    assert sorted(project.rglob("*")) == before
    assert printed(project)[1] == "one"
    shutil.rmtree(project)
    assert printed(copy)[1] == "two"
    assert str(project) not in dump(copy)


# As far as MLflow's tables have addresses.
TABLES = """
CREATE TABLE experiments (artifact_location);
CREATE TABLE runs (artifact_uri);
CREATE TABLE model_versions (source, storage_location);
CREATE TABLE logged_models (artifact_location);
CREATE TABLE trace_tags (key, value);
"""


@pytest.mark.parametrize(
    ("before", "moves"),
    [
        ("s3://team/mlflow-artifacts", False), ("gs://team/mlflow-artifacts", False),
        ("https://host/mlflow-artifacts", False), ("file:///elsewhere/mlflow-artifacts", True),
        ("/elsewhere/mlflow-artifacts", True), ("/else:where/mlflow-artifacts", True),
    ],
)  # fmt: skip
def test_only_addresses_on_this_machine_follow_a_record_that_moved(tmp_path: Path, before: str, moves: bool) -> None:
    database, here = tmp_path / "mlflow.db", tmp_path / "mlflow-artifacts"
    with closing(sqlite3.connect(database)) as made, made:
        made.executescript(TABLES)
        made.execute("INSERT INTO experiments VALUES (?)", (f"{before}/shop",))
        made.execute("INSERT INTO runs VALUES (?)", (f"{before}/shop/1/artifacts",))
        made.execute("INSERT INTO model_versions VALUES (?, NULL)", (f"{before}/shop/1/artifacts/model",))
    assert relocate(database, here) == moves
    after = before if not moves else here.as_uri() if before.startswith("file:") else str(here)
    with closing(sqlite3.connect(database)) as opened:
        assert opened.execute("SELECT artifact_location FROM experiments").fetchall() == [(f"{after}/shop",)]
        assert opened.execute("SELECT artifact_uri FROM runs").fetchall() == [(f"{after}/shop/1/artifacts",)]
        assert opened.execute("SELECT source FROM model_versions").fetchall() == [(f"{after}/shop/1/artifacts/model",)]


def dump(project: Path) -> str:
    """Everything that stands in the record, but where MLflow's default experiment, which nothing uses, would lie."""
    database = sqlite3.connect(project / "state" / "mlflow.db")
    lines = "\n".join(line for line in database.iterdump() if "/mlruns/0" not in line)
    database.close()
    return lines
