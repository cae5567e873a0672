"""The logins of this machine's servers: random, new at each `up`, in a file that only its owner can read.

Programs get them through the environment, which other users cannot read, never on the command line.
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
    """A password for each server; the user is always `gradus`."""

    prefect: str
    mlflow: str

    @property
    def texts(self) -> dict[str, str]:
        """Each server's `user:password`."""
        return {name: f"{USER}:{password}" for name, password in self.model_dump().items()}


def new_logins() -> Logins:
    """New random logins, not saved yet."""
    return Logins(prefect=secrets.token_urlsafe(_BYTES), mlflow=secrets.token_urlsafe(_BYTES))


def save_logins(logins: Logins) -> None:
    """Save them for this user's other commands."""
    FILE.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    FILE.unlink(missing_ok=True)
    with open(os.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(logins.model_dump_json(indent=1) + "\n")


def saved_logins() -> Logins:
    """The saved logins of the running services.

    Raises:
        DataError: There are none.
    """
    return read_record(FILE, Logins)


def prefect_settings(login: str, origin: str) -> dict[str, str]:
    """Settings that secure a Prefect server and admit its clients: a login, no foreign origins, CSRF tokens."""
    return {
        "PREFECT_API_AUTH_STRING": login,
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "true",
        "PREFECT_SERVER_API_AUTH_STRING": login,
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": origin,
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
    }


def temporary_prefect(environment: Mapping[str, str]) -> dict[str, str]:
    """The same for the server that Prefect starts for a single command if no address is set.

    It has no pages, so it allows no origin.
    """
    if environment.get("PREFECT_API_URL"):
        return {}
    return prefect_settings(f"{USER}:{secrets.token_urlsafe(_BYTES)}", origin="")


def mlflow_settings(password: str) -> dict[str, str]:
    """Settings that admit MLflow's clients."""
    return {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": password}


def how_to_log_in() -> str:
    """How to open the pages: with the passwords on a terminal; elsewhere, as in a log, with their file."""
    if not sys.stdout.isatty():
        return f"Logins of the pages: {FILE}"
    logins = saved_logins()
    return (
        f"Prefect's page asks for a password: {logins.texts['prefect']}\n"
        f"MLflow's page asks for the user {USER} and the password {logins.mlflow}"
    )
