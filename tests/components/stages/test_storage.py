"""Storage settings: what is refused, and what processes find in their environment."""

import configparser
import os
from pathlib import Path

import pytest

from components.errors import ConfigError, ServiceError
from components.params import StorageParams, load
from components.stages.storage import apply, attach_data, refuse_absent, storage, variables
from tests.shared_storage import free_port, needs_postgres, needs_s3

ROOT = Path(__file__).resolve().parents[3]


def project(folder: Path, text: str) -> Path:
    (folder / "params").mkdir(parents=True)
    (folder / ".dvc").mkdir()
    (folder / "params" / "storage.yaml").write_text(text, encoding="utf-8")
    return folder


def test_the_shipped_settings_name_no_storage_and_change_nothing(tmp_path: Path) -> None:
    assert storage(ROOT) == StorageParams() == storage(tmp_path)
    assert variables(storage(ROOT)) == {}


def test_the_settings_become_variables_of_every_process(tmp_path: Path) -> None:
    folder = project(tmp_path, (
        "artifacts: s3://team/mlflow/\nlake: s3://team/lake\nrecord: postgresql://me@db.example:5433/mlflow\n"
        "flows: postgres://me@db.example/prefect\ns3: {endpoint: 'http://s3.example:9000/', region: eu-west-1}\n"
        "ray: {address: 'head.example:6379', rows: 5000}\n"
    ))  # fmt: skip
    assert variables(storage(folder)) == {
        "GRADUS_ARTIFACTS": "s3://team/mlflow",
        "GRADUS_LAKE": "s3://team/lake",
        "GRADUS_RECORD": "postgresql+psycopg2://me@db.example:5433/mlflow",
        "GRADUS_FLOWS": "postgresql+asyncpg://me@db.example/prefect",
        "AWS_ENDPOINT_URL_S3": "http://s3.example:9000",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "GRADUS_RAY": "head.example:6379",
        "GRADUS_RAY_ROWS": "5000",
    }


def test_variables_that_a_person_has_set_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADUS_LAKE", "s3://mine/lake")
    monkeypatch.delenv("GRADUS_ARTIFACTS", raising=False)
    apply(project(tmp_path, "lake: s3://team/lake\nartifacts: s3://team/mlflow\n"))
    assert (os.environ["GRADUS_LAKE"], os.environ.pop("GRADUS_ARTIFACTS")) == ("s3://mine/lake", "s3://team/mlflow")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("record: postgresql://me:hunter22@db/mlflow", "record: expected no password"),
        ("flows: 'postgresql://me:@db/prefect'", "flows: expected no password"),
        ("record: postgresql://me@db", "record: expected postgresql://USER@HOST"),
        ("record: postgresql://db/mlflow", "record: expected postgresql://USER@HOST"),
        ("record: sqlite:///mlflow.db", "record: expected postgresql://USER@HOST"),
        ("record: postgresql://me@db:many/mlflow", "record: port could not be cast"),
        ("record: postgresql://me@db/mlflow?password=hunter22", "record: expected nothing behind the database"),
        ("record: postgresql://me@db/mlflow/more", "record: expected nothing behind the database"),
        ("lake: s3://team", "lake: expected s3://BUCKET/PATH"),
        ("lake: s3://team/", "lake: expected s3://BUCKET/PATH"),
        ("data: /mnt/team", "data: expected s3://BUCKET/PATH"),
        ("data: s3://team/../other", "data: expected s3://BUCKET/PATH without"),
        ("data: s3://key:hunter22@team/data", "data: expected s3://BUCKET/PATH"),
        ("lake: gs://team/lake", "lake: expected s3://BUCKET/PATH"),
        ("s3: {endpoint: 'http://key:hunter22@s3.example'}", "s3.endpoint: expected no login"),
        ("s3: {endpoint: s3.example}", "s3.endpoint: expected https://HOST"),
        ("s3: {region: 'eu west'}", "s3.region"),
        ("s3: {access_key: x}", "s3.access_key: extra"),
        ("records: null", "records: extra"),
        ("ray: {address: head.example}", "ray.address"),
        ("ray: {address: 'http://head.example:6379'}", "ray.address"),
        ("ray: {rows: 0}", "ray.rows"),
    ],
)
def test_invalid_addresses_and_those_with_a_secret_are_refused_without_repeating_it(
    tmp_path: Path, setting: str, message: str
) -> None:
    folder = project(tmp_path, setting + "\n")
    with pytest.raises(ConfigError) as refused:
        storage(folder)
    assert str(refused.value).startswith(message) and "hunter22" not in str(refused.value)


