"""An agent's tries in figures, its scorer on trial, and its demonstrations under audit."""

from collections.abc import Sequence

import pytest

from components.data.sources import generated
from components.errors import ScorerError
from components.evaluation.certificate import Certificate
from components.evaluation.certify_tries import TryTrial, calls_of, certify_tries
from components.evaluation.trials import tries_of
from components.evaluation.try_audit import summarise_tries, suspect_tries
from components.params import AgentParams, CertificateParams, GeneratedSource, ScorerParams
from components.records import Completion, Judged, Message, Score, Trajectory, Usage
from components.scorers import JsonSchemaScorer, Outcome, Pair, build, score_all
from components.tasks import completion_of, demonstrated
from tests.components.workloads.desk_settings import SHORT as PROMPT
from tests.components.workloads.desk_settings import WORKLOAD as DESK

assert isinstance(DESK.source, GeneratedSource) and DESK.agent is not None
EXAMPLES = list(generated(DESK, DESK.source, 60))
RIGHT, WRONG = Score(value=1.0, passed=True), Score(value=0.0, passed=False)


def tried(task: str, trial: int, **changes: object) -> Completion:
    known = {
        "id": f"{task}#{trial}", "example_id": task, "trial": trial, "messages": (), "stop_reason": "completed",
        "turns": 3, "tool_calls": 2, "usage": Usage(input_tokens=1, output_tokens=1),
    }  # fmt: skip
    whole = completion_of(Trajectory.model_validate({**known, **changes}))
    return whole.model_copy(update={"example_id": f"{task}#{trial}"})


def judged(*scores: Score | None) -> list[Judged]:
    names = [f"{task}#{trial}" for task in "ab" for trial in range(2)]
    return [Judged(example_id=name, valid=True, score=score) for name, score in zip(names, scores, strict=True)]


def test_tries_are_counted_by_task_and_calls_by_whether_they_could_be_carried_out() -> None:
    tries = [
        tried("a", 0),
        tried("a", 1, tool_calls=4, tool_errors=1),
        tried("b", 0, invalid_calls=2, stop_reason="max_turns"),
        tried("b", 1, turns=7, tool_calls=0),
    ]
    summary = tries_of(tries, judged(RIGHT, RIGHT, RIGHT, WRONG))
    assert summary is not None
    assert [(at_k.k, at_k.every.value, at_k.some.value) for at_k in summary.by_k] == [(1, 0.75, 0.75), (2, 0.5, 1.0)]
    assert (summary.tasks, summary.tries, summary.turns, summary.calls) == (2, 4, 4.0, 2.5)
    assert (summary.invalid_calls, summary.tool_errors) == (2 / 10, 1 / 8)
    assert summary.stop_reasons == {"completed": 3, "max_turns": 1}


def test_undecided_tries_are_left_out_of_pass_k_and_texts_are_not_tries() -> None:
    tries = [tried(task, trial) for task in "ab" for trial in range(2)]
    summary = tries_of(tries, judged(RIGHT, RIGHT, RIGHT, None))
    assert summary is not None and [(at_k.k, at_k.tasks) for at_k in summary.by_k] == [(1, 2), (2, 1)]
    assert tries_of([Completion.of_text("a", "x")], []) is None


def test_a_try_that_a_limit_ended_is_not_a_valid_answer() -> None:
    said = (Message(role="user", content="-"), Message(role="assistant", content="Done."))
    scorer = JsonSchemaScorer(DESK.output)
    assert scorer.score(EXAMPLES[0], tried("a", 0, messages=said)).passed
    cut = scorer.score(EXAMPLES[0], tried("a", 0, messages=said, stop_reason="max_turns"))
    assert not cut.passed and cut.reason == "the try ended by max_turns"


def certified(params: ScorerParams, agent: AgentParams | None = DESK.agent) -> Certificate:
    scorer = build(params, DESK.output)

    def judge(pairs: Sequence[Pair]) -> list[Outcome]:
        return score_all(scorer, pairs)

    assert agent is not None
    floor = CertificateParams(max_false_positive=0.07)  # 0 of 60 may be 6 %
    return certify_tries(TryTrial("desk", agent, EXAMPLES, PROMPT.messages, 40), judge, floor)


def test_the_desk_s_scorer_passes_its_trial() -> None:
    certificate = certified(DESK.scorer)
    assert certificate.reasons == () and certificate.passed
    assert set(certificate.origins.values()) == {60}
    assert certificate.exploits.keys() == {"does_nothing", "always_hands_over", "calls_everything"}
    assert {name: rate.value for name, rate in certificate.sensitive.items()} == {"calls": 1.0, "said": 1.0}


def test_a_scorer_that_rewards_doing_nothing_is_refused() -> None:
    certificate = certified(DESK.scorer.model_copy(update={"weighted": {"efficiency": 1.0}}))
    assert not certificate.passed
    assert any(reason.startswith("passing share of the trick does_nothing: 1.000") for reason in certificate.reasons)
    assert any("wrong answers that pass" in reason for reason in certificate.reasons)


def test_without_a_tool_that_hands_over_two_agents_are_tried() -> None:
    assert DESK.agent is not None
    certificate = certified(DESK.scorer, DESK.agent.model_copy(update={"hand_over": None}))
    assert certificate.exploits.keys() == {"does_nothing", "calls_everything"}


def test_looks_that_must_be_made_come_before_the_calls_that_change_something() -> None:
    look, change = {"name": "look", "arguments": {}}, {"name": "change", "arguments": {}}
    assert calls_of({"calls": [change], "must": [look, change]}) == [look, change]


def test_demonstrations_that_fail_their_scorer_are_suspects_and_undecided_ones_are_not() -> None:
    scorer = build(DESK.scorer, DESK.output)
    outcomes = score_all(scorer, [(example, completion_of(demonstrated(example))) for example in EXAMPLES])
    wrong = [example.id for example in EXAMPLES if example.slices["demonstration"] == "wrong"]
    listed = suspect_tries(EXAMPLES, outcomes)
    assert [suspect.example_id for suspect in listed] == wrong and all(suspect.reason for suspect in listed)
    audit = summarise_tries([*outcomes[1:], ScorerError("away")], listed)
    assert (audit.demonstrations, audit.suspects) == (59, len(wrong))
    assert audit.ceiling == pytest.approx(1 - len(wrong) / 59)
