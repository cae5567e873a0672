"""Demonstrations for agents: read, moved to another prompt, and refused if they cannot be learnt from."""

import pytest

from components.errors import DataError
from components.records import Example, Message, Tool, ToolCall, Trajectory, Usage
from components.tasks import attempted, demonstrated, is_clean, problem_of, trial_id, under

RING = Tool(name="ring", parameters={"type": "object", "properties": {"times": {"type": "integer"}}})
CALL = ToolCall(id="call_0", name="ring", arguments='{"times": 2}')
SAID = (
    Message(role="assistant", content="", tool_calls=(CALL,)),
    Message(role="tool", content="ding", tool_call_id="call_0", name="ring"),
    Message(role="assistant", content="Rung."),
)


def tried(**changes: object) -> Trajectory:
    known = {
        "id": "e1#3", "example_id": "e1", "trial": 3, "tools": (RING,), "stop_reason": "completed", "latency_ms": 7.0,
        "messages": (Message(role="system", content="Old."), Message(role="user", content="Ring. Go."), *SAID),
        "usage": Usage(input_tokens=9, output_tokens=4), "greeting": " Go.", "policy_version": "v1",
    }  # fmt: skip
    return Trajectory.model_validate({**known, **changes})


def held(demonstration: str) -> Example:
    return Example(id="e1", input={"text": "Ring."}, demonstration=demonstration, reference="", group="g")


def test_equal_tries_are_equal_demonstrations_regardless_of_source_and_duration() -> None:
    usage = Usage(input_tokens=1, output_tokens=1)
    other = tried(id="e1#0", trial=0, latency_ms=900.0, policy_version="v2", usage=usage)
    assert tried().demonstration == other.demonstration
    assert tried().demonstration != tried(messages=tried().messages[:-1]).demonstration
    again = demonstrated(held(tried().demonstration))
    assert (again.messages, again.tools, again.greeting) == (tried().messages, (RING,), " Go.")


def test_under_another_prompt_the_turns_stay_and_the_environment_s_greeting_joins_the_last_message() -> None:
    asked = [Message(role="system", content="New."), Message(role="user", content="Please ring.")]
    moved = under(asked, tried())
    assert moved.messages == (asked[0], Message(role="user", content="Please ring. Go."), *SAID)
    assert asked[1].content == "Please ring."


@pytest.mark.parametrize(
    ("demonstration", "says"),
    [
        ("Rung.", "Invalid JSON"),
        ('{"id": "e1"}', "example_id"),
        (tried(messages=(Message(role="user", content="Ring."),)).demonstration, "no turn of the assistant"),
        (tried(messages=SAID).demonstration, "no turn of the assistant"),
        (tried(tools=()).demonstration, "no schema of the tool 'ring'"),
    ],
)
def test_a_try_that_cannot_be_learnt_from_has_a_reason(demonstration: str, says: str) -> None:
    assert says in str(problem_of(demonstration))
    assert not is_clean(demonstration)


def test_a_plain_text_is_not_a_demonstration() -> None:
    with pytest.raises(DataError, match=r"expected a trajectory as demonstration, found .* \(example e1\)"):
        demonstrated(held("Rung."))


def test_a_try_with_a_call_that_could_not_be_carried_out_is_not_clean() -> None:
    assert problem_of(tried().demonstration) is None and is_clean(tried().demonstration)
    assert not is_clean(tried(invalid_calls=1).demonstration)


def test_trials_of_a_task_are_examples_of_its_group_and_a_single_one_keeps_its_name() -> None:
    two = attempted([held("a"), held("b").model_copy(update={"id": "e2"})], 2)
    assert [(each.id, each.group, each.demonstration) for each in two] == [
        ("e1#0", "g", "a"), ("e1#1", "g", "a"), ("e2#0", "g", "b"), ("e2#1", "g", "b")
    ]  # fmt: skip
    assert [each.id for each in two] == [trial_id(id, trial, 2) for id in ("e1", "e2") for trial in range(2)]
    assert attempted([held("a")], 1) == [held("a")]
