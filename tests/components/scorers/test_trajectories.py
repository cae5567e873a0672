"""Scorers of tries: which calls count, and under which limits a reference is replayed."""

import json
from typing import Any

import pytest

from components.errors import ScorerError
from components.params import AgentParams, Limits, ScorerParams, TrajectoryParams
from components.records import Example, Message, Score, Tool, ToolCall, Trajectory, Usage
from components.scorers import build
from components.scorers.trajectories import calls_made
from components.tasks import Replay, completion_of, open_environment, roll, start_of
from components.workloads.desk import cases, demonstrated

DESK = "components.workloads.desk:Desk"
LOOK = Tool(name="look", parameters={"type": "object", "properties": {"id": {"type": "string"}}})
FAILED = '{"error": "LookupError: there is no A"}'
REFERENCE = {"must": [{"name": "look", "arguments": {"id": "A"}}]}


def asked(reference: Any) -> Example:
    return Example(id="e1", input={}, demonstration="", reference=json.dumps(reference), group="")


def tried(*calls: tuple[str, str | None], **changes: Any) -> Trajectory:
    """A try with a turn for each call of a tool about A, and its answer."""
    messages = [Message(role="user", content="A?")]
    for at, (name, answer) in enumerate(calls):
        call = ToolCall(id=f"call_{at}", name=name, arguments='{"id": "A"}')
        messages.append(Message(role="assistant", content="", tool_calls=(call,)))
        messages += [Message(role="tool", content=answer, tool_call_id=call.id)] if answer is not None else []
    usage = Usage(input_tokens=0, output_tokens=0)
    known = {"id": "e1#0", "example_id": "e1", "tools": (LOOK,), "stop_reason": "completed", "usage": usage}
    return Trajectory.model_validate({**known, "messages": tuple(messages), **changes})


def judged(trajectory: Trajectory, reference: Any = REFERENCE, **settings: Any) -> Score:
    params = TrajectoryParams(environment=DESK, **settings)
    scorer = build(ScorerParams(weighted={"calls": 1.0}, trajectory=params), {})
    return scorer.score(asked(reference), completion_of(trajectory))


@pytest.mark.parametrize(
    ("answer", "changes", "made"),
    [
        ("sent", {}, True),
        (FAILED, {"tool_errors": 1}, False),
        (FAILED, {"invalid_calls": 1}, False),
        (None, {}, False),
        ("sent", {"tool_errors": 1}, True),  # another call's
        ("Error: there is no A", {}, False),  # told in words instead of raised
        ("Error: there is no A", {"tool_errors": 1}, False),
        ("Error: there is no A", {"stop_reason": "imported"}, False),
        ('{"error": null, "id": "A"}', {"tool_errors": 1}, True),
        (FAILED, {"stop_reason": "imported"}, False),
        ("sent", {"stop_reason": "imported"}, True),
    ],
)
def test_a_call_is_made_where_its_tool_answered_and_did_not_fail(
    answer: str | None, changes: dict[str, Any], made: bool
) -> None:
    score = judged(tried(("look", answer), **changes))
    assert (score.passed, score.reason) == (made, "" if made else "not called: look")


@pytest.mark.parametrize(
    ("calls", "passed"),
    [
        ([("look", "sent"), ("pay", "paid")], True),
        ([("pay", "paid"), ("look", "sent")], False),
        ([("look", FAILED), ("pay", "paid")], False),
        ([("look", FAILED), ("look", "sent"), ("pay", "paid")], True),
        ([("pay", FAILED), ("look", "sent"), ("pay", "paid")], True),  # the first one has changed nothing
    ],
)
def test_what_failed_neither_comes_first_nor_comes_too_early(calls: list[tuple[str, str]], passed: bool) -> None:
    errors = sum(answer == FAILED for _, answer in calls)
    score = judged(tried(*calls, tool_errors=errors), {}, before={"pay": ("look",)})
    assert (score.passed, score.reason) == (passed, "" if passed else "pay before look")


def test_what_must_not_be_called_must_not_be_tried_either() -> None:
    score = judged(tried(("pay", FAILED), tool_errors=1), {}, forbidden=("pay",))
    assert (score.passed, score.reason) == (False, "must not be called: pay")


