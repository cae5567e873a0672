"""A project is backed up to one file and restored in another folder, with the first one gone."""

import errno
import gzip
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from components.data.harvest import Harvested
from components.data.versions import new_version
from components.errors import ConfigError, DataError
from components.records import Example
from components.stages.backup import backup, restore
from tests.components.data.test_versions import GIT, run

IGNORED = "__pycache__/\n.env\n.venv/\n/state/\n/data/*\n!/data/*/\n/data/*/*\n!/data/*/harvest/\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project after a retraining, with a database, a spool, and many files that can be made again."""
    folder = tmp_path / "a project"
    files = {
        ".gitignore": IGNORED,
        "params/workloads/shop.yaml": "name: shop\n",
        "data/shop/orders.csv": "text\nhello\n",
        "state/lake/traces/a.parquet": "rows",
        "state/spool/shop/1": "line",
        "state/logs/serve.log": "words",
        "state/up/logins.json": "secret",
        "state/training/run/checkpoint": "large",
        ".env": "OPENAI_API_KEY=secret",
        ".venv/bin/python": "binary",
        "components/__pycache__/x.pyc": "cache",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    run(folder, *GIT, "init", "--quiet")
    run(folder, sys.executable, "-m", "dvc", "init", "--quiet")
    secret = "['remote \"store\"']\n    url = ssh://somewhere\n    password = secret\n"
    (folder / ".dvc/config.local").write_text(secret, encoding="utf-8")
    run(folder, *GIT, "add", ".gitignore", "params", ".dvc/config", ".dvc/.gitignore", ".dvcignore")
    run(folder, *GIT, "commit", "--quiet", "-m", "A project")
    example = Example(id="a", input={"text": "a"}, demonstration="{}", reference="{}", group="a")
    new_version(folder, "shop", [Harvested(example=example, split="train", source="corrected")], "one")
    (folder / "params/workloads/shop.yaml").write_text("name: shop  # changed since\n", encoding="utf-8")
    with closing(sqlite3.connect(folder / "state/mlflow.db")) as database, database:
        database.execute("CREATE TABLE numbers (n)")
        database.executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in range(1000)])
    return folder


def rows(project: Path) -> int:
    with closing(sqlite3.connect(project / "state/mlflow.db")) as database:
        return int(database.execute("SELECT count(*) FROM numbers").fetchone()[0])


def test_a_restored_project_has_everything_that_cannot_be_made_again(project: Path, tmp_path: Path) -> None:
    file, again = tmp_path / "kept.tar.gz", tmp_path / "restored" / "here"
    head = run(project, "git", "rev-parse", "HEAD", "retrain/shop/one")
    backup(project, file)
    assert file.stat().st_mode & 0o777 == 0o600
    shutil.rmtree(project)
    restore(file, again)
    assert (again / "state/lake/traces/a.parquet").read_text() == "rows"
    assert (again / "state/spool/shop/1").read_text() == "line"
    assert (again / "data/shop/orders.csv").read_text() == "text\nhello\n"
    assert rows(again) == 1000
    assert run(again, "git", "rev-parse", "HEAD", "retrain/shop/one") == head
    assert run(again, "git", "status", "--porcelain") == "M params/workloads/shop.yaml"
    for left_out in ("state/logs", "state/up", "state/training", ".env", ".venv", ".dvc/config.local", "components"):
        assert not (again / left_out).exists()
    run(again, *GIT, "checkout", "--quiet", "--force", "retrain/shop/one")
    run(again, sys.executable, "-m", "dvc", "checkout", "--quiet", "data/shop/harvest/one.jsonl.dvc")
    assert "corrected" in (again / "data/shop/harvest/one.jsonl").read_text()


