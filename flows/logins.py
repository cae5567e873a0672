"""The logins of this machine's servers: random, new at each `up`, kept in a file that only its owner reads.

They reach programs by their environment, which other users cannot read, never by command lines.
"""

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from components.records import Record, read_record

FILE = Path("state/up/logins.json")
USER = "gradus"
_BYTES = 32


class Logins(Record):
    """One password for each server; the user is always `gradus`."""

    prefect: str
    mlflow: str

    @property
    def texts(self) -> dict[str, str]:
        """`user:password` of each server."""
        return {name: f"{USER}:{password}" for name, password in self.model_dump().items()}


def new_logins() -> Logins:
    """Fresh ones, kept nowhere yet."""
    return Logins(prefect=secrets.token_urlsafe(_BYTES), mlflow=secrets.token_urlsafe(_BYTES))


def keep(logins: Logins) -> None:
    """Write them where other commands of this user find them."""
    FILE.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    FILE.unlink(missing_ok=True)
    with open(os.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(logins.model_dump_json(indent=1) + "\n")


def kept() -> Logins:
    """Those of the services that are up.

    Raises:
        DataError: There are none.
    """
    return read_record(FILE, Logins)


def prefect_settings(login: str, origin: str) -> dict[str, str]:
    """What closes a Prefect server, and lets its clients in: a login, its own pages only, tokens for what changes."""
    return {
        "PREFECT_API_AUTH_STRING": login,
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "true",
        "PREFECT_SERVER_API_AUTH_STRING": login,
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": origin,
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
    }


def temporary_prefect(environment: Mapping[str, str]) -> dict[str, str]:
    """The same for the server that Prefect starts for a single command, where no address is set.

    It has no pages, so that no origin is its own.
    """
    if environment.get("PREFECT_API_URL"):
        return {}
    return prefect_settings(f"{USER}:{secrets.token_urlsafe(_BYTES)}", origin="")


def mlflow_settings(password: str) -> dict[str, str]:
    """What lets MLflow's clients in."""
    return {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": password}


def how_to_log_in() -> str:
    """How to open the pages of what is up: the passwords on a terminal; elsewhere, as in a log, where they stand."""
    if not sys.stdout.isatty():
        return f"Logins of the pages: {FILE}"
    logins = kept()
    return (
        f"Prefect's page asks for a password: {logins.texts['prefect']}\n"
        f"MLflow's page asks for the user {USER} and the password {logins.mlflow}"
    )
