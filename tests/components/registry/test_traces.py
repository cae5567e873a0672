"""Traces of production in a real record: whole, once, with what was said of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.data.trajectories import read_trajectories
from components.errors import DataError
from components.records import Feedback, Message, Scored, Tool, ToolCall, Trace, Usage
from components.registry import Row, assess, open_run, store_rows, store_traces
from components.registry.store import connect
from components.registry.traces import MOST_LOOKED_UP, mlflow_trace_id
from components.registry.translation import translated
from tests.shared_storage import needs_postgres, postgres

START = 1_700_000_000.25


def trace(name: str, workload: str = "traced", **changes: Any) -> Trace:
    whole: dict[str, Any] = {
        "id": name, "at": START, "workload": workload, "version": 3, "method": "grpo",
        "messages": (Message(role="system", content="Be brief."), Message(role="user", content="Où est-il?")),
        "text": '{"intent": "état"}', "finish_reason": "stop", "usage": Usage(input_tokens=50, output_tokens=4),
        "latency_ms": 120.5, "valid": True, "confidence": 0.75, "cost_usd": 2e-5, "route": "canary",
    }  # fmt: skip
    return Trace(**{**whole, **changes})


def store(*records: Trace | Feedback | Scored) -> None:
    store_traces("1", [record.model_dump_json() for record in records])


def feedback(name: str, score: float | None = 0.5, corrected: str | None = None, at: float = START + 60) -> Feedback:
    return Feedback(trace_id=name, at=at, workload="traced", score=score, corrected=corrected)


def scored(name: str, at: float = START + 90) -> Scored:
    return Scored(
        trace_id=name, at=at, workload="traced", source="scorer", value=0.25, passed=False, reason="intent: expected x"
    )


def found(record: Any, name: str) -> Any:
    return record.get_trace(mlflow_trace_id(name))


def said(record: Any, name: str) -> list[tuple[str, Any, str]]:
    there = found(record, name).info.assessments
    return sorted(
        (assessment.name, (assessment.feedback or assessment.expectation).value, assessment.source.source_type)
        for assessment in there
    )


def test_an_id_that_is_longer_than_databases_keep_is_cut_and_its_trace_found_by_it(record: Any) -> None:
    name = f"chatcmpl-{'0' * 32}~fallback-1"
    store(trace(name))
    assert found(record, name).info.client_request_id == name[:50] != name


def test_a_trace_has_all_that_we_know_of_an_answer(record: Any) -> None:
    store(trace("whole"))
    there = found(record, "whole")
    info, (span,) = there.info, there.data.spans
    assert info.client_request_id == "whole"
    assert span.inputs == {"messages": [message.model_dump() for message in trace("whole").messages]}
    assert span.outputs["choices"][0]["message"]["content"] == '{"intent": "état"}'
    facts = {"version": 3, "method": "grpo", "route": "canary", "valid": True, "confidence": 0.75, "cost_usd": 2e-5}
    assert {name: span.attributes[f"gradus.{name}"] for name in facts} == facts
    assert {name: info.tags[f"gradus.{name}"] for name in facts} == {key: str(value) for key, value in facts.items()}
    assert info.token_usage == {"input_tokens": 50, "output_tokens": 4, "total_tokens": 54}
    assert info.cost["total_cost"] == 2e-5


def test_a_turn_that_calls_tools_can_be_read_back_as_a_conversation_with_their_schemas(
    record: Any, tmp_path: Path
) -> None:
    look = Tool(name="look", description="Look.", parameters={"type": "object", "properties": {"id": {}}})
    call = ToolCall(id="x", name="look", arguments='{"id": 1}')
    answer = Message(role="tool", content='{"at": 2}', tool_call_id="x")
    asked = (*trace("a").messages, Message(role="assistant", content="", tool_calls=(call,)), answer)
    store(trace("calling", messages=asked, text="", tools=(look,), calls=(call.model_copy(update={"id": "y"}),)))
    path = tmp_path / "trace.json"
    path.write_text(json.dumps(found(record, "calling").to_dict()), encoding="utf-8")
    (trajectory,) = read_trajectories(path, translated)
    assert trajectory.tools == (look,)
    assert [call.id for call in trajectory.calls] == ["x", "y"]
    assert trajectory.messages[:4] == asked


def test_a_trace_ends_when_it_was_written_and_lasted_as_long_as_the_answer(record: Any) -> None:
    store(trace("timed"))
    there = found(record, "timed")
    assert there.info.execution_duration == 120
    assert there.info.request_time == 1_700_000_000_129  # 250 ms less 120.5 ms
    assert there.data.spans[0].end_time_ns == 1_700_000_000_250_000_000
    assert there.data.spans[0].start_time_ns == 1_700_000_000_129_500_000


def test_traces_are_found_by_route_version_and_validity(record: Any) -> None:
    store(trace("left", "searched", route="champion"), trace("right", "searched", valid=False))
    place = record.get_experiment_by_name("searched").experiment_id
    search = "tag.`gradus.route` = 'canary' AND tag.`gradus.valid` = 'False' AND tag.`gradus.version` = '3'"
    names = [stored.info.client_request_id for stored in record.search_traces(locations=[place], filter_string=search)]
    assert names == ["right"]


def test_a_segment_that_is_stored_again_changes_nothing(record: Any) -> None:
    segment = [trace("first", "again"), trace("second", "again"), feedback("first"), scored("second")]
    store(*segment[:1])  # as far as it came the first time
    for _ in range(2):
        store(*segment)
    place = record.get_experiment_by_name("again").experiment_id
    there = record.search_traces(locations=[place])
    assert sorted(stored.info.client_request_id for stored in there) == ["first", "second"]
    assert [len(stored.info.assessments) for stored in there] == [1, 1]
    assert [len(found(record, name).data.spans) for name in ("first", "second")] == [1, 1]


def test_what_people_say_becomes_feedback_and_an_expectation(record: Any) -> None:
    store(trace("told"), feedback("told", 0.5, '{"intent": "x"}'))
    assert said(record, "told") == [
        ("expected_response", '{"intent": "x"}', "HUMAN"), ("feedback", 0.5, "HUMAN"),
    ]  # fmt: skip


def test_later_feedback_stands_beside_earlier_feedback(record: Any) -> None:
    store(trace("twice"), feedback("twice", 0.0))
    store(feedback("twice", 1.0, at=START + 120))
    assert said(record, "twice") == [("feedback", 0.0, "HUMAN"), ("feedback", 1.0, "HUMAN")]


def test_a_score_tells_its_source_its_reason_and_whether_the_answer_passed(record: Any) -> None:
    store(trace("scored"))
    assert assess([scored("scored")]) == 1
    assert said(record, "scored") == [("score", 0.25, "CODE")]
    (there,) = found(record, "scored").info.assessments
    assert (there.rationale, there.metadata["passed"]) == ("intent: expected x", "False")


def test_only_traces_that_are_recorded_are_assessed_and_each_once(record: Any) -> None:
    names = [f"sampled-{number}" for number in range(3)]
    store(*(trace(name) for name in names))
    others = [scored(f"elsewhere-{number}") for number in range(MOST_LOOKED_UP + 1)]
    assert assess([*others, *map(scored, names)]) == 3
    assert assess([*others, *map(scored, names)]) == 0


NUL = "before\0after"


def kept_of_nul(record: Any, workload: str) -> dict[str, str]:
    """What the record has of texts with a NUL in all places where texts come from elsewhere."""
    asked = Message(role="user", content=NUL)
    store(
        trace(workload, workload, messages=(asked,), text=NUL, method=NUL),
        scored(workload).model_copy(update={"reason": NUL}), feedback(workload, corrected=NUL),
    )  # fmt: skip
    with open_run(workload, "sft", {"rung": NUL}) as run:
        run.params({"note": NUL})
        run.tag({"gate.reasons": NUL})
    row = Row(NUL, {"text": NUL}, NUL, NUL, (1, 1), 1.0, {"right": False}, {"right": NUL})
    assert store_rows(str(run.run_id), [row]) == 1
    info, data = found(record, workload).info, record.get_run(run.run_id).data
    (shown,) = record.search_traces(locations=[info.experiment_id], run_id=run.run_id)
    rationales = {
        f"{name} {told.name}": told.rationale
        for name, told_of in (("trace", info), ("row", shown.info))
        for told in told_of.assessments
        if told.rationale is not None
    }
    assert len(rationales) == 2
    return {
        **rationales,
        "asked": info.request_preview, "answered": info.response_preview, "method": info.tags["gradus.method"],
        "row": shown.info.response_preview, "row's id": shown.info.client_request_id,
        "row's tag": shown.info.tags["gradus.example"],
        "setting": data.params["note"], "rung": data.tags["rung"], "reasons": data.tags["gate.reasons"],
    }  # fmt: skip


def test_no_nul_reaches_the_record(record: Any) -> None:
    assert set(kept_of_nul(record, "nul").values()) == {"before\ufffdafter"}


@needs_postgres
@pytest.mark.slow
@pytest.mark.services
def test_postgresql_which_takes_no_nul_keeps_texts_that_had_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with postgres("mlflow") as databases:
        for name, value in {**databases.environment, "MLFLOW_TRACKING_URI": databases.address("mlflow")}.items():
            monkeypatch.setenv(name, value)
        assert set(kept_of_nul(connect(), "nul").values()) == {"before\ufffdafter"}


def test_what_is_no_record_is_refused(record: Any) -> None:
    with pytest.raises(DataError, match="expected a trace, a feedback or a score"):
        store_traces("1", ["{}"])