def remote(folder: Path) -> tuple[str | None, dict[str, dict[str, str]]]:
    """DVC's default remote and its settings."""
    parser = configparser.ConfigParser()
    parser.read(folder / ".dvc" / "config.local")
    known = {name.strip("'"): dict(parser[name]) for name in parser.sections() if name != "core"}
    return parser.get("core", "remote", fallback=None), known


def test_dvcs_remote_follows_the_settings_and_others_stay(tmp_path: Path) -> None:
    folder = project(tmp_path, "data: s3://team/dvc\ns3: {endpoint: 'http://s3.example'}\n")
    (folder / ".dvc" / "config.local").write_text("['remote \"mine\"']\n    url = /elsewhere\n", encoding="utf-8")
    for _ in range(2):
        attach_data(folder, storage(folder))
        name, known = remote(folder)
        assert name == "storage" and known['remote "mine"'] == {"url": "/elsewhere"}
        assert known['remote "storage"'] == {"url": "s3://team/dvc", "endpointurl": "http://s3.example"}
    attach_data(folder, StorageParams())
    assert remote(folder) == (None, {'remote "mine"': {"url": "/elsewhere"}})


def test_without_settings_dvcs_own_are_not_touched(tmp_path: Path) -> None:
    folder = project(tmp_path, "data: null\n")
    attach_data(folder, storage(folder))
    assert not (folder / ".dvc" / "config.local").exists()


def test_unchanged_settings_are_not_written_again(tmp_path: Path) -> None:
    folder = project(tmp_path, "data: s3://team/dvc\n")
    attach_data(folder, storage(folder))
    before = (folder / ".dvc" / "config.local").stat().st_mtime_ns
    attach_data(folder, storage(folder))  # every command does, while stages of others read it
    assert (folder / ".dvc" / "config.local").stat().st_mtime_ns == before
    attach_data(folder, StorageParams.model_validate({"data": "s3://team/other"}))
    assert remote(folder)[1]['remote "storage"'] == {"url": "s3://team/other"}


@needs_postgres
@pytest.mark.parametrize("name", ["MLFLOW_TRACKING_URI", "GRADUS_RECORD"])
def test_a_database_is_not_checked_if_the_environment_names_another(tmp_path: Path, name: str) -> None:
    folder = project(tmp_path, f"record: postgresql://me@127.0.0.1:{free_port()}/mlflow\n")
    refuse_absent(storage(folder), {name: "http://mlflow.example"})
    with pytest.raises(ServiceError, match=r"storage.yaml, record"):
        refuse_absent(storage(folder), variables(storage(folder)))


def test_a_bucket_is_not_checked_if_the_environment_names_another(tmp_path: Path) -> None:
    refuse_absent(storage(project(tmp_path, "lake: s3://team/lake\n")), {"GRADUS_LAKE": "s3://mine/lake"})


@needs_postgres
def test_an_unreachable_database_is_reported_in_one_sentence(tmp_path: Path) -> None:
    folder = project(tmp_path, f"flows: postgresql://me@127.0.0.1:{free_port()}/prefect\n")
    with pytest.raises(ServiceError, match=r"expected PostgreSQL at postgresql://me@127.*refused.*storage.yaml, flows"):
        refuse_absent(storage(folder), {})


@needs_s3
def test_an_unreachable_bucket_is_reported_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    folder = project(tmp_path, f"lake: s3://team/lake\ns3: {{endpoint: '{endpoint}'}}\n")
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", **variables(storage(folder))}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ServiceError, match=rf"expected s3://team/lake at {endpoint}, found Could not connect.*lake\)"):
        refuse_absent(load(folder / "params/storage.yaml", StorageParams), os.environ)
