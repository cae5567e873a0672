"""`gradus score`, as a person runs it: what people said becomes scores in the lake and assessments in MLflow, once."""

import time
from collections.abc import Callable

import pytest
import yaml

from components.records import Feedback, Message, Scored, Trace, Usage
from components.registry import store_traces
from components.registry.store import connect
from components.registry.traces import mlflow_trace_id
from monitoring.lake import Lake
from tests.components.scorers.judge_server import RUBRIC, judging
from tests.flows.conftest import Project

pytestmark = pytest.mark.slow  # two commands, each of which starts Prefect
RIGHT = (
    '{"intent": "order_status", "product": "smart_watch", "order_id": null, "amount": null, "wants_refund": false, '
    '"priority": "low"}'
)


def test_scores_are_in_the_lake_and_on_recorded_traces_once(
    make_project: Callable[[], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, now = make_project(), time.time()
    usage = Usage(input_tokens=5, output_tokens=4)
    traces = [
        Trace(
            id=name, at=now - 60, workload="triage", version=1, method="grpo", text=text, finish_reason="stop",
            messages=(Message(role="user", content="Where is it?"),), usage=usage, latency_ms=12.0, valid=True,
        )
        for name, text in (("right", RIGHT), ("wrong", RIGHT.replace("low", "high")), ("silent", RIGHT))
    ]  # fmt: skip
    reported = [Feedback(trace_id=name, at=now - 30, workload="triage", corrected=RIGHT) for name in ("right", "wrong")]
    lake = Lake(project.folder / "state" / "lake")
    lake.store("1", [record.model_dump_json() for record in (*traces, *reported)])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.folder}/state/mlflow.db")
    store_traces("1", [trace.model_dump_json() for trace in traces if trace.id != "right"])

    first, second = (project.call("flows.cli", "score", "triage") for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "2 scored against a corrected answer, 0 as people scored them, 0 scored before, 1 without" in first.stderr
    assert "New assessments in MLflow: 1." in first.stderr
    assert "0 scored against a corrected answer, 0 as people scored them, 2 scored before, 1 without" in second.stderr
    assert "New assessments in MLflow: 0." in second.stderr

    assert {each.trace_id: each.passed for each in lake.read(Scored, "triage")} == {"right": True, "wrong": False}
    (said,) = connect().get_trace(mlflow_trace_id("wrong")).info.assessments
    assert (said.name, said.rationale) == ("score", "priority: expected 'low', found 'high'")


def test_a_configured_judge_marks_answers_that_nobody_spoke_of(
    make_project: Callable[[], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, now = make_project(), time.time()
    path = project.folder / "params" / "workloads" / "triage.yaml"
    (project.folder / "rubric.md").write_text(RUBRIC)
    with judging() as server:
        api = {"base_url": f"http://127.0.0.1:{server.server_port}/v1", "key_variable": None}
        settings = yaml.safe_load(path.read_text())
        settings["scorer"]["judge"] = {"model": "gpt-4.1-mini", "rubric": "rubric.md", "api": api}
        settings["serving"] = {"judge_share": 1.0}
        path.write_text(yaml.safe_dump(settings))
        trace = Trace(
            id="silent", at=now - 60, workload="triage", version=1, method="grpo", text="thank you",
            messages=(Message(role="user", content="Where is it?"),), finish_reason="stop",
            usage=Usage(input_tokens=5, output_tokens=4), latency_ms=12.0, valid=False,
        )  # fmt: skip
        lake = Lake(project.folder / "state" / "lake")
        lake.store("1", [trace.model_dump_json()])
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.folder}/state/mlflow.db")
        store_traces("1", [trace.model_dump_json()])
        result = project.call("flows.cli", "score", "triage")
    assert result.returncode == 0, result.stderr
    assert "Of a share of 1: 1 judged, 0 judged before, 0 without a verdict." in result.stderr
    assert "verdicts cost $0.0001" in result.stderr  # 100 tokens in and 10 out at 0.40 and 1.60 dollars a million
    assert [(each.source, each.value) for each in lake.read(Scored, "triage")] == [("judge", 1.0)]
    (said,) = connect().get_trace(mlflow_trace_id("silent")).info.assessments
    assert (said.source.source_type, said.rationale) == ("LLM_JUDGE", "thanks or not")