def test_folders_that_are_links_come_with_what_they_lead_to(
    project: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, again, disk = tmp_path / "kept.tar.gz", tmp_path / "again", tmp_path / "disk"
    disk.mkdir()
    for name in ("state", "data"):
        shutil.move(project / name, disk / name)
        (project / name).symlink_to(disk / name)
    for name, to in {"again": project, "up": tmp_path, "lost": tmp_path / "nowhere", "dvc": project / ".dvc"}.items():
        (project / "params" / name).symlink_to(to)
    with caplog.at_level(logging.WARNING):
        manifest = backup(project, file)
    shutil.rmtree(project)
    shutil.rmtree(disk)
    restore(file, again)
    assert (again / "state/lake/traces/a.parquet").read_text() == "rows"
    assert (again / "data/shop/orders.csv").read_text() == "text\nhello\n"
    assert rows(again) == 1000
    for left_out in ("state/logs", "state/up", "state/training"):
        assert not (again / left_out).exists()
    # Secrets do not come in by another name; links that never end, or lead to nothing, are named.
    assert {name for name in manifest.files if name.startswith("params/dvc/")} >= {"params/dvc/config"}
    assert not [name for name in manifest.files if name.startswith(("params/again", "params/up")) or "local" in name]
    told = {record.getMessage().split()[0] for record in caplog.records}
    assert told == {"params/again", "params/up", "params/lost"}


def test_secrets_of_any_folder_are_left_out(project: Path, tmp_path: Path) -> None:
    secret = (".env.local", ".netrc", ".pgpass", "infra/.env", "infra/kubeconfig", "infra/k8s/prod.kubeconfig")
    kept = (".env.example", "infra/kubeconfig.py", "params/env.yaml")
    for name in (*secret, *kept):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("words", encoding="utf-8")
    (project / "params" / "named").symlink_to(project / ".netrc")
    files = backup(project, tmp_path / "kept.tar.gz").files.keys()
    assert files.isdisjoint({*secret, "params/named"}) and {*kept} <= files


def test_a_database_written_to_during_a_backup_is_whole(project: Path, tmp_path: Path) -> None:
    ended = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(project / "state/mlflow.db", timeout=30)) as database:
            while not ended.is_set():
                with database:  # ten at once, or none
                    database.executemany("INSERT INTO numbers VALUES (?)", [(n,) for n in range(10)])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            backup(project, tmp_path / f"{number}.tar.gz")
    finally:
        ended.set()
        writer.join()
    for number in range(3):
        again = tmp_path / f"restored{number}"
        restore(tmp_path / f"{number}.tar.gz", again)
        assert rows(again) % 10 == 0
        with closing(sqlite3.connect(again / "state/mlflow.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize("keep", [slice(16), slice(7_000)], ids=["nothing behind its first bytes", "cut"])
def test_a_damaged_database_is_kept_as_it_is_and_named(
    project: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, keep: slice
) -> None:
    damaged = (project / "state/mlflow.db").read_bytes()[keep]
    (project / "data/shop/old.db").write_bytes(damaged)
    with caplog.at_level(logging.WARNING):
        backup(project, tmp_path / "kept.tar.gz")
    restore(tmp_path / "kept.tar.gz", tmp_path / "again")
    assert (tmp_path / "again/data/shop/old.db").read_bytes() == damaged and rows(tmp_path / "again") == 1000
    assert [f"{project}/data/shop/old.db is in the backup as it is" in line for line in caplog.messages] == [True]


def test_a_database_that_a_process_keeps_to_itself_is_named_in_time(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.stages.backup.LOCKED_S", 0.1)
    with closing(sqlite3.connect(project / "state/mlflow.db", isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ConfigError, match=r"found database is locked for more than 0\.1 s \(.*state/mlflow\.db\)"):
            backup(project, tmp_path / "kept.tar.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["a project"]


def test_a_repository_without_a_commit_is_backed_up_as_none(project: Path, tmp_path: Path) -> None:
    shutil.rmtree(project / ".git")
    run(project, *GIT, "init", "--quiet")
    backup(project, tmp_path / "kept.tar.gz")
    assert restore(tmp_path / "kept.tar.gz", tmp_path / "again").head == ""
    assert rows(tmp_path / "again") == 1000 and not (tmp_path / "again/.git").exists()


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP])
def test_a_disk_without_hard_links_holds_a_backup_and_nothing_is_overwritten_there(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    file, meanwhile = tmp_path / "kept.tar.gz", [False]

    def refused(*_: Any) -> None:
        if meanwhile[0]:
            file.write_text("another's", encoding="utf-8")
        raise OSError(number, "no hard links here")

    monkeypatch.setattr(os, "link", refused)
    backup(project, file)
    restore(file, tmp_path / "again")
    assert rows(tmp_path / "again") == 1000
    file.unlink()
    meanwhile[0] = True
    with pytest.raises(ConfigError, match="expected a file that can be written"):
        backup(project, file)
    assert file.read_text(encoding="utf-8") == "another's"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a project", "again", "kept.tar.gz"]


def test_nothing_is_overwritten(project: Path, tmp_path: Path) -> None:
    file = tmp_path / "kept.tar.gz"
    backup(project, file)
    before = file.read_bytes()
    with pytest.raises(ConfigError, match="expected a new file for the backup"):
        backup(project, file)
    with pytest.raises(ConfigError, match="expected a new or empty folder"):
        restore(file, project)
    assert file.read_bytes() == before and rows(project) == 1000


@pytest.mark.parametrize("harm", ["cut", "another byte", "no archive", "one file more", "one file less"])
def test_an_incomplete_backup_leaves_nothing(project: Path, tmp_path: Path, harm: str) -> None:
    file, again = tmp_path / "kept.tar.gz", tmp_path / "again"
    backup(project, file)
    raw = bytearray(gzip.decompress(file.read_bytes()))
    match harm:
        case "cut":
            file.write_bytes(file.read_bytes()[:-2000])
        case "another byte":
            raw[raw.index(b"text\nhello\n")] ^= 1
            file.write_bytes(gzip.compress(bytes(raw)))
        case "no archive":
            file.write_bytes(b"a letter")
        case _:
            harmed(file, more=harm == "one file more")
    with pytest.raises(DataError, match="expected"):
        restore(file, again)
    assert not again.exists() and {path.name for path in tmp_path.iterdir()} <= {"a project", "kept.tar.gz", "unpacked"}


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
@pytest.mark.parametrize("name", ["../out", "/tmp/gradus-out", "components/here"])
def test_a_foreign_archive_cannot_write_outside_of_the_folder(tmp_path: Path, name: str, kind: bytes) -> None:
    file, again = tmp_path / "kept.tar.gz", tmp_path / "again"
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "/etc/passwd"
    with tarfile.open(file, "w:gz") as archive:
        archive.addfile(member)
    with pytest.raises(DataError, match="expected"):
        restore(file, again)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.tar.gz"]
    assert not Path("/tmp/gradus-out").exists()


def harmed(file: Path, more: bool) -> None:
    """The archive with an unlisted file, or without a listed one."""
    folder = file.with_name("unpacked")
    folder.mkdir()
    subprocess.run(["tar", "-xzf", file, "-C", folder], check=True)
    if more:
        (folder / "components").mkdir()
        (folder / "components" / "added.py").write_text("print()")
    else:
        (folder / "state/spool/shop/1").unlink()
    file.unlink()
    with tarfile.open(file, "w:gz") as archive:
        archive.add(folder, ".")


def test_a_backup_in_the_project_does_not_hold_itself_and_one_that_cannot_be_written_leaves_nothing(
    project: Path,
) -> None:
    manifest = backup(project, project / "kept.tar.gz")
    assert not [name for name in manifest.files if name.startswith("kept")]
    with pytest.raises(ConfigError, match="expected a file that can be written"):
        backup(project, project / "nowhere" / "kept.tar.gz")
    assert sorted(path.name for path in project.glob("[a-z]*")) == [
        "components", "data", "kept.tar.gz", "params", "state",
    ]  # fmt: skip
