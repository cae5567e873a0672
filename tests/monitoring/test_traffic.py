"""Simulated traffic against a real server: what is sent, what is counted, which feedback is given."""

import json
import re
from pathlib import Path

import pytest

from components.engines import ChatRequest, Sampling
from components.errors import ConfigError, EngineError
from components.params import Workload, load
from components.prompts import Prompt
from components.records import Completion, Feedback, Trace, Usage
from components.registry import Version
from components.serving import Follower, Journal, Outlet, Served, Server
from components.workloads.triage import drifted
from monitoring.lake import Lake
from monitoring.traffic import Plan, Target, replay, summary, tickets
from tests.components.serving.conftest import running

ROOT = Path(__file__).resolve().parents[2]
WORKLOAD = load(ROOT / "params/workloads/triage.yaml", Workload)
PLAN = Plan(requests=60, drift="new-product", drift_at=20, feedback_share=0.5, seed=7)


class Recorded:
    """An engine with the right answers to tickets before the drift, and one answer for all others."""

    def __init__(self) -> None:
        self.answers = {
            ticket.input["message"]: ticket.reference for ticket in tickets(WORKLOAD, PLAN)[: PLAN.drift_at]
        }

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: ChatRequest) -> Completion:
        text = self.answers.get(request.messages[-1].content, "{}")
        return Completion(
            example_id=request.example_id, text=text, usage=Usage(input_tokens=1, output_tokens=1), latency_ms=1
        )


@pytest.fixture
def recorded() -> Follower:
    served = Served(1, "sft", Recorded(), Prompt("short", "Triage.", "{message}"), 12)
    return Follower(lambda: Version(1, "sft", "model", "short", Path()), lambda version: served, every_s=0.02)


def target(address: str, clients: int = 4) -> Target:
    return Target(f"{address}/v1", "triage", ("message",), clients)


def test_the_drift_begins_with_its_ticket_and_not_before() -> None:
    sent = [ticket.input["message"] for ticket in tickets(WORKLOAD, PLAN)]
    usual, changed = (list(drifted(PLAN.requests, PLAN.seed, drift)) for drift in ("none", "new-product"))
    assert sent == [each.message for each in (*usual[: PLAN.drift_at], *changed[PLAN.drift_at :])]


def test_right_answers_are_counted_before_and_after_and_some_are_sent_as_feedback(
    recorded: Follower, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake")
    journal = Journal("triage", WORKLOAD.output, Outlet(tmp_path / "spool", lake.store, 0.05))
    with running(Server("triage", recorded, journal=journal)) as address:
        replies = replay(WORKLOAD, PLAN, target(address))
    assert [reply.number for reply in replies] == list(range(PLAN.requests))
    assert [reply.right for reply in replies] == [number < PLAN.drift_at for number in range(PLAN.requests)]
    traces, reported = lake.read(Trace, "triage"), lake.read(Feedback, "triage")
    assert {trace.id for trace in traces} == {reply.id for reply in replies}
    assert {each.trace_id for each in reported} == {reply.id for reply in replies if reply.told}
    assert 0.3 < len(reported) / PLAN.requests < 0.7
    gold = {reply.id: ticket.reference for reply, ticket in zip(replies, tickets(WORKLOAD, PLAN), strict=True)}
    rated = {reply.id: float(reply.right) for reply in replies}
    for each in reported:
        assert (each.score, json.loads(each.corrected or "")) == (rated[each.trace_id], json.loads(gold[each.trace_id]))
    before, after, drift, last = summary(PLAN, replies)
    assert before == "before  20 answers, 100.0% right; 0 failures"
    assert after == "after   40 answers, 0.0% right; 0 failures"
    assert re.match(r"drift   new-product from request 20 on, answered at \d{4}-\d\d-\d\dT", drift)
    assert last == f"told    the right answer of {len(reported)}"


def test_the_same_seed_gives_feedback_on_the_same_answers(recorded: Follower) -> None:
    plan = Plan(requests=30, drift="none", drift_at=0, feedback_share=0.0, seed=7)
    with running(Server("triage", recorded)) as address:
        first, second = (replay(WORKLOAD, plan, target(address, clients=clients)) for clients in (1, 8))
    assert [(each.number, each.right) for each in first] == [(each.number, each.right) for each in second]
    assert not any(each.told or each.error for each in first)
    assert summary(plan, first)[0].startswith("all     30 answers")


def test_a_request_that_fails_is_counted_and_does_not_end_the_others(recorded: Follower) -> None:
    plan = Plan(requests=12, drift="none", drift_at=0, feedback_share=1.0, seed=7)  # without a journal: status 501
    with running(Server("triage", recorded)) as address:
        replies = replay(WORKLOAD, plan, target(address))
    assert [bool(reply.error) for reply in replies] == [True] * 12
    assert "0 answers, none right; 12 failures, the first: Error code: 501" in summary(plan, replies)[0]


def test_a_server_that_does_not_answer_is_reported_in_one_sentence() -> None:
    with pytest.raises(EngineError, match=r"^expected triage to be served, found Connection error\. \(http://127"):
        replay(WORKLOAD, PLAN, target("http://127.0.0.1:9"))


def test_a_drift_or_workload_that_is_not_simulated_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"drift must be one of none, .* found rain"):
        tickets(WORKLOAD, Plan(requests=1, drift="rain", drift_at=0, feedback_share=0, seed=1))
    banking = load(ROOT / "params/workloads/banking77.yaml", Workload)
    with pytest.raises(ConfigError, match="expected a workload whose generator has drifts, found banking77"):
        tickets(banking, PLAN)
