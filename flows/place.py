"""Where a command runs and listens, looked at before anything is started, so that what does not fit is one sentence."""

import os
import socket
from pathlib import Path

from components.errors import ConfigError, ServiceError

_ANSWER_S = 10.0


def usable(project: Path) -> None:
    """Refuse a folder whose path the record's database cannot carry: in its address, or in MLflow's own statements.

    Raises:
        ConfigError: Its path has a question mark, both kinds of quotation marks or a control character.
    """
    path = str(project)
    if "?" in path or ("'" in path and '"' in path) or any(ord(character) < 32 for character in path):
        raise ConfigError(
            f"expected a folder without ?, line breaks and ' together with \" in its path, found {path!r}"
        )


def in_a_repository(project: Path) -> None:
    """Refuse to climb outside of git, by which DVC finds its way and versions say what they were made from.

    Raises:
        ConfigError: Neither the folder nor one above it has a repository.
    """
    if not any((folder / ".git").exists() for folder in (project, *project.parents)):
        raise ConfigError(
            f"expected a git repository at {project}, found none; "
            "make one: git init && git add . && git commit -m 'Gradus'"
        )


def refuse_taken(host: str, port: int) -> None:
    """Refuse an address on which nobody can listen: it is taken, or not of this machine.

    Raises:
        ConfigError: Why not.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
    except OSError as error:
        raise ConfigError(f"expected to listen on {host}, port {port}, found: {error.strerror}") from error


def prefect_answers(address: str) -> None:
    """Refuse a PREFECT_API_URL at which no Prefect server lets us in; Prefect itself would end in a traceback.

    Raises:
        ServiceError: Nobody answers there, something else does, or it wants another login.
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
            "that of `make up` stands in state/up/logins.json, as gradus:PASSWORD"
        )
