"""A look at production as a person takes it: on what a climb registered, and a lake of traces."""

import json
import shutil
import time
from collections.abc import Iterable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest

from components.records import Message, Observation, Trace, Usage, read_jsonl, read_record
from components.registry import REFERENCE, Version
from components.stages.run import PIPELINE
from components.workloads.desk import Task, drifted, generate
from monitoring.lake import Lake
from monitoring.watch import Watched, sentence
from monitoring.windows import HOUR_S
from tests.components.stages.test_agent_climb import change
from tests.flows.conftest import ROOT, Project
from tests.monitoring.conversed import conversed


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


def test_an_agents_conversations_are_watched_by_the_same_look_record_and_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import watch

    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "params", "params")
    change(PIPELINE, {"watch": {"min_rows": 60, "resamples": 500, "false_alarms": 0.01}})
    said, kept = list[dict[str, Any]](), list[Watched]()
    monkeypatch.setattr(watch, "emit_event", lambda name, resource, payload: said.append({"name": name, **payload}))
    monkeypatch.setattr(watch, "registered", lambda name: Version(1, "sft", "model", "short", Path()))
    monkeypatch.setattr(watch, "record", lambda run, found, page: kept.append(found))
    monkeypatch.setattr(watch, "look", watch.look.fn)
    now = time.time()
    hold("usual", 110, generate(24, 3), now - 40 * HOUR_S)
    quiet = watch.watch.fn("desk")
    assert (quiet.judged, quiet.rows, quiet.of, said, kept) == (False, 0, "conversations", [], [])
    hold("moved", 90, drifted(24, 4, "argument"), now - HOUR_S)
    found = watch.watch.fn("desk")
    assert found.kinds == ("tools",) and {"tools.get_order.schema", "tools.get_order.given"} <= {
        one.column for one in found.moved
    }
    assert (found.usual, found.version, found.rows, found.total) == ("before", 1, 90, 90)
    assert [(one["name"], one["workload"], one["kind"]) for one in said] == [(watch.DRIFT, "desk", "tools")]
    assert kept == [found] == [read_record(Path("state/watch/desk/watched.json"), Watched)]
    assert Path("state/watch/desk/drift.html").stat().st_size > 100_000
    assert watch.watch.fn("desk") == found and len(said) == len(kept) == 1  # nothing new: no second event
    assert sentence(found).startswith("desk, version 1: 90 of 90 conversations, drift in tools, ")


def hold(name: str, count: int, tasks: Iterable[Task], at: float) -> None:
    """So many conversations of the first version, one each ten seconds, in the lake of this folder."""
    tries = islice(cycle([one.demonstration for one in tasks]), count)
    turns = [
        turn
        for number, one in enumerate(tries)
        for turn in conversed(one, f"{name}{number}", at + 10 * number, customer=f"{name}{number}")
    ]
    Lake(Path("state/lake")).store(name, [one.model_dump_json() for one in turns])
