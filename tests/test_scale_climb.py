"""A whole climb on a cluster against one on this machine: benchmarks/scale_climb.py, run anew, and the record of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scale_climb import FIELD, RECORD, climbed, lasting
from tests.shared_storage import needs_postgres, needs_s3


def holds(found: dict[str, Any]) -> None:
    """What a climb on a cluster has to show."""
    assert found["files"] > 30
    assert found["files_that_differ"] == [] == found["files_that_differ_for_the_second"]
    # Of every stage one Job, though two asked for it; of every Job one pod that did it, of one also a killed one.
    assert found["jobs_that_two_asked_for"] > 0
    assert found["pods_that_ended_well"] == found["jobs"] and found["pods"] == found["jobs"] + 1
    assert 0 < found["killed_after_step"] <= found["resumed_at_step"]


def test_the_record_shows_it() -> None:
    holds(json.loads(RECORD.read_text(encoding="utf-8"))[FIELD])


def test_records_are_compared_without_the_moment_and_with_all_else() -> None:
    made = {"name": "sft", "seconds": 1.5, "mlflow_run_id": "a", "curves": [{"loss": 1.0, "latency_ms": 3.0}]}
    assert lasting(made) == {"name": "sft", "curves": [{"loss": 1.0}]}
    assert lasting({"data_hash": "d", "dev_score": 0.5}) == {"data_hash": "d", "dev_score": 0.5}


@needs_s3
@needs_postgres
@pytest.mark.slow
@pytest.mark.services
def test_a_climb_on_a_cluster_leaves_what_one_here_leaves_though_a_pod_is_killed_and_two_ask(tmp_path: Path) -> None:
    holds(climbed(tmp_path))
