"""MLflow's server for a project's record, as an application; callers decide where it listens and who has access."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.registry.moved import relocate
from components.registry.store import SQLITE, addresses, expecting


def application(project: Path) -> Callable[..., Any]:
    """MLflow's API and pages as an ASGI application, with the variables that `mlflow server` sets for its workers.

    Raises:
        RegistryError: The database does not open.
    """
    uri, artifacts = addresses({}, project)
    assert artifacts is not None  # with SQLite they are next to the database
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # jobs run code, and nothing here needs them
    from mlflow.environment_variables import (
        _MLFLOW_IN_JOB_EXECUTOR,  # pyright: ignore[reportPrivateUsage] — as `mlflow server` sets them
        _MLFLOW_SERVER_BOOT_ID,  # pyright: ignore[reportPrivateUsage]
    )
    from mlflow.server.constants import ARTIFACT_ROOT_ENV_VAR, BACKEND_STORE_URI_ENV_VAR, REGISTRY_STORE_URI_ENV_VAR

    os.environ |= {
        BACKEND_STORE_URI_ENV_VAR: uri,
        REGISTRY_STORE_URI_ENV_VAR: uri,
        ARTIFACT_ROOT_ENV_VAR: str(artifacts),
        _MLFLOW_SERVER_BOOT_ID.name: uuid.uuid4().hex,
        _MLFLOW_IN_JOB_EXECUTOR.name: "false",
    }
    from mlflow.server.fastapi_app import app
    from mlflow.server.handlers import initialize_backend_stores

    with expecting("a record of runs that opens"):
        initialize_backend_stores(uri, uri, str(artifacts))
        relocate(Path(uri.removeprefix(SQLITE)), artifacts)
    return app
