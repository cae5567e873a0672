"""A look at production as a person takes it: on what a climb registered, and a lake of traces."""

import json
import shutil
import time
from collections.abc import Iterable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest

from components.errors import RegistryError
from components.records import Message, Observation, Trace, Usage, read_jsonl, read_record, write_record
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
    Lake(project.folder / "state" / "lake").store(segment, [trace.model_dump_json() for trace in traces])


def test_drift_is_told_once_and_by_a_later_look_where_the_record_or_the_event_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import watch
    from monitoring.watch import Moved

    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "params", "params")
    said, recorded = list[str](), list[bool]()
    broken: dict[str, Exception] = {"record": RegistryError("nobody answers"), "event": OSError("no server")}

    def record(run: Any, watched: Watched, page: Path) -> None:
        if "record" in broken:
            raise broken.pop("record")
        recorded.append(watched.drifted)

    def emit(name: str, **rest: Any) -> None:
        if "event" in broken:
            raise broken.pop("event")
        said.append(name)

    monkeypatch.setattr(watch, "emit_event", emit)
    monkeypatch.setattr(watch, "record", record)
    monkeypatch.setattr(watch, "look", watch.look.fn)
    monkeypatch.setattr(watch, "registered", lambda name: Version(1, "sft", "model", "short", Path()))
    monkeypatch.setattr(watch, "reference_of", lambda version: [])
    moved = (Moved(column="input.words", distance=2.0, limit=1.0, reference="mean 1", current="mean 2"),)
    seen = Watched(
        workload="triage", version=1, since=0, until=9, total=9, rows=9, judged=True, moved=moved, told=False
    )
    path = Path("state/watch/triage/watched.json")
    write_record(path, seen)
    for error in (RegistryError, OSError):
        with pytest.raises(error):
            watch.watch.fn("triage")
        assert (said, read_record(path, Watched)) == ([], seen)
    assert watch.watch.fn("triage") == read_record(path, Watched) == seen.model_copy(update={"told": True})
    assert (said, recorded) == ([watch.DRIFT], [True, True])
    assert not watch.watch.fn("triage").judged and len(said) == 1  # a new look, at an empty lake


def test_what_moved_is_printed_kept_and_recorded(climbed: Project) -> None:
    few = climbed.call("flows.cli", "watch", "triage")
    assert few.returncode == 0, few.stderr
    assert "too few answers to judge" in few.stdout
    usual = read_jsonl(climbed.artifacts / "reference" / REFERENCE, Observation)
    assert len(usual) == 80  # test and sealed
    answer = json.dumps({"intent": "billing_error"})
    moved = [row.model_copy(update={"text": answer, "valid": False}) for row in usual * 3]
    put(climbed, moved, "moved", "classical")
    printed = climbed.call("flows.cli", "watch", "triage")
    assert printed.returncode == 0, printed.stderr
    assert "240 of 240 answers, drift in" in printed.stdout
    watched = read_record(climbed.folder / "state" / "watch" / "triage" / "watched.json", Watched)
    assert "output" in watched.kinds
    assert {"output.intent", "output.valid"} <= {shift.column for shift in watched.moved}
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
    monkeypatch.setattr(watch, "record", lambda run, watched, page: kept.append(watched))
    monkeypatch.setattr(watch, "look", watch.look.fn)
    now = time.time()
    hold("usual", 110, generate(24, 3), now - 40 * HOUR_S)
    quiet = watch.watch.fn("desk")
    assert (quiet.judged, quiet.rows, quiet.of, said, kept) == (False, 0, "conversations", [], [])
    hold("moved", 90, drifted(24, 4, "argument"), now - HOUR_S)
    watched = watch.watch.fn("desk")
    assert watched.kinds == ("tools",) and {"tools.get_order.schema", "tools.get_order.given"} <= {
        shift.column for shift in watched.moved
    }
    assert (watched.usual, watched.version, watched.rows, watched.total) == ("before", 1, 90, 90)
    assert [(event["name"], event["workload"], event["kind"]) for event in said] == [(watch.DRIFT, "desk", "tools")]
    assert watched.told and watched == read_record(Path("state/watch/desk/watched.json"), Watched)
    assert kept == [watched.model_copy(update={"told": False})]
    assert watched.began == pytest.approx(now - 40 * HOUR_S)
    assert Path("state/watch/desk/drift.html").stat().st_size > 100_000
    assert watch.watch.fn("desk") == watched and len(said) == len(kept) == 1  # nothing new: no second event
    assert sentence(watched).startswith("desk, version 1: 90 of 90 conversations, drift in tools, ")


def hold(name: str, count: int, tasks: Iterable[Task], at: float) -> None:
    """So many conversations of the first version, one each ten seconds, in the lake of this folder."""
    tries = islice(cycle([task.demonstration for task in tasks]), count)
    turns = [
        turn
        for number, trajectory in enumerate(tries)
        for turn in conversed(trajectory, f"{name}{number}", at + 10 * number, customer=f"{name}{number}")
    ]
    Lake(Path("state/lake")).store(name, [turn.model_dump_json() for turn in turns])
