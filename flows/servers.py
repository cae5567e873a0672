"""Prefect's and MLflow's servers behind the guard: `python -m flows.servers prefect 4200`. Both listen on loopback.

Their own commands start them unguarded, and neither has a setting for the Host that it expects.
"""

import os
import sys
from pathlib import Path

from starlette.types import ASGIApp

from components.errors import ConfigError
from flows.guard import Guard

LOCAL = "127.0.0.1"
PING_S = 20.0  # of websockets, as Prefect's own command sets it


def prefect(address: str) -> Guard:
    """Prefect's API and pages; it asks for the login itself, on websockets too.

    Raises:
        ConfigError: It has no login to ask for.
    """
    if not os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        raise ConfigError("expected Prefect's login in PREFECT_SERVER_API_AUTH_STRING, found none")
    from prefect.server.api.server import create_app

    return Guard(create_app(final=True), address)


def mlflow(address: str) -> Guard:
    """MLflow's API and pages over the record of this project.

    Raises:
        ConfigError: There is no login to ask for.
    """
    user, password = (os.environ.get(f"MLFLOW_TRACKING_{part}") for part in ("USERNAME", "PASSWORD"))
    if not user or not password:
        raise ConfigError("expected a login in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, found none")
    from components.registry.server import application

    return Guard(application(Path.cwd()), address, f"{user}:{password}")


SERVERS = {"prefect": prefect, "mlflow": mlflow}


def listen(app: ASGIApp, port: int) -> None:
    """Serve an application until it is stopped."""
    import uvicorn

    uvicorn.run(
        app, host=LOCAL, port=port, log_level="warning", access_log=False, proxy_headers=False, server_header=False,
        ws_ping_interval=PING_S, ws_ping_timeout=PING_S,
    )  # fmt: skip


if __name__ == "__main__":
    os.umask(0o077)
    name, number = sys.argv[1], int(sys.argv[2])
    listen(SERVERS[name](f"http://{LOCAL}:{number}"), number)
