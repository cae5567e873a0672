"""MLflow's server for a project's record, as an application; callers decide where it listens and who has access."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.registry.created import create
from components.registry.moved import relocate
from components.registry.store import POSTGRES, SQLITE, addresses, await_database, expecting


def application(project: Path) -> Callable[..., Any]:
    """MLflow's API and pages as an ASGI application, with the variables that `mlflow server` sets for its workers.

    Raises:
        RegistryError: The database does not open.
    """
    # Not MLFLOW_TRACKING_URI, which is the address that clients ask.
    own = {name: value for name, value in os.environ.items() if name.startswith("GRADUS_")}
    uri, folder = addresses(own, project)
    assert folder is not None  # no server's
    artifacts = own.get("GRADUS_ARTIFACTS") or str(folder)
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # jobs run code, and nothing here needs them
    from mlflow.environment_variables import (
        _MLFLOW_IN_JOB_EXECUTOR,  # pyright: ignore[reportPrivateUsage] — as `mlflow server` sets them
        _MLFLOW_SERVER_BOOT_ID,  # pyright: ignore[reportPrivateUsage]
    )
    from mlflow.server.constants import ARTIFACT_ROOT_ENV_VAR, BACKEND_STORE_URI_ENV_VAR, REGISTRY_STORE_URI_ENV_VAR

    os.environ |= {
        BACKEND_STORE_URI_ENV_VAR: uri,
        REGISTRY_STORE_URI_ENV_VAR: uri,
        ARTIFACT_ROOT_ENV_VAR: artifacts,
        _MLFLOW_SERVER_BOOT_ID.name: uuid.uuid4().hex,
        _MLFLOW_IN_JOB_EXECUTOR.name: "false",
    }
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    with expecting("a record of runs that opens"):
        if uri.startswith(POSTGRES):
            await_database(uri)
        if uri.startswith(SQLITE):
            create(Path(uri.removeprefix(SQLITE)))
        initialize_backend_stores(uri, uri, artifacts)
        if uri.startswith(SQLITE):
            relocate(Path(uri.removeprefix(SQLITE)), folder)
    return app
