"""What MLflow shows of a climb: read back through its own client, from a real record."""

import json
from dataclasses import replace
from typing import Any

import pytest

from components.params import RecordParams
from components.records import Completion, Usage, write_record
from components.registry import examples_asked_for, open_run
from components.stages.evaluate import evaluate
from components.stages.figures import settings
from components.stages.gate import decided, gate, gate_file
from components.stages.graph import records
from components.stages.publish import publish
from components.stages.run import RESULT, Run, StageRecord
from components.stages.rungs import best, rung
from components.stages.standing import stand
from components.stages.tell import tell
from components.tracking import NullTracker
from tests.components.stages.conftest import MakeRun, example, keep_answered, keep_answers

ROWS = 3
RIGHT = {"classical": 30, "one": 54}


def climbed(run: Run) -> Run:
    """A run with a classifier and a prompt, each made in a run of the record; so many of sixty answers right."""
    run = replace(run, rungs=tuple(run.planned(name) for name in RIGHT), record=RecordParams(rows=ROWS))
    for name in RIGHT:
        with open_run(run.workload.name, name, {}) as tracker:
            rung(run, tracker, name)
    best(run, NullTracker(), "prompts")
    for name, right in RIGHT.items():
        answer(run, name, right)
        keep_answered(run, name)
    evaluate(run, NullTracker())
    return run


def answer(run: Run, name: str, right: int) -> None:
    usage = Usage(input_tokens=100, output_tokens=10)
    for split in ("test", "sealed"):
        keep_answers(run, name, split, [
            Completion(
                example_id=f"{split}-{number:03}", usage=usage, latency_ms=float(number),
                text=example(number).reference if number < right else '{"intent": "refund", "urgent": null}',
            )
            for number in range(60)
        ])  # fmt: skip


def decide_and_tell(run: Run) -> str:
    """Run gate, publication and recording in one MLflow run; returns its id."""
    with open_run(run.workload.name, run.name, {"run": run.name}) as tracker:
        stand(run, tracker)
        gate(run, tracker)
        for path in records(run):
            write_record(path, StageRecord(stage=path.stem, seconds=1, mlflow_run_id=None))
        publish(run, tracker)
        tell(run, tracker)
    return str(tracker.run_id)


@pytest.fixture
def run(make_run: MakeRun, request: pytest.FixtureRequest, api: Any, record: Any) -> Run:
    return climbed(make_run(request.node.name[5:35], api, min_examples=60, min_validity=0.0))


def data_of(record: Any, run: Run, name: str) -> Any:
    return record.get_run(run.rung(name).mlflow_run_id)


def rows_of(record: Any, run: Run, name: str) -> dict[str, Any]:
    """The rows that a rung's run shows, by example."""
    kept = data_of(record, run, name)
    traces = record.search_traces(locations=[kept.info.experiment_id], run_id=kept.info.run_id)
    return {trace.info.client_request_id: trace for trace in traces}


def test_figures_have_the_same_names_in_every_rungs_run(run: Run, record: Any) -> None:
    decide_and_tell(run)
    reported = {name: data_of(record, run, name).data.metrics for name in RIGHT}
    names = [
        "test/accuracy", "test/accuracy_low", "test/accuracy_high", "test/validity", "test/usd_per_year",
        "test/usd_per_1k_calls", "test/latency_ms_p50", "test/latency_ms_p95", "test/tokens_input",
        "test/tokens_output", "test/seconds", "dev/score", "seconds",
    ]  # fmt: skip
    assert all(name in metrics for metrics in reported.values() for name in names)
    # 54 and 30 of 60; Wilson's interval of 30 of 60 is 0.5 ± 0.1226
    assert (reported["one"]["test/accuracy"], reported["classical"]["test/accuracy"]) == (0.9, 0.5)
    assert reported["classical"]["test/accuracy_low"] == pytest.approx(0.3774, abs=1e-4)
    assert reported["one"]["test/latency_ms_p50"] == pytest.approx(29.5, abs=0.6)
    assert (reported["one"]["test/tokens_input"], reported["one"]["test/tokens_output"]) == (100, 10)
    best_prompt = run.resolved("prompts") or ""
    assert reported[best_prompt]["sealed/examples"] == 60 and "sealed/alpha" in reported[best_prompt]
    assert not {"sealed/level", "sealed/delta", "sealed/p_value"} & reported[best_prompt].keys()  # the split is in use


def test_a_rungs_settings_are_parameters_and_its_data_inputs(run: Run, record: Any) -> None:
    decide_and_tell(run)
    kept = data_of(record, run, "classical")
    params = kept.data.params
    assert {f"settings.{name}" for name in run.planned("classical").settings.model_dump()} <= params.keys()
    assert (params["method"], params["makes"], params["workload"], params["seed"], params["data_version"]) == (
        "classical", "classifier", run.workload.name, "7", "d1",
    )  # fmt: skip
    assert {"method", "makes", "ladder", "rung", "workload", "profile", "seed", "data_version"} <= kept.data.tags.keys()
    inputs = {input.tags[0].value: input.dataset for input in kept.inputs.dataset_inputs}
    assert inputs.keys() == {"train", "dev", "test"} and len({input.digest for input in inputs.values()}) == 3
    assert json.loads(inputs["train"].profile) == {"num_rows": 60}


