"""A look at production as a person takes it: on what a climb registered, and a lake of traces."""

import json
import time

import pytest

from components.records import Message, Observation, Trace, Usage, read_jsonl, read_record
from components.registry import REFERENCE
from monitoring.lake import Lake
from monitoring.watch import Watched
from tests.flows.conftest import Project


def put(project: Project, rows: list[Observation], segment: str, method: str) -> None:
    """Answers of the first version, as the server leaves them."""
    traces = [
        Trace(
            id=f"chatcmpl-{segment}-{number}", at=time.time() - 60, workload="triage", version=1, method=method,
            input=row.input, messages=(Message(role="user", content=row.input["message"]),), text=row.text,
            finish_reason="stop", usage=Usage(input_tokens=1, output_tokens=row.output_tokens), latency_ms=1.0,
            valid=row.valid, confidence=row.confidence,
        )
        for number, row in enumerate(rows)
    ]  # fmt: skip
    Lake(project.folder / "state" / "lake").store(segment, [one.model_dump_json() for one in traces])


def test_drift_is_an_event_of_the_look_that_saw_it_and_of_no_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import watch
    from monitoring.watch import Moved

    said: list[str] = []
    moved = (Moved(column="input.words", distance=2.0, limit=1.0, reference="mean 1", current="mean 2"),)
    monkeypatch.setattr(watch, "emit_event", lambda name, **rest: said.append(name))
    for until, events in ((time.time() - 60, []), (time.time() + 60, [watch.DRIFT])):  # a look before, and this one
        found = Watched(workload="triage", version=1, since=0, until=until, total=9, rows=9, judged=True, moved=moved)
        monkeypatch.setattr(watch, "look", lambda run, found=found: found)
        assert watch.watch.fn("triage").drifted and said == events


def test_what_moved_is_told_kept_and_recorded(climbed: Project) -> None:
    few = climbed.call("flows.cli", "watch", "triage")
    assert few.returncode == 0, few.stderr
    assert "too few answers to judge" in few.stdout
    usual = read_jsonl(climbed.artifacts / "reference" / REFERENCE, Observation)
    assert len(usual) == 80  # test and sealed
    answer = json.dumps({"intent": "billing_error"})
    moved = [one.model_copy(update={"text": answer, "valid": False}) for one in usual * 3]
    put(climbed, moved, "moved", "classical")
    told = climbed.call("flows.cli", "watch", "triage")
    assert told.returncode == 0, told.stderr
    assert "240 of 240 answers, drift in" in told.stdout
    found = read_record(climbed.folder / "state" / "watch" / "triage" / "watched.json", Watched)
    assert "output" in found.kinds
    assert {"output.intent", "output.valid"} <= {one.column for one in found.moved}
    assert (climbed.folder / "state" / "watch" / "triage" / "drift.html").stat().st_size > 100_000
