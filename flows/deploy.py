"""Sets up a Prefect server before anything runs on it: the pool, the training limit, and the deployments.

Times and triggers are in infra/prefect.yaml.
"""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from components.errors import ConfigError
from components.params import read_yaml
from flows.health import POOL
from flows.ladder import TRAINER

FILE = Path("infra/prefect.yaml")


def deploy(workload: str) -> None:
    """Set up the server that PREFECT_API_URL names for a workload; existing settings are updated.

    Raises:
        ConfigError: The deployments' file cannot be read, or Prefect refuses a deployment.
    """
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"), overwrite=True)
        client.upsert_global_concurrency_limit_by_name(TRAINER, 1)
        remove_others(client, workload)  # before those of the file, which may name another workload too
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(FILE)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        last = (ended.stderr.strip() or ended.stdout.strip()).splitlines()[-1:]
        raise ConfigError(f"expected Prefect to take the deployments, found {' '.join(last)} ({FILE})")


def remove_others(client: SyncPrefectClient, workload: str) -> None:
    """Remove what earlier calls deployed for other workloads, with its schedules, coming runs and automations.

    The worker takes every run of the pool. Deployments in other pools, and of other flows, are somebody else's.

    Raises:
        ConfigError: The deployments' file cannot be read, or does not list them.
    """
    entrypoints = _entrypoints()
    pool = WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL]))
    for each in client.read_deployments(work_pool_filter=pool):
        another = each.parameters.get("workload") not in (None, workload)
        if another and _module_path(each.entrypoint or "") in entrypoints:
            client.delete_resource_owned_automations(f"prefect.deployment.{each.id}")
            client.delete_deployment(each.id)


def _entrypoints() -> set[str]:
    """The flows that the file deploys.

    Raises:
        ConfigError: The file cannot be read, or does not list them.
    """
    try:
        return {_module_path(each["entrypoint"]) for each in read_yaml(FILE)["deployments"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"expected a list `deployments`, each with an `entrypoint`, found none ({FILE})") from error


def _module_path(entrypoint: str) -> str:
    """`flows.watch.watch`, also of `flows/watch.py:watch`, as earlier releases named it."""
    return entrypoint.replace(".py:", ".").replace("/", ".")


def close_lost_runs() -> None:
    """Close the runs of a lost worker, so that they do not block others; `deploy` comes after it."""
    lost = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING, StateType.PAUSED, StateType.CANCELLING])
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=lost))):
            client.set_flow_run_state(run.id, Crashed(message="Its worker went down."), force=True)
        with suppress(ObjectNotFound):  # a new server
            client.delete_global_concurrency_limit_by_name(TRAINER)
