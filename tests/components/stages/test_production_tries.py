"""Tries of production in train: they are imitated, and neither tried, nor judged, nor the scorer's test."""

import pytest

from components.data.sources import generated_example
from components.records import write_jsonl
from components.stages.audit import audit
from components.stages.certify import certificate
from components.stages.run import Run
from components.stages.rungs import job_of
from components.tasks import demonstrated
from components.tracking import NullTracker
from components.workloads.desk import drifted
from tests.components.stages.test_agent_climb import desk

__all__ = ["desk"]


@pytest.fixture
def mixed(desk: Run) -> Run:
    """A run with as many tries of production as tasks in train."""
    tasks = [generated_example(desk.workload, task) for task in drifted(20, 3, "none")]
    tries = [
        generated_example(desk.workload, task).model_copy(
            update={"id": f"P-{at}", "reference": "", "evidence": {}, "slices": {"origin": "production"}}
        )
        for at, task in enumerate(drifted(12, 4, "argument"))
    ]
    for split, examples in {"train": [*tasks[:12], *tries], "dev": tasks[12:14], "test": tasks[14:]}.items():
        write_jsonl(desk.folder / "data" / f"{split}.jsonl", examples)
    return desk


def test_the_audit_and_the_certificate_are_about_tasks_alone(mixed: Run) -> None:
    audit(mixed, NullTracker())
    assert '"demonstrations": 12' in (mixed.folder / "audit" / "audit.json").read_text(encoding="utf-8")
    exploits = certificate(mixed).exploits  # of all that the scorer is tried on
    assert exploits and {trick.passed.n for trick in exploits.values()} == {14}


def test_own_tries_are_made_at_tasks_and_demonstrations_are_all_of_them(mixed: Run) -> None:
    planned = {rung.name: rung for rung in mixed.rungs}
    job = job_of(mixed, planned["sft"])
    assert [example.id for example in job.train if example.id.startswith("P-")] == [f"P-{at}" for at in range(12)]
    assert len(job.tasks) == 12 and not any(example.id.startswith("P-") for example in job.tasks)
    assert all(demonstrated(example).tools for example in job.train)
