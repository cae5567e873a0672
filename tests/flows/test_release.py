"""A release as a person starts it: a worse canary is withdrawn, a good one becomes champion, a person may say no."""

import time
from pathlib import Path
from typing import Any

import pytest

from components.records import Message, Observation, Trace, Usage, read_jsonl
from components.registry import REFERENCE
from monitoring.lake import Lake
from tests.flows.conftest import Project, wait_until
from tests.flows.test_resume import started

pytestmark = pytest.mark.slow


@pytest.fixture
def record(climbed: Project) -> Any:
    """The registry's client, the champion's files registered once more as the candidate."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{climbed.folder / 'state' / 'mlflow.db'}")
    first = client.get_model_version_by_alias("triage", "champion")
    if "candidate" not in client.get_registered_model("triage").aliases:
        second = client.create_model_version("triage", str(first.source), str(first.run_id), first.tags)
        client.set_registered_model_alias("triage", "candidate", second.version)
    return client


def aliases(record: Any) -> dict[str, int]:
    return {alias: int(number) for alias, number in record.get_registered_model("triage").aliases.items()}


def answer(project: Project, version: int, valid: int, n: int = 250) -> None:
    """Answers of a version, given now, so many of them valid."""
    usual = read_jsonl(project.artifacts / "reference" / REFERENCE, Observation)[0]
    traces = [
        Trace(
            id=f"chatcmpl-{version}-{number}", at=time.time(), workload="triage", version=version, method="classical",
            input=usual.input, messages=(Message(role="user", content="?"),), text=usual.text, finish_reason="stop",
            usage=Usage(input_tokens=1, output_tokens=1), latency_ms=1.0, valid=number < valid,
        )
        for number in range(n)
    ]  # fmt: skip
    Lake(project.folder / "state" / "lake").store(
        f"{version}-{time.time_ns()}", [trace.model_dump_json() for trace in traces]
    )


def test_a_canary_that_breaks_the_schema_is_withdrawn(climbed: Project, record: Any, tmp_path: Path) -> None:
    before, canary = aliases(record)["champion"], aliases(record)["candidate"]
    climbed.set("pipeline.yaml", {"retraining": {"release": {"canary_hours": 1}}})
    with started(climbed, "flows.cli", "release", "triage", output=tmp_path / "out") as process:
        wait_until(lambda: "is the canary: waiting for" in (tmp_path / "out").read_text(encoding="utf-8"), 120)
        assert aliases(record) == {"champion": before, "canary": canary}
        answer(climbed, before, 250)
        answer(climbed, canary, 200)  # of 250: each to another customer
        wait_until(lambda: process.poll() is not None, 120)
    said = (tmp_path / "out").read_text(encoding="utf-8")
    assert process.returncode == 0, said
    assert "withdrawn: 80.0% of 250 answers of the canary are valid, 100.0% of 250 of the champion: worse" in said
    assert "Of the" in said or "Whether answers are right" in said  # no labels: that alone would have waited
    assert aliases(record) == {"champion": before}


def test_a_canary_without_traffic_is_promoted(climbed: Project, record: Any) -> None:
    before, canary = aliases(record)["champion"], aliases(record)["candidate"]
    climbed.set("workloads/triage.yaml", {"serving": {"routing": {"canary_share": 0.0}}})
    done = climbed.call("flows.cli", "release", "triage")
    assert done.returncode == 0, done.stderr
    assert aliases(record) == {"champion": canary, "previous": before}


def test_a_release_that_was_interrupted_after_it_had_moved_the_champion_is_finished(
    climbed: Project, record: Any
) -> None:
    before, canary = aliases(record)["champion"], aliases(record)["candidate"]
    record.set_registered_model_alias("triage", "canary", canary)
    record.delete_registered_model_alias("triage", "candidate")
    record.set_registered_model_alias("triage", "previous", before)
    record.set_registered_model_alias("triage", "champion", canary)
    done = climbed.call("flows.cli", "release", "triage")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "promoted: An earlier release had made it champion, and was interrupted.\n"
    assert aliases(record) == {"champion": canary, "previous": before}
