"""The whole ladder, as a person climbs it: once, again with nothing changed, with other RL settings, with bad data."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.records import Ladder, read_record
from components.stages.graph import nodes
from components.stages.run import Run, StageRecord
from flows.reproduce import changed, stale
from tests.flows.conftest import RUN, Climb, Project

RUNGS = ["classical", "loose", "schema", "schema_definitions", "sft", "grpo"]


@pytest.fixture(scope="module")
def first(climbed_once: Climb, tmp_path_factory: pytest.TempPathFactory) -> Climb:
    return climbed_once.copied(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def again(first: Climb) -> Climb:
    return Climb.of(first.project)


@pytest.fixture(scope="module")
def retuned(again: Climb) -> Project:
    """The project with other RL settings, before a climb with them."""
    again.project.set("profiles/nano.yaml", {"methods": {"grpo": {"learning_rate": 0.0007}}})
    return again.project


def best_prompt(project: Project) -> str:
    """The prompt that was best on dev."""
    return json.loads((project.artifacts / "best" / "prompts.json").read_text())["name"]


@dataclass(frozen=True)
class Refused:
    """A climb whose data stage failed, and the records of the stages before it."""

    climb: Climb
    before: dict[str, StageRecord]


@pytest.fixture(scope="module")
def refused(again: Climb) -> Refused:
    before = again.project.stages()
    again.project.set("workloads/triage.yaml", {"validation": {"max_input_characters": 5}})
    result = Climb.of(again.project)
    again.project.set("workloads/triage.yaml", {"validation": {"max_input_characters": 20_000}})
    return Refused(result, before)


@pytest.fixture(scope="module")
def ladder(first: Climb) -> Ladder:
    return read_record(first.project.artifacts / "report" / "ladder.json", Ladder)


@pytest.fixture(scope="module")
def record(first: Climb) -> Any:
    """The client of the project's record, opened as MLflow's own pages open it."""
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{first.project.folder}/state/mlflow.db")


def test_a_climb_ends_with_a_table_the_report_and_the_way_to_the_record(climbed_once: Climb) -> None:
    table, _, last = climbed_once.out.partition("Report: ")
    for rung in RUNGS:
        assert f" {rung} " in table
    assert Path(last.splitlines()[0]) == (climbed_once.project.artifacts / "report" / "report.html").resolve()
    assert "gradus ui" in last


def test_every_stage_leaves_its_record_with_its_run(first: Climb) -> None:
    assert first.stages.keys() == {*first.project.nodes}
    assert len({record.mlflow_run_id for record in first.stages.values()} - {None}) == len(first.stages)
    assert all(record.seconds > 0 for record in first.stages.values())


def test_the_ladder_is_one_record_of_all_rungs(first: Climb, ladder: Ladder) -> None:
    assert [rung.name for rung in ladder.rungs] == RUNGS
    assert (ladder.data.train, ladder.data.dev, ladder.data.test, ladder.data.sealed) == (120, 24, 40, 40)
    assert ladder.seconds.keys() == first.stages.keys() - {"report"}
    for rung in ladder.rungs:
        assert rung.mlflow_run_id == first.stages[f"rung-{rung.name}"].mlflow_run_id
    assert [(rung.starts_from, rung.parent) for rung in ladder.rungs if rung.makes == "model"] == [
        (None, best_prompt(first.project)), ("sft", "sft"),
    ]  # fmt: skip
    assert ladder.gate is not None and ladder.gate == ladder.climb[-1] and len(ladder.climb) == 4


def test_prompts_are_priced_and_owned_rungs_measured(ladder: Ladder) -> None:
    measured = {rung.name for rung in ladder.rungs if rung.cost.measured}
    assert measured == {"classical", "sft", "grpo"}


def test_the_report_fetches_nothing(first: Climb) -> None:
    page = (first.project.artifacts / "report" / "report.html").read_text(encoding="utf-8")
    assert "Content-Security-Policy" in page and "default-src 'none'" in page
    assert not re.findall(r"<(?:script|link|img|iframe|object|embed)\b|\b(?:src|href|srcset)\s*=|url\(|@import", page)


def test_the_record_holds_one_run_with_a_child_for_each_stage(first: Climb, record: Any) -> None:
    children = {name: record.get_run(done.mlflow_run_id) for name, done in first.stages.items()}
    assert {name: run.info.run_name for name, run in children.items()} == {
        name: name.removeprefix("rung-") if name.startswith("rung-") else f"{RUN}/{name}" for name in children
    }
    (parent_id,) = {run.data.tags["mlflow.parentRunId"] for run in children.values()}
    parent = record.get_run(parent_id)
    assert (parent.info.run_name, parent.data.tags["stage"]) == (RUN, "ladder")
    assert {run.info.status for run in [parent, *children.values()]} == {"FINISHED"}
    everything = record.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent_id}'")
    assert len(everything) == len(first.stages)
    assert {path.path for path in record.list_artifacts(parent_id, "report")} == {
        "report/economics.json", "report/frontier.svg", "report/ladder.json", "report/ladder.svg", "report/report.html",
    }  # fmt: skip


def test_rungs_are_runs_that_one_table_compares(first: Climb, record: Any, ladder: Ladder) -> None:
    runs = {name: record.get_run(first.stages[f"rung-{name}"].mlflow_run_id).data for name in RUNGS}
    for rung in ladder.rungs:
        data = runs[rung.name]
        assert data.metrics["test/accuracy"] == rung.accuracy.value
        assert data.metrics["test/usd_per_year"] == rung.cost.usd_per_year
        assert (data.tags["method"], data.tags["mlflow.runType"]) == (rung.method, "genai_evaluate")
        assert data.params["data_version"] == ladder.data.version
    assert float(runs["sft"].params["settings.epochs"]) == 2 and runs["grpo"].params["settings.steps"] == "2"


def test_all_prompts_are_registered_the_best_and_the_trained_one_by_alias(first: Climb, record: Any) -> None:
    by_alias = {
        alias: record.get_prompt_version_by_alias("triage-prompt", alias).tags["gradus.file"]
        for alias in ("best", "trained")
    }
    assert by_alias == {"best": best_prompt(first.project), "trained": "short"}
    assert len(record.search_prompt_versions("triage-prompt")) == 4


def test_the_champion_is_a_version_that_was_verified(first: Climb, record: Any) -> None:
    version = record.get_model_version_by_alias("triage", "champion")
    assert version.tags["gradus.verified"] == "10 completions reproduced"
    made = json.loads((first.project.artifacts / "published.json").read_text())
    assert (version.tags["rung"], int(version.version)) == (made["champion"], made["version"])


def test_nothing_changed_starts_nothing(climbed_once: Climb, first: Climb, again: Climb) -> None:
    told = first.out.replace(str(climbed_once.project.folder), str(first.project.folder))
    assert (again.code, again.out) == (0, told)
    assert again.written_ns == first.written_ns
    assert again.cpu_seconds < 12


def test_a_stage_that_the_graph_does_not_have_counts_as_changed(again: Climb, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(again.project.folder)
    run = Run.of("triage", "nano")
    assert changed(run, ["data", "report", "gone"]) == {"gone"}
    assert stale(run, nodes(run)) == []


def test_other_rl_settings_concern_the_rl_stage_and_no_earlier_one(retuned: Project) -> None:
    written = retuned.call("flows.cli", "graph", "triage")
    assert written.returncode == 0, written.stderr
    result = retuned.call("dvc", "status", "--json", *map(retuned.target, retuned.nodes))
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout).keys() == {retuned.target("rung-grpo")}


@pytest.mark.slow
def test_other_rl_settings_run_rl_and_what_follows_again(again: Climb, retuned: Project) -> None:
    result = Climb.of(retuned)
    assert result.code == 0, result.error
    ran = {stage for stage in result.stages if result.stages[stage] != again.stages[stage]}
    assert ran == {"rung-grpo", "answer-grpo", "evaluate", "gate", "report"}


def test_a_stage_that_fails_ends_the_climb_in_one_sentence(refused: Refused) -> None:
    result = refused.climb
    assert (result.code, result.out) == (2, "")
    assert "Traceback" not in result.error
    (sentence,) = re.findall(r"^gradus: .*", result.error, flags=re.MULTILINE)
    assert "validation.max_quarantined_share" in sentence and "input has" in sentence
    assert result.error.rstrip().endswith(sentence)
    assert result.stages == {stage: done for stage, done in refused.before.items() if stage != "data"}
