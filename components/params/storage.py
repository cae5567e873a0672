"""Settings of storage (params/storage.yaml): where files and records are kept that several machines share."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from components.params.loading import Settings

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def _bucket(address: str) -> str:
    """Check an S3 address: a bucket and a non-empty path in it, so that a bucket can be shared."""
    parts = urlsplit(address)
    path = parts.path.strip("/")
    if parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc) or not path or parts.query or parts.fragment:
        raise ValueError("expected s3://BUCKET/PATH")
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError("expected s3://BUCKET/PATH without empty parts, . and ..")
    return f"s3://{parts.netloc}/{path}"


def _database(address: str) -> str:
    """Check a PostgreSQL address, without what must come from the environment."""
    parts = urlsplit(address)
    if parts.password is not None:
        raise ValueError("expected no password in it: it comes from the variable PGPASSWORD, or from ~/.pgpass")
    name = parts.path.removeprefix("/")
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or not parts.username or not name:
        raise ValueError("expected postgresql://USER@HOST:PORT/DATABASE")
    if "/" in name or parts.query or parts.fragment:
        raise ValueError("expected nothing behind the database: PGSSLMODE and the like come from the environment")
    _ = parts.port  # raises if it is no port number
    return f"postgresql://{parts.netloc}/{name}"


def _endpoint(address: str) -> str:
    """Check an HTTP address without a login."""
    parts = urlsplit(address)
    if parts.password is not None or parts.username is not None:
        raise ValueError("expected no login in it: keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("expected https://HOST or http://HOST:PORT")
    _ = parts.port
    return address.rstrip("/")


Bucket = Annotated[str, AfterValidator(_bucket)]
Database = Annotated[str, AfterValidator(_database)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]


class S3Params(Settings):
    """How S3 is reached; keys come from the environment."""

    endpoint: Endpoint | None = Field(default=None, description="Of a service other than Amazon's.")
    region: str | None = Field(default=None, pattern=r"^[a-z0-9-]+$")


class RayParams(Settings):
    """The cluster that reads large windows of the lake."""

    address: str | None = Field(
        default=None, pattern=r"^(local|auto|(ray://)?[^/:@\s]+:\d+)$",
        description='As HOST:PORT; "local" starts one on this machine, "auto" takes the one that it belongs to.',
    )  # fmt: skip
    rows: int = Field(default=1_000_000, ge=1, description="Fewest rows in the files of a window that it is used for.")


class StorageParams(Settings):
    """Where files and records are kept; None: in the project's folder."""

    data: Bucket | None = Field(default=None, description="DVC's remote.")
    artifacts: Bucket | None = Field(default=None, description="Files of MLflow's runs and models.")
    lake: Bucket | None = Field(default=None, description="Traces, feedback and scores.")
    record: Database | None = Field(default=None, description="MLflow's database.")
    flows: Database | None = Field(default=None, description="Prefect's database.")
    s3: S3Params = S3Params()
    ray: RayParams = RayParams()

    @property
    def buckets(self) -> dict[str, str]:
        """Setting → address of those on S3."""
        kept = {"data": self.data, "artifacts": self.artifacts, "lake": self.lake}
        return {name: address for name, address in kept.items() if address}

    @property
    def databases(self) -> dict[str, str]:
        """Setting → address of those on PostgreSQL."""
        kept = {"record": self.record, "flows": self.flows}
        return {name: address for name, address in kept.items() if address}
