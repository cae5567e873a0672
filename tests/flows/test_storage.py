"""Stages, versions and services whose record and files are shared: on PostgreSQL and S3, none of them in the folder."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from components.errors import RegistryError
from components.params import StorageParams
from components.registry import open_run, registered
from components.stages.storage import variables
from tests.components.registry.conftest import register_text
from tests.flows.conftest import Project
from tests.flows.test_cluster import do
from tests.shared_storage import Shared, free_port, needs_postgres, needs_s3, shared_storage

pytestmark = [needs_s3, needs_postgres, pytest.mark.slow, pytest.mark.services]


@pytest.fixture(scope="module")
def shared() -> Generator[Shared]:
    with shared_storage() as made:
        yield made


def given(shared: Shared, project: Project) -> dict[str, str]:
    """The environment of a command: the project's own, and the secrets."""
    return {**project.environment, **shared.secrets}


def test_a_version_is_kept_in_database_and_bucket_and_found_from_another_folder(
    shared: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {**shared.secrets, **variables(StorageParams.model_validate(shared.settings))}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (first := tmp_path / "first").mkdir()
    (second := tmp_path / "second").mkdir()
    monkeypatch.chdir(first)
    champion = register_text("shop", first / "rung", "forty-two")
    assert [key for key in shared.bucket.keys("mlflow/shop/") if key.endswith("/artifacts/model/answer.txt")]
    assert [path.name for path in (first / "state").iterdir()] == ["models"]  # a copy: no database, no artifacts
    monkeypatch.chdir(second)
    assert (registered("shop").folder / "answer.txt").read_text(encoding="utf-8") == "forty-two"
    assert registered("shop").number == champion.version


def test_an_unreachable_bucket_is_reported_as_a_refusal_of_the_record(
    shared: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # MLflow keeps a client for each address that its own variable names.
    away = {"MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}", "AWS_MAX_ATTEMPTS": "1"}
    for name, value in {**shared.secrets, **variables(StorageParams.model_validate(shared.settings)), **away}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("a", encoding="utf-8")
    refused = pytest.raises(RegistryError, match=r"a\.txt to be stored, found .*127\.0\.0\.1")
    with refused, open_run("away", "x", {}) as run:
        run.artifact(tmp_path / "a.txt")


def test_a_stage_records_in_the_database_and_dvcs_remote_is_the_bucket(
    make_project: Callable[[], Project], shared: Shared
) -> None:
    project = make_project()
    shared.settle(project.folder)
    environment = given(shared, project)
    # any command lets DVC know of the bucket
    derived = subprocess.run(
        [sys.executable, "-m", "flows.cli", "graph", "triage"], cwd=project.folder, env=environment, check=False
    )
    assert derived.returncode == 0
    code, said = do(project, environment, "local", "data")
    assert code == 0, said
    assert not (project.folder / "state" / "mlflow.db").exists()
    stages = shared.databases.asked("mlflow", "SELECT DISTINCT value FROM tags WHERE key = 'stage'")
    assert ("data",) in stages
    pushed = [sys.executable, "-m", "dvc", "push", "--run-cache", project.target("data")]
    subprocess.run(pushed, cwd=project.folder, env=environment, check=True)
    assert shared.bucket.keys("dvc/files/md5/") and shared.bucket.keys("dvc/runs/")
    kept = (project.folder / ".dvc" / "config.local").read_text(encoding="utf-8")
    assert not [secret for secret in shared.secrets.values() if secret in kept]


def test_up_keeps_flows_and_record_in_the_databases(
    make_project: Callable[[], Project], shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project()
    shared.settle(project.folder)
    for name, value in given(shared, project).items():
        monkeypatch.setenv(name, value)
    ports = [f"--{name}-port={free_port()}" for name in ("prefect", "mlflow", "serve")]
    up = project.call("flows.cli", "up", "triage", *ports)
    try:
        assert up.returncode == 0, up.stderr
        pools = shared.databases.asked("prefect", "SELECT name FROM work_pool")
        assert ("gradus",) in pools
        assert shared.databases.asked("mlflow", "SELECT count(*) FROM experiments")
        assert not list((project.folder / "state").rglob("*.db"))
    finally:
        project.call("flows.cli", "down")


def test_up_and_run_say_in_one_sentence_that_a_database_is_away(
    make_project: Callable[[], Project], shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project()
    with socket.socket() as taken:  # bound, and nobody answers
        taken.bind(("127.0.0.1", 0))
        away = f"postgresql://gradus@127.0.0.1:{taken.getsockname()[1]}/mlflow"
        (project.folder / "params" / "storage.yaml").write_text(f"record: {away}\n", encoding="utf-8")
        for words in (("run", "triage"), ("up", "triage")):
            refused = project.call("flows.cli", *words)
            assert refused.returncode == 2 and refused.stderr.startswith("gradus: expected PostgreSQL at"), words
    assert os.listdir(project.folder).count("artifacts") == 0
