"""What a workload that was up before left in Prefect's database does not go on beside the one that is up."""

import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from components.errors import ConfigError
from tests.flows.conftest import ROOT


@pytest.fixture
def server() -> Generator[None]:
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


def deployed(client: Any, pool: str, entrypoint: str, **parameters: str) -> str:
    """Make a deployment and a trigger of it as `prefect deploy` does; its entrypoint."""
    from prefect.events import DeploymentEventTrigger

    flow = client.create_flow_from_name(entrypoint.rpartition(":")[2])
    made = client.create_deployment(
        flow, name=f"{parameters}", work_pool_name=pool, entrypoint=entrypoint, parameters=parameters
    )
    trigger = DeploymentEventTrigger(name=entrypoint, expect={"drift.detected"})
    trigger.set_deployment_id(made)
    client.create_automation(trigger.as_automation())
    return entrypoint


@pytest.mark.slow
def test_only_other_workloads_deployments_of_our_flows_in_our_pool_are_removed(
    server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    from flows import deploy
    from flows.health import POOL

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(deploy.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0))
    with get_client(sync_client=True) as client:
        for pool in (POOL, "theirs"):
            client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
        deployed(client, POOL, "flows.retrain.retrain", workload="triage")
        deployed(client, POOL, "flows/watch.py:watch", workload="triage")
        kept = {
            deployed(client, POOL, "flows.score.score", workload="complaints"),
            deployed(client, POOL, "theirs.py:flow", workload="triage"),
            deployed(client, POOL, "flows.release.release"),
            deployed(client, "theirs", "flows.ladder.scheduled", workload="triage"),
        }
        deploy.deploy("complaints")
        assert {each.entrypoint for each in client.read_deployments()} == kept
        assert {each.name for each in client.read_automations()} == kept


@pytest.mark.parametrize("text", ["deployments: [name: a]", "deployments: [a]", "deployments: {", "name: gradus"])
def test_a_file_that_lists_no_deployments_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    from flows import deploy

    monkeypatch.chdir(tmp_path)
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "prefect.yaml").write_text(text, encoding="utf-8")
    client: Any = None
    with pytest.raises(ConfigError, match=r"infra/prefect\.yaml"):
        deploy.remove_others(client, "triage")
