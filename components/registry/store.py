"""Where the record is kept: SQLite and plain files in the project folder, or what the environment names.

GRADUS_RECORD and GRADUS_ARTIFACTS name a shared database and the bucket of its files (params/storage.yaml);
MLFLOW_TRACKING_URI wins over the first, as MLflow's own clients read it.

Decides addresses and how MLflow's failures are reported; other modules decide what is recorded.
"""

import logging
import os
import sqlite3
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from components.errors import RegistryError
from components.registry.created import create
from components.registry.moved import ARTIFACTS, relocate
from components.registry.redaction import redact

DATABASE = Path("state/mlflow.db")
SQLITE, POSTGRES = "sqlite:///", "postgresql"
SERVERS = ("http://", "https://", "databricks")
MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND")  # MLflow's codes for an absent alias
_ANSWER_SECONDS = 5


def addresses(environment: Mapping[str, str], folder: Path) -> tuple[str, Path | None]:
    """The tracking address, and the folder of artifacts; None where a server decides.

    Where the environment names nothing both lie under `folder`/state, as `make ui` expects; with SQLite elsewhere the
    artifacts lie beside the database.
    """
    home = folder.resolve()
    uri = environment.get("MLFLOW_TRACKING_URI") or environment.get("GRADUS_RECORD") or f"{SQLITE}{DATABASE}"
    if uri.startswith(SQLITE):
        database = home / uri.removeprefix(SQLITE)
        return f"{SQLITE}{database}", database.parent / ARTIFACTS
    return uri, None if uri.startswith(SERVERS) else home / DATABASE.parent / ARTIFACTS


def tracking_uri() -> str:
    """The address of this process's record."""
    return addresses(os.environ, Path.cwd())[0]


def connect() -> Any:
    """The MLflow client of this process's record, created on first use (3 to 8 s for a new SQLite file).

    Raises:
        RegistryError: The database cannot be opened, or no server answers.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
    uri = tracking_uri()
    if uri.startswith(SERVERS[:2]):
        _await_answer(uri)
    return _client(uri)


def artifact_root(environment: Mapping[str, str], folder: Path) -> str | None:
    """Where artifacts lie, as MLflow wants it: in a bucket or a folder; None where the server decides."""
    local = addresses(environment, folder)[1]
    return None if local is None else environment.get("GRADUS_ARTIFACTS") or local.as_uri()


def artifact_location(experiment: str) -> str | None:
    """The address of an experiment's artifacts, in MLflow's form; None if a server decides."""
    root = artifact_root(os.environ, Path.cwd())
    return None if root is None else f"{root}/{quote(experiment)}"


@contextmanager
def expecting(expected: str) -> Generator[None]:
    """Turn MLflow's exceptions into a sentence: what was expected, what was found, in which record.

    Raises:
        RegistryError: MLflow, its database or its files refuse.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError, *_of_s3()) as error:
        reason = redact((str(error).strip().splitlines() or [type(error).__name__])[0][:300])
        raise RegistryError(f"expected {expected}, found {reason} ({redact(tracking_uri())})") from error


def _of_s3() -> tuple[type[Exception], ...]:
    """What clients of S3 raise, where any was imported."""
    names = (
        ("botocore.exceptions", "BotoCoreError"), ("botocore.exceptions", "ClientError"),
        ("boto3.exceptions", "Boto3Error"),
    )  # fmt: skip
    return tuple(getattr(sys.modules[module], name) for module, name in names if module in sys.modules)


def absent(error: BaseException | None) -> bool:
    """Whether an error says that a run, version or alias does not exist."""
    return getattr(error, "error_code", None) in MISSING


@lru_cache(maxsize=8)
def _client(uri: str) -> Any:
    from mlflow import MlflowClient

    for noisy in ("mlflow.store.db.utils", "alembic"):  # sixty lines of migrations at the first use
        logging.getLogger(noisy).setLevel(logging.WARNING)
    with expecting("a record of runs that opens"):
        if uri.startswith(SQLITE):
            create(Path(uri.removeprefix(SQLITE)))
        if uri.startswith(POSTGRES):
            await_database(uri)
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)  # opens the database
        if uri.startswith(SQLITE):
            database = Path(uri.removeprefix(SQLITE))
            relocate(database, database.parent / ARTIFACTS)
    return client


def await_database(uri: str) -> None:
    """Refuse a database that does not answer; MLflow itself would try for an hour.

    Raises:
        SQLAlchemyError: It is away, or refuses.
        RegistryError: Its driver is missing.
    """
    from sqlalchemy import create_engine

    try:
        engine = create_engine(uri, connect_args={"connect_timeout": _ANSWER_SECONDS})
    except ImportError as error:
        raise RegistryError(
            f"expected a driver for {redact(uri)}, found none: pip install 'gradus[postgres]'"
        ) from error
    with engine.connect():
        pass
    engine.dispose()


def _await_answer(uri: str) -> None:
    """Refuse an address where no server answers; MLflow itself would retry for minutes.

    It is asked as MLflow asks: with the certificates and logins that the environment names.
    """
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    with expecting("an MLflow server at MLFLOW_TRACKING_URI"):
        http_request(
            get_default_host_creds(uri), "/health", "GET",
            max_retries=0, raise_on_status=False, timeout=_ANSWER_SECONDS,
        )  # fmt: skip
