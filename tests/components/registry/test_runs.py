"""Runs as MLflow keeps them: read back through its own client."""

import re
from pathlib import Path
from typing import Any

import pytest

from components.errors import RegistryError
from components.registry import Dataset, MlflowTracker, open_run
from components.tracking import NullTracker, Tracker

TAGS = {"git_commit": "c0ffee", "params_hash": "p1", "data_hash": "d1"}


def test_a_run_keeps_where_it_comes_from_and_ends_finished(record: Any) -> None:
    with open_run("triage-nano", "sft", TAGS) as run:
        run.params({"sft": {"epochs": 4}, "api_key": "abc"})
    kept = record.get_run(run.run_id)
    assert kept.info.status == "FINISHED" and kept.info.run_name == "sft"
    assert {**kept.data.tags, **TAGS} == kept.data.tags
    assert kept.data.tags["mlflow.source.git.commit"] == "c0ffee"
    assert kept.data.params == {"sft.epochs": "4", "api_key": "(hidden)"}


def test_curves_keep_every_step_in_order(record: Any) -> None:
    with open_run("triage-nano", "curves", {}) as run:
        for step in range(250):
            run.metrics({"sft/loss": 1 / (step + 1), "sft/rate": 0.5}, step)
        run.metrics({"final/accuracy": 0.9})
    history = record.get_metric_history(run.run_id, "sft/loss")
    assert [point.step for point in history] == list(range(250))
    assert [point.value for point in history] == [1 / (step + 1) for step in range(250)]
    assert record.get_run(run.run_id).data.metrics["final/accuracy"] == 0.9


def test_more_numbers_and_settings_than_one_call_takes_are_all_kept(record: Any) -> None:
    with open_run("triage-nano", "many", {}) as run:
        run.params({f"p{number}": number for number in range(250)})
        run.metrics({f"m/{number}": float(number) for number in range(2_100)})
    data = record.get_run(run.run_id).data
    assert len(data.params) == 250 and len(data.metrics) == 2_100


NAMES = {
    "test/field/Größe in m: a-b.c/d": r"test/field/Größe in m: a-b\.c/d",
    "test/field/Total (EUR)": r"test/field/Total _EUR_-\w{8}",
    "test/field/Total [EUR]": r"test/field/Total _EUR_-\w{8}",
    "certify/sensitive/order#": r"certify/sensitive/order_-\w{8}",
    "Preis in €": r"Preis in _-\w{8}",
    "a,b's\n?&%\0": r"a_b_s_____-\w{8}",
    "a//b": r"a/_/b-\w{8}",
    "a/./b/": r"a/_/b/_-\w{8}",
    "../a": r"_\./a-\w{8}",
    "..a": r"_\.a-\w{8}",
    "test/field/.NET/..b": r"test/field/\.NET/\.\.b",
    "/a": r"_/a-\w{8}",
    "": r"_-\w{8}",
    "a/" * 400: r"(a/){120}a-\w{8}",
}


def test_names_that_mlflow_refuses_are_recorded_under_similar_ones_and_two_stay_two(record: Any) -> None:
    with open_run("triage-nano", "named", {}) as run:
        run.metrics({name: float(number) for number, name in enumerate(NAMES)})
        run.params({name: number for number, name in enumerate(NAMES)})
        run.complete({name: "another" for name in NAMES})
    data = record.get_run(run.run_id).data
    metrics, params = ({value: name for name, value in kept.items()} for kept in (data.metrics, data.params))
    for number, (name, recorded) in enumerate(NAMES.items()):
        assert re.fullmatch(recorded, metrics[number]), f"{name!r} is recorded as {metrics[number]!r}"
        assert params[str(number)] == metrics[number]


def test_an_exception_marks_the_run_as_failed_and_passes_through(record: Any) -> None:
    with pytest.raises(ValueError, match="rank"), open_run("triage-nano", "broken", {}) as run:
        run.metrics({"sft/loss": 2.0}, 1)
        run.metrics({"sft/loss": 1.5}, 2)
        raise ValueError("rank must be at least 1")
    kept = record.get_run(run.run_id)
    assert kept.info.status == "FAILED"
    assert kept.data.tags["error"] == "ValueError: rank must be at least 1"
    assert kept.data.metrics["sft/loss"] == 1.5, "what waited is written before the run closes"


def test_ctrl_c_marks_the_run_as_killed(record: Any) -> None:
    with pytest.raises(KeyboardInterrupt), open_run("triage-nano", "stopped", {}) as run:
        raise KeyboardInterrupt
    assert record.get_run(run.run_id).info.status == "KILLED"


def test_a_run_belongs_to_its_parent(record: Any) -> None:
    with open_run("triage-nano", "ladder", {}) as ladder, open_run("triage-nano", "sft", {}, ladder.run_id) as child:
        pass
    assert record.get_run(child.run_id).data.tags["mlflow.parentRunId"] == ladder.run_id


def test_data_is_recorded_with_name_digest_and_split(record: Any, tmp_path: Path) -> None:
    with open_run("triage-nano", "data", {}) as run:
        run.dataset(Dataset("triage", "a" * 64, "train", tmp_path / "train.jsonl", 3_000))
        run.dataset(Dataset("triage", "b" * 12, "test", tmp_path / "test.jsonl", 1_000))
    inputs = record.get_run(run.run_id).inputs.dataset_inputs
    recorded = {item.tags[0].value: (item.dataset.name, item.dataset.digest, item.dataset.profile) for item in inputs}
    assert recorded["train"] == ("triage", "a" * 36, '{"num_rows": 3000}')
    assert recorded["test"][1] == "b" * 12


def test_files_and_folders_are_kept(record: Any, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.html").write_text("hello")
    with open_run("triage-nano", "files", {}) as run:
        run.artifact(tmp_path / "docs", "data-docs")
        run.artifact(tmp_path / "docs" / "index.html")
    assert {item.path for item in record.list_artifacts(run.run_id)} == {"data-docs", "index.html"}
    assert [item.path for item in record.list_artifacts(run.run_id, "data-docs")] == ["data-docs/index.html"]


def test_a_missing_file_is_named(record: Any, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"found none at .*report\.html"), open_run("triage-nano", "x", {}) as run:
        run.artifact(tmp_path / "report.html")


def test_a_setting_that_changes_within_a_run_is_refused(record: Any) -> None:
    refused = pytest.raises(RegistryError, match="expected settings that the run can keep")
    with refused, open_run("triage-nano", "x", {}) as run:
        run.params({"seed": 1})
        run.params({"seed": 2})


def test_an_experiment_that_was_deleted_is_named(record: Any) -> None:
    with open_run("gone", "x", {}):
        pass
    record.delete_experiment(record.get_experiment_by_name("gone").experiment_id)
    refused = pytest.raises(RegistryError, match="expected the experiment `gone` to be active, found it deleted")
    with refused, open_run("gone", "x", {}):
        pass


def test_both_trackers_satisfy_the_protocol() -> None:
    trackers: list[Tracker] = [NullTracker(), MlflowTracker(None, "id")]
    assert [tracker.run_id for tracker in trackers] == [None, "id"]
