"""Passes a project's storage settings on to all processes, by environment variables and DVC's settings.

Decides the variables' names; their values are in params/storage.yaml. A variable that the user has set wins.
"""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from components.errors import ConfigError, ServiceError
from components.params import StorageParams, load

FILE = Path("params/storage.yaml")
REMOTE = "storage"  # the name of DVC's remote
RECORD, ARTIFACTS, LAKE, FLOWS = "GRADUS_RECORD", "GRADUS_ARTIFACTS", "GRADUS_LAKE", "GRADUS_FLOWS"
RAY, RAY_ROWS = "GRADUS_RAY", "GRADUS_RAY_ROWS"
TRACKING = "MLFLOW_TRACKING_URI"  # the variable of MLflow's own clients
S3_PACKAGES = ("boto3", "dvc_s3", "s3fs", "upath")  # of MLflow, DVC and the lake
_ANSWER_S = 5


def storage(project: Path) -> StorageParams:
    """A project's storage settings; without a file everything is in its folder.

    Raises:
        ConfigError: A setting is wrong.
    """
    path = project / FILE
    return load(path, StorageParams) if path.is_file() else StorageParams()


def variables(params: StorageParams) -> dict[str, str]:
    """The environment variables of the settings."""
    values = {
        RECORD: driven(params.record, "psycopg2"),
        FLOWS: driven(params.flows, "asyncpg"),
        ARTIFACTS: params.artifacts,
        LAKE: params.lake,
        "AWS_ENDPOINT_URL_S3": params.s3.endpoint,
        "AWS_DEFAULT_REGION": params.s3.region,
        RAY: params.ray.address,
        RAY_ROWS: str(params.ray.rows) if params.ray.address else None,
    }
    return {name: value for name, value in values.items() if value}


def driven(address: str | None, driver: str) -> str | None:
    """A PostgreSQL address that names SQLAlchemy's driver."""
    return address and address.replace("postgresql://", f"postgresql+{driver}://", 1)


def apply(project: Path) -> StorageParams:
    """Set a project's storage variables for this process and those that it starts.

    Raises:
        ConfigError: A setting is wrong.
    """
    params = storage(project)
    for name, value in variables(params).items():
        os.environ.setdefault(name, value)
    return params


def attach_data(project: Path, params: StorageParams) -> None:
    """Make the settings' data storage DVC's default remote, outside of git; without one, DVC's own settings stay."""
    local = project / ".dvc" / "config.local"
    ours = local.is_file() and f'"{REMOTE}"' in local.read_text(encoding="utf-8", errors="replace")
    if not (project / ".dvc").is_dir() or not (params.data or ours):
        return
    from dvc.config import Config

    config: Any = Config(str((project / ".dvc").resolve()))
    wanted = config.load_one("local")
    _set_remote(wanted, params)
    if wanted == config.load_one("local"):
        return  # others may be reading it
    with config.edit("local") as edited:
        _set_remote(edited, params)


def _set_remote(settings: Any, params: StorageParams) -> None:
    core, remotes = settings["core"], settings["remote"]
    if params.data:
        reached = {"endpointurl": params.s3.endpoint, "region": params.s3.region}
        remotes[REMOTE] = {"url": params.data, **{name: value for name, value in reached.items() if value}}
        core["remote"] = REMOTE
    else:
        remotes.pop(REMOTE, None)
        if core.get("remote") == REMOTE:
            del core["remote"]


def refuse_absent(params: StorageParams, environment: Mapping[str, str]) -> None:
    """Check that every database and bucket of the settings answers, before any work begins.

    One that the environment replaces is not used, and not checked.

    Raises:
        ConfigError: A package is missing.
        ServiceError: A database or bucket does not answer, or refuses.
    """
    unused = _replaced(params, environment)
    for name in params.databases.keys() - unused:
        _ask_database(name, params.databases[name])
    for name in params.buckets.keys() - unused:
        _ask_bucket(name, params.buckets[name], environment)


def _replaced(params: StorageParams, environment: Mapping[str, str]) -> set[str]:
    """The settings that the environment replaces."""
    ours, named_by = variables(params), {"record": RECORD, "flows": FLOWS, "artifacts": ARTIFACTS, "lake": LAKE}
    replaced = {name for name, key in named_by.items() if environment.get(key, ours.get(key)) != ours.get(key)}
    return replaced | ({"record"} if environment.get(TRACKING) else set())


def _ask_database(name: str, address: str) -> None:
    try:
        import psycopg2
    except ImportError as error:
        raise ConfigError(
            f"expected a driver for storage.{name}, found none: pip install 'gradus[postgres]'"
        ) from error
    try:
        psycopg2.connect(address, connect_timeout=_ANSWER_S).close()
    except psycopg2.Error as error:
        problem = " ".join(str(error).split())
        raise ServiceError(f"expected PostgreSQL at {address}, found {problem} ({FILE}, {name})") from error


def _ask_bucket(name: str, address: str, environment: Mapping[str, str]) -> None:
    if lacking := [package for package in S3_PACKAGES if find_spec(package) is None]:
        raise ConfigError(f"expected the package {lacking[0]} for storage.{name}, found none: pip install 'gradus[s3]'")
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, path = address.removeprefix("s3://").partition("/")
    patience = Config(connect_timeout=_ANSWER_S, read_timeout=_ANSWER_S, retries={"total_max_attempts": 1})
    try:
        boto3.client("s3", config=patience).list_objects_v2(Bucket=bucket, Prefix=path, MaxKeys=1)
    except (BotoCoreError, ClientError, ValueError) as error:
        endpoint = environment.get("AWS_ENDPOINT_URL_S3", "Amazon S3")
        raise ServiceError(f"expected {address} at {endpoint}, found {error} ({FILE}, {name})") from error
