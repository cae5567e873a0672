"""A retraining as a person starts it: what production taught becomes a data version, a ladder and a decision."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from components.data.harvest import Harvested
from components.records import Example, Feedback, Message, Record, Trace, Usage, read_jsonl, write_record
from components.stages.run import Run
from monitoring.lake import Lake
from tests.flows.conftest import ROOT, RUN, Project

ANSWER = {
    "intent": "not_received", "product": "wifi_router", "order_id": "DK-20418", "amount": None, "wants_refund": False,
    "priority": "normal",
}  # fmt: skip


def answered(number: int) -> Trace:
    inputs = {"message": f"Mesh node number {number} never came, code {number * 7919 % 1000}", "channel": "chat"}
    return Trace(
        id=f"chatcmpl-{number}", at=time.time(), workload="triage", version=1, method="classical", input=inputs,
        messages=(Message(role="user", content=inputs["message"]),), text=json.dumps(ANSWER), finish_reason="stop",
        usage=Usage(input_tokens=1, output_tokens=1), latency_ms=1.0, valid=True,
    )  # fmt: skip


def corrected(number: int) -> Feedback:
    return Feedback(
        trace_id=f"chatcmpl-{number}", at=time.time(), workload="triage", score=0.0, corrected=json.dumps(ANSWER),
        sender="r", reviewer=True,
    )  # fmt: skip


def put(project: Project, *records: Record) -> None:
    Lake(project.folder / "state" / "lake").store("1", [record.model_dump_json() for record in records])


def git(project: Project, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=project.folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_few_answers_and_uncommitted_changes_start_nothing(climbed: Project) -> None:
    few = climbed.call("flows.cli", "retrain", "triage")
    assert (few.returncode, few.stdout) == (0, "Expected at least 100 right answers to learn from, found 0.\n")
    put(climbed, *(record for number in range(120) for record in (answered(number), corrected(number))))
    climbed.set("pipeline.yaml", {"retraining": {"cooldown_hours": 2}})
    dirty = climbed.call("flows.cli", "retrain", "triage")
    assert dirty.returncode == 2
    assert "expected all settings and code to be committed" in dirty.stderr
    assert "params/pipeline.yaml" in dirty.stderr
    git(climbed, "checkout", "--", "params/pipeline.yaml")


@pytest.mark.slow
def test_what_production_taught_climbs_on_a_branch_of_its_own(climbed: Project) -> None:
    put(climbed, *(record for number in range(120) for record in (answered(number), corrected(number))))
    before = git(climbed, "rev-parse", "HEAD"), git(climbed, "status", "--porcelain", "--", "params", "components")
    done = climbed.call("flows.cli", "retrain", "triage")
    assert done.returncode == 0, done.stderr
    outcome, branch = done.stdout.splitlines()[-2:]
    assert outcome.startswith(("The old champion stays: ", "Version 2 stays the canary: "))  # nobody asks it here
    name = branch.removeprefix("Branch: ").split()[0]
    assert (
        git(climbed, "rev-parse", "HEAD"),
        git(climbed, "status", "--porcelain", "--", "params", "components"),
    ) == before
    files = git(climbed, "show", "--name-only", "--format=", name).split()
    assert "params/workloads/triage.yaml" in files
    assert any(path.endswith(".jsonl.dvc") for path in files)
    there = climbed.folder / "state" / "retrain" / "triage"
    harvests = list((there / "data" / "triage" / "harvest").glob("*.jsonl"))
    harvested = read_jsonl(harvests[0], Harvested)
    for split in ("train", "dev", "test", "sealed"):
        examples = {
            example.id for example in read_jsonl(there / "artifacts" / RUN / "data" / f"{split}.jsonl", Example)
        }
        assert {row.example.id for row in harvested if row.split == split} <= examples
    own = {example.id for example in read_jsonl(climbed.artifacts / "data" / "sealed.jsonl", Example)}
    new = {example.id for example in read_jsonl(there / "artifacts" / RUN / "data" / "sealed.jsonl", Example)}
    assert own < new


def test_drift_waits_for_the_cooldown_and_a_person_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.retrain import BY_HAND, Retrained, cooling_h, record_path

    shutil.copytree(ROOT / "params", tmp_path / "params")  # all that it needs of a project
    monkeypatch.chdir(tmp_path)
    run = Run.load(RUN)
    assert cooling_h(run, "drift: input", 0.0) == 0  # there was none before
    last = Retrained(workload="triage", reason=BY_HAND, started=3600.0, outcome="Version 2 is champion.")
    write_record(record_path(run), last)
    assert cooling_h(run, "drift: input", 3 * 3600.0) == 22  # two of its 24 hours are over
    assert cooling_h(run, BY_HAND, 3 * 3600.0) == 0
    assert cooling_h(run, "drift: input", 25 * 3600.0) == 0
    assert cooling_h(run, "drift: input", 3599.0) == 0  # noted in the future: the clock was set back
    record_path(run).write_text('{"workload": "triage", "reason": ')
    assert cooling_h(run, "drift: input", 3 * 3600.0) == 0  # half a file says nothing, and holds up nothing
    assert [path.name for path in record_path(run).parent.glob("*.broken")] == ["triage.json.broken"]
