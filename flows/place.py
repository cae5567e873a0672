"""Checks before anything is started: the folder, the address and the services of a command."""

import os
import socket
from pathlib import Path

from components.errors import ConfigError, ServiceError

_ANSWER_S = 10.0


def refuse_unusable_path(project: Path) -> None:
    """Refuse a folder whose path does not work in the address of the record's database or in MLflow's SQL.

    Raises:
        ConfigError: Its path has a question mark, both kinds of quotation marks or a control character.
    """
    path = str(project)
    if "?" in path or ("'" in path and '"' in path) or any(ord(character) < 32 for character in path):
        raise ConfigError(
            f"expected a folder without ?, line breaks and ' together with \" in its path, found {path!r}"
        )


def refuse_without_repository(project: Path) -> None:
    """Refuse to climb outside of git, which DVC needs and in which versions record their origin.

    Raises:
        ConfigError: Neither the folder nor any above it is a repository.
    """
    if not any((folder / ".git").exists() for folder in (project, *project.parents)):
        raise ConfigError(
            f"expected a git repository at {project}, found none; "
            "make one: git init && git add . && git commit -m 'Gradus'"
        )


def refuse_taken(host: str, port: int) -> None:
    """Refuse an address that cannot be listened on: it is taken, or not this machine's.

    Raises:
        ConfigError: The address is refused; the message says why.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        raise ConfigError(f"expected to listen on {host}, port {port}, found: {error.strerror}") from error


def refuse_without_prefect(address: str) -> None:
    """Refuse a PREFECT_API_URL without a Prefect server that accepts our login; Prefect itself would show a traceback.

    Raises:
        ServiceError: There is no answer, it is not from Prefect, or the login is rejected.
    """
    import httpx

    login = os.environ.get("PREFECT_API_AUTH_STRING", ":").partition(":")
    key = os.environ.get("PREFECT_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx.get(
            f"{address.rstrip('/')}/admin/version", auth=None if key else (login[0], login[2]), headers=headers,
            timeout=_ANSWER_S,
        )  # fmt: skip
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise ServiceError(
            f"expected Prefect's server at PREFECT_API_URL, found {error} ({address}); unset it to do without a server"
        ) from error
    if answer.status_code in (401, 403):
        raise ServiceError(
            f"expected the login of Prefect's server in PREFECT_API_AUTH_STRING, found another or none ({address}); "
            "that of `gradus up` is in state/up/logins.json, as gradus:PASSWORD"
        )
