"""A whole climb on a cluster against one on this machine: benchmarks/scale_climb.py, run again, and its record."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scale_climb import FIELD, RECORD, RUN, climbed, contents, differing, lasting, recorded
from tests.flows.conftest import Project
from tests.shared_storage import needs_postgres, needs_s3


def holds(figures: dict[str, Any]) -> None:
    """What a climb on a cluster has to show."""
    assert figures["files"] > figures["files_of_the_second"] > 30
    # A run of the record for each stage, and one for the climb.
    assert figures["runs_recorded"] == figures["jobs"] + 1 and figures["figures_recorded"] > 100
    assert figures["runs_that_differ"] == [] == figures["figures_that_differ"]
    assert figures["checkpoints_left_in_s3"] == 0
    holds_as_recorded(figures)


def holds_as_recorded(figures: dict[str, Any]) -> None:
    """What the record shows, which was made before MLflow's runs were compared too."""
    assert figures["files"] > 30
    assert figures["files_that_differ"] == [] == figures["files_that_differ_for_the_second"]
    # Of every stage one Job, though two asked for it; of every Job one pod that did it, of one also a killed one.
    assert figures["jobs_that_two_asked_for"] > 0
    assert figures["pods_that_ended_well"] == figures["jobs"] and figures["pods"] == figures["jobs"] + 1
    assert 0 < figures["killed_after_step"] <= figures["resumed_at_step"]


def test_the_record_shows_that_a_climb_on_a_cluster_leaves_the_same() -> None:
    holds_as_recorded(json.loads(RECORD.read_text(encoding="utf-8"))[FIELD])


def test_records_are_compared_without_the_moment_and_with_all_else() -> None:
    made = {"name": "sft", "seconds": 1.5, "mlflow_run_id": "a", "curves": [{"loss": 1.0, "latency_ms": 3.0}]}
    assert lasting(made) == {"name": "sft", "curves": [{"loss": 1.0}]}
    assert lasting({"data_hash": "d", "dev_score": 0.5}) == {"data_hash": "d", "dev_score": 0.5}
    assert lasting({"decision": "kept", "version": 1}) == {"decision": "kept", "version": 1}
    assert lasting({"decision": "0123456789abcdef", "version": 1}) == {"version": 1}  # a hash of what has latencies


def test_changed_missing_and_extra_files_are_reported(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts" / RUN
    for name, text in (("data/train.jsonl", "{}"), ("gate/gate.json", '{"latency_ms_p95": 1}'), ("rungs/x", "x")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    before = contents(Project(tmp_path))
    (folder / "gate/gate.json").write_text('{"latency_ms_p95": 2}', encoding="utf-8")
    assert differing(before, contents(Project(tmp_path))) == []
    (folder / "data/train.jsonl").write_text("{} ", encoding="utf-8")
    (folder / "rungs/x").rename(folder / "rungs/y")
    assert differing(before, contents(Project(tmp_path))) == ["data/train.jsonl", "rungs/x", "rungs/y"]


def test_records_are_compared_by_their_figures_and_not_by_their_times() -> None:
    rows: list[tuple[object, ...]] = [
        ("sft", "FINISHED"), ("sft", "FINISHED"), ("sft", "train/loss", 0.5), ("sft", "test/latency_ms_p95", 3.0),
        ("sft", "stage_seconds", 9.0),
    ]  # fmt: skip
    assert recorded(rows) == {str(rows[0]): 2, str(rows[2]): 1}


@needs_s3
@needs_postgres
@pytest.mark.slow
@pytest.mark.services
def test_a_climb_on_a_cluster_leaves_what_one_here_leaves_though_a_pod_is_killed_and_two_ask(tmp_path: Path) -> None:
    holds(climbed(tmp_path))