def test_the_climbs_run_shows_the_outcome(run: Run, record: Any) -> None:
    kept = record.get_run(decide_and_tell(run))
    champion = run.resolved("prompts")
    assert (kept.data.tags["champion"], kept.data.tags["gate.decision"]) == (champion, "promoted")
    assert kept.data.tags["version"] == "1" and kept.data.metrics["test/accuracy"] == 0.9
    note = kept.data.tags["mlflow.note.content"]
    assert f"| **{champion}** ★ | static_prompt |" in note.replace(run.rung(str(champion)).method, "static_prompt")
    assert all(f"| {name} |" in note for name in RIGHT if name != champion)
    assert "37.7–62.3" in note and "data version `d1`" in note
    pictures = record.list_artifacts(kept.info.run_id, "report")
    assert sorted(picture.path for picture in pictures) == ["report/frontier.svg", "report/ladder.svg"]


def test_what_a_gate_from_dvcs_cache_asked_for_is_told_again(run: Run, record: Any) -> None:
    decide_and_tell(run)
    kept = decided(run)
    asking = kept.verdicts[-1].model_copy(update={"undecided": True, "more_examples": 700})
    write_record(gate_file(run), kept.model_copy(update={"verdicts": (*kept.verdicts[:-1], asking)}))
    with open_run(run.workload.name, "again", {}) as tracker:
        tell(run, tracker)
    assert examples_asked_for(run.workload.name) == 700


def test_telling_again_changes_nothing_and_fails_at_nothing(run: Run, record: Any) -> None:
    climb = decide_and_tell(run)
    before, rows = data_of(record, run, "one"), rows_of(record, run, "one").keys()
    with open_run(run.workload.name, "again", {}) as tracker:
        tell(run, tracker)
    after = data_of(record, run, "one")
    assert after.data.params == before.data.params and after.data.metrics == before.data.metrics
    assert len(after.inputs.dataset_inputs) == 3 and rows_of(record, run, "one").keys() == rows
    assert record.get_run(climb).data.metrics == record.get_run(str(tracker.run_id)).data.metrics | {
        name: value for name, value in record.get_run(climb).data.metrics.items() if not name.startswith("test/")
    }


def test_rows_of_two_rungs_show_the_same_examples_with_their_verdicts(run: Run, record: Any) -> None:
    decide_and_tell(run)
    first, classical = rows_of(record, run, "one"), rows_of(record, run, "classical")
    assert first.keys() == classical.keys() and len(first) == ROWS
    for key, trace in classical.items():
        span = trace.data.spans[0]
        number = int(key.removeprefix("test-"))
        assert span.inputs == example(number).input == first[key].data.spans[0].inputs
        verdicts = {each.name: each for each in trace.info.assessments}
        assert verdicts["right"].value is (number < RIGHT["classical"])
        assert verdicts["expected_response"].value == example(number).reference
        assert verdicts["valid"].value is (number < RIGHT["classical"])
    assert data_of(record, run, "one").data.tags["mlflow.runType"] == "genai_evaluate"


def test_answers_that_changed_replace_the_rows_and_figures_of_the_same_run(run: Run, record: Any) -> None:
    decide_and_tell(run)
    answer(run, "classical", 0)
    evaluate(run, NullTracker())
    with open_run(run.workload.name, "again", {}) as tracker:
        tell(run, tracker)
    rows = rows_of(record, run, "classical")
    assert len(rows) == ROWS
    assert {each.value for trace in rows.values() for each in trace.info.assessments if each.name == "right"} == {False}
    assert data_of(record, run, "classical").data.metrics["test/accuracy"] == 0.0


def test_a_setting_that_is_another_today_stays_as_the_run_has_it(run: Run, record: Any) -> None:
    kept = data_of(record, run, "one")
    record.log_param(kept.info.run_id, "note", "mine")
    today = replace(run, seed=8)
    assert settings(today, today.planned("one"))["seed"] == "8"
    decide_and_tell(today)
    assert data_of(record, run, "one").data.params["seed"] == "7"


def test_a_rung_that_another_record_holds_gets_one_stand_in(run: Run, record: Any) -> None:
    made = run.rung("one").model_copy(update={"mlflow_run_id": "f" * 32})
    write_record(run.rung_folder("one") / RESULT, made)
    decide_and_tell(run)
    with open_run(run.workload.name, "again", {}) as tracker:
        tell(run, tracker)
    experiment = record.get_experiment_by_name(run.workload.name).experiment_id
    (stand_in,) = record.search_runs([experiment], f"tags.`gradus.made_as` = '{'f' * 32}'")
    assert stand_in.info.run_name == "one" and stand_in.data.metrics["test/accuracy"] == 0.9
    assert stand_in.data.params["method"] == made.method


def test_a_version_has_its_card_signature_example_and_requirements(run: Run, record: Any) -> None:
    climb = decide_and_tell(run)
    version = record.get_model_version_by_alias(run.workload.name, "champion")
    assert version.run_id == climb
    assert "90.0% (95 % interval 79.9–95.3, 60 examples)" in version.description
    assert "gradus reproduce" in version.description and "`d1`" in version.description
    assert json.loads(version.tags["gradus.signature"])["inputs"] == [
        {"name": "text", "type": "string", "required": True}
    ]
    names = {item.path for item in record.list_artifacts(climb, "card")}
    assert names == {"card/card.md", "card/input_example.json", "card/requirements.txt", "card/signature.json"}
    example_file = record.download_artifacts(climb, "card/input_example.json")
    with open(example_file, encoding="utf-8") as file:
        assert json.load(file) == example(0).input


def test_without_rows_a_run_is_shown_all_the_same(run: Run, record: Any) -> None:
    decide_and_tell(replace(run, record=RecordParams(rows=0)))
    assert rows_of(record, run, "one") == {}
    assert data_of(record, run, "one").data.metrics["test/accuracy"] == 0.9
