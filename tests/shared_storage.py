"""What several machines share, really there: an S3 service (moto's server) and PostgreSQL, as processes on loopback."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

KEYS = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "a-secret-of-tests", "AWS_DEFAULT_REGION": "us-east-1"}
PASSWORD = "a-password-of-tests"
USER = "gradus"
NOBODY = "nobody"  # PostgreSQL runs as anybody but root


def missing_s3() -> str:
    """Why there can be no S3 service here; empty where there can."""
    lacking = [name for name in ("moto", "flask", "boto3", "s3fs", "upath", "dvc_s3") if find_spec(name) is None]
    return f"needs {', '.join(lacking)}" if lacking else ""


def missing_postgres() -> str:
    """Why there can be no PostgreSQL here; empty where there can."""
    lacking = [name for name in ("initdb", "postgres", "pg_ctl") if shutil.which(name) is None]
    lacking += [name for name in ("psycopg2", "asyncpg") if find_spec(name) is None]
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        lacking.append("setpriv, because PostgreSQL does not run as root")
    return f"needs {', '.join(lacking)}" if lacking else ""


needs_s3 = pytest.mark.skipif(bool(missing_s3()), reason=missing_s3())
needs_postgres = pytest.mark.skipif(bool(missing_postgres()), reason=missing_postgres())


def free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + 120
    while time.monotonic() < ends:
        assert process.poll() is None, f"ended with {process.returncode}"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"nobody listens on {port}")


@dataclass(frozen=True)
class Bucket:
    """A bucket of a service, and what reaches it."""

    name: str
    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        return {**KEYS, "AWS_ENDPOINT_URL_S3": self.endpoint}

    @property
    def client(self) -> Any:
        """Amazon's client of the service."""
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.endpoint, region_name=KEYS["AWS_DEFAULT_REGION"],
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"], aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )  # fmt: skip

    def keys(self, prefix: str = "") -> list[str]:
        """What lies there."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return [str(item["Key"]) for page in pages for item in page.get("Contents", ())]


@contextmanager
def s3_service(name: str = "shared") -> Generator[Bucket]:
    """An S3 service with an empty bucket; clients that this process keeps of an earlier one are forgotten."""
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, process)
        bucket = Bucket(name, f"http://127.0.0.1:{port}")
        bucket.client.create_bucket(Bucket=name)
        yield bucket
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Databases:
    """A PostgreSQL that wants a password."""

    port: int

    @property
    def environment(self) -> dict[str, str]:
        return {"PGPASSWORD": PASSWORD}

    def address(self, name: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    def asked(self, database: str, sql: str) -> list[tuple[object, ...]]:
        """The rows of a question."""
        import psycopg2

        connection = psycopg2.connect(self.address(database), password=PASSWORD)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()


@contextmanager
def postgres(*names: str) -> Generator[Databases]:
    """PostgreSQL in a folder of its own, with empty databases."""
    as_other = ["setpriv", "--reuid", NOBODY, "--regid", "nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="gradus-postgres-"))
    secret = folder / "password"
    secret.write_text(PASSWORD, encoding="utf-8")
    if as_other:
        for path in (folder, secret):
            shutil.chown(path, NOBODY, "nogroup")
    made = ["initdb", "-D", str(folder / "data"), "--auth=scram-sha-256", "-U", USER, "--no-sync"]
    quiet: Mapping[str, str] = {**os.environ, "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    subprocess.run(
        [*as_other, *made, f"--pwfile={secret}"], cwd=folder, env=quiet, check=True, stdout=subprocess.DEVNULL
    )
    port = free_port()
    started = ["postgres", "-D", str(folder / "data"), "-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-F"]
    process = subprocess.Popen(
        [*as_other, *started], cwd=folder, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(port, process)
        databases = Databases(port)
        _await_ready(databases)
        for name in names:
            databases.asked("postgres", f"CREATE DATABASE {name}")
        yield databases
    finally:
        process.send_signal(signal.SIGINT)  # at once, whoever is connected
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _await_ready(databases: Databases) -> None:
    import psycopg2

    ends = time.monotonic() + 60
    while True:
        try:
            databases.asked("postgres", "SELECT 1")
            return
        except psycopg2.OperationalError:
            assert time.monotonic() < ends
            time.sleep(0.05)


@dataclass(frozen=True)
class Shared:
    """An S3 service, a PostgreSQL, and the settings that name them."""

    bucket: Bucket
    databases: Databases

    @property
    def settings(self) -> dict[str, object]:
        """What params/storage.yaml says of them."""
        place = f"s3://{self.bucket.name}"
        return {
            "data": f"{place}/dvc", "artifacts": f"{place}/mlflow", "lake": f"{place}/lake",
            "record": self.databases.address("mlflow"), "flows": self.databases.address("prefect"),
            "s3": {"endpoint": self.bucket.endpoint, "region": KEYS["AWS_DEFAULT_REGION"]},
        }  # fmt: skip

    @property
    def secrets(self) -> dict[str, str]:
        """What only the environment says."""
        keys = {name: value for name, value in self.bucket.environment.items() if "KEY" in name}
        return {**keys, **self.databases.environment}

    def settle(self, folder: Path) -> None:
        """Write the settings of a project."""
        (folder / "params" / "storage.yaml").write_text(yaml.safe_dump(self.settings), encoding="utf-8")


@contextmanager
def shared_storage() -> Generator[Shared]:
    """Both, empty."""
    with ExitStack() as held:
        yield Shared(held.enter_context(s3_service()), held.enter_context(postgres("mlflow", "prefect")))
