"""Sets up a Prefect server before anything runs on it: the pool, the training limit, and the deployments.

Times and triggers are in infra/prefect.yaml.
"""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from components.errors import ConfigError
from flows.health import POOL
from flows.ladder import TRAINER

FILE = Path("infra/prefect.yaml")


def deploy() -> None:
    """Set up the server that PREFECT_API_URL names; existing settings are updated.

    Raises:
        ConfigError: Prefect refuses a deployment.
    """
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"), overwrite=True)
        client.upsert_global_concurrency_limit_by_name(TRAINER, 1)
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(FILE)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        last = (ended.stderr.strip() or ended.stdout.strip()).splitlines()[-1:]
        raise ConfigError(f"expected Prefect to take the deployments, found {' '.join(last)} ({FILE})")


def close_lost_runs() -> None:
    """Close the runs of a lost worker, so that they do not block others; `deploy` comes after it."""
    lost = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING, StateType.PAUSED, StateType.CANCELLING])
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=lost))):
            client.set_flow_run_state(run.id, Crashed(message="Its worker went down."), force=True)
        with suppress(ObjectNotFound):  # a new server
            client.delete_global_concurrency_limit_by_name(TRAINER)