def test_answers_belong_to_the_calls_of_their_turn_by_id_or_in_order() -> None:
    def turn(*ids: str) -> Message:
        calls = tuple(ToolCall(id=id, name=f"{id}{at}", arguments="{}") for at, id in enumerate(ids))
        return Message(role="assistant", content="", tool_calls=calls)

    def answer(content: str, id: str | None = None) -> Message:
        return Message(role="tool", content=content, tool_call_id=id)

    messages = (
        turn("a", "b"), answer(FAILED, "b"), answer("sent", "a"),
        turn("a", "c"), answer("sent"), answer(FAILED),
        turn("a"), Message(role="assistant", content="Wait."), answer("sent", "a"),
    )  # fmt: skip
    assert [call.name for call in calls_made(tried(messages=messages, stop_reason="imported"))] == ["a0", "a0", "a0"]
    assert [call.name for call in calls_made(tried(messages=messages[:3]))] == ["a0"]


@pytest.mark.parametrize(
    ("wanted", "answer", "said"),
    [
        ("12.50", "Your refund is 12.50.", True),
        ("12.50", "Your refund is 112.50 EUR.", False),
        ("12", "Your refund is 12.50 EUR.", False),
        ("50", "Your refund is 12,50 EUR.", False),
        ("500", "Your refund is 1'500 EUR.", False),
        ("5 days", "It takes\n5 DAYS.", True),
        ("5 days", "It takes 15 days.", False),
        ("1 1", "At 11 1 1.", True),
        ("12,50 €", "Es sind 12,50\u00a0€.", True),
        ("Zoë", "Hello Zoe\u0308!", True),
        ("refund", "No refunds.", False),
        ("5天", "需要5天。", True),
        ("5天", "需要15天。", False),
        ("one two", "one", False),
        ("", "one", True),
        ("12.50", "It is EUR12.50, not 12.50EUR.", True),
        ("€", "It is 12.50€.", True),
        ("#5", "It is order#5.", True),
        ("#5", "It is order#55.", False),
        ("refund", "Your refund2.", False),
    ],
)
def test_what_must_be_said_is_whole_words_and_numbers_in_any_way_of_writing(
    wanted: str, answer: str, *, said: bool
) -> None:
    turns = (Message(role="assistant", content=answer), Message(role="assistant", content="two"))
    scorer = build(ScorerParams(weighted={"said": 1.0}, trajectory=TrajectoryParams(environment=DESK)), {})
    score = scorer.score(asked({"said": [wanted]}), completion_of(tried(messages=turns)))
    assert (score.passed, score.reason) == (said, "" if said else f"not said: {wanted}")


def desk(limits: Limits | None = None, **reference: Any) -> Score:
    """The verdict on a right demonstration, by the state that its reference leaves."""
    example = next(
        case for case in cases(120, 7) if case.slices["intent"] == "refund" and case.slices["end"] == "act"
        and case.slices["demonstration"] == "right"
    )  # fmt: skip
    example = example.model_copy(update={"reference": json.dumps({**json.loads(example.reference), **reference})})
    start = start_of(example, [Message(role="user", content="-")])
    (made,) = roll(open_environment(DESK), Replay(demonstrated([example])), [start], Limits())
    agent = AgentParams(environment=DESK, limits=limits) if limits else None
    params = ScorerParams(weighted={"final_state": 1.0}, trajectory=TrajectoryParams(environment=DESK))
    return build(params, {}, agent).score(example, completion_of(made.trajectory))


def test_a_reference_is_replayed_under_the_limits_of_the_agent() -> None:
    assert desk().passed and desk(Limits(turns=1, tool_calls=1)).passed
    with pytest.raises(ScorerError, match=r"characters, more than 60"):
        desk(Limits(result_characters=60))


def test_of_a_reference_that_cannot_be_replayed_the_call_that_fails_is_told() -> None:
    looks = [
        {"name": "find_orders", "arguments": {"email": "a@b"}},
        {"name": "get_order", "arguments": {"order_id": "W0"}},
    ]
    with pytest.raises(ScorerError, match=r"calls can be made, found .*there is no order W0"):
        desk(calls=looks)
