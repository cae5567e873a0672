"""The desk: right ends pass, wrong demonstrations do not, and agents without work get nothing."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from components.data.sources import generated
from components.errors import ScorerError
from components.evaluation.agent_exploits import MOST_PASSED, agents_without_work
from components.params import GeneratedSource, Limits
from components.records import Completion, Example, Score, ToolCall, Trajectory
from components.scorers import build, score_all
from components.tasks import Dialogue, Replay, Said, completion_of, open_environment, roll, start_of
from components.tasks import demonstrated as demonstration_of
from components.tasks.rollout import AT_ONCE
from components.workloads.desk import cases, demonstrated
from tests.components.workloads.desk_settings import PROMPT, WORKLOAD

SPEC = open_environment("components.workloads.desk:Desk")
EXAMPLES = cases(120, 7)
SCORER = build(WORKLOAD.scorer, WORKLOAD.output)


def tried(examples: Sequence[Example], turns: dict[str, list[str]]) -> list[Trajectory]:
    starts = [start_of(example, PROMPT.messages(example)) for example in examples]
    return [rolled.trajectory for rolled in roll(SPEC, Replay(turns), starts, Limits())]


def scored(examples: Sequence[Example], tries: Sequence[Trajectory]) -> list[Any]:
    return score_all(
        SCORER, [(example, completion_of(attempt)) for example, attempt in zip(examples, tries, strict=True)]
    )


def test_right_demonstrations_pass_and_those_that_are_wrong_on_purpose_do_not() -> None:
    outcomes = scored(EXAMPLES, tried(EXAMPLES, demonstrated(EXAMPLES)))
    assert all(isinstance(outcome, Score) for outcome in outcomes)
    verdicts = Counter(
        (example.slices["demonstration"], outcome.passed) for example, outcome in zip(EXAMPLES, outcomes, strict=True)
    )
    assert set(verdicts) == {("right", True), ("wrong", False)}
    assert 0.08 < verdicts["wrong", False] / len(EXAMPLES) < 0.24


def test_a_task_s_demonstration_is_the_try_that_its_turns_make_and_is_judged_as_they_are() -> None:
    assert isinstance(WORKLOAD.source, GeneratedSource)
    source = WORKLOAD.source.model_copy(update={"seed": 7})
    examples = list(generated(WORKLOAD, source, 40))
    assert [example.input for example in examples] == [example.input for example in EXAMPLES[:40]]
    made = [demonstration_of(example) for example in examples]
    assert [attempt.messages[1:] for attempt in made] == [
        attempt.messages[2:] for attempt in tried(EXAMPLES[:40], demonstrated(EXAMPLES))
    ]
    verdicts = {
        (example.slices["demonstration"], outcome.passed)
        for example, outcome in zip(examples, scored(examples, made), strict=True)
    }
    assert verdicts == {("right", True), ("wrong", False)}


def test_agents_without_work_pass_at_most_one_task_in_twenty() -> None:
    starts = [start_of(example, PROMPT.messages(example)) for example in EXAMPLES]
    for name, policy in agents_without_work("hand_over", 3).items():
        verdicts = scored(EXAMPLES, [attempt.trajectory for attempt in roll(SPEC, policy, starts, Limits())])
        assert sum(verdict.passed for verdict in verdicts) <= MOST_PASSED * len(verdicts), name


def test_many_tries_go_in_blocks_and_come_back_in_order() -> None:
    sizes: list[int] = []

    class Counting:
        def say(self, dialogues: Sequence[Dialogue], limits: Limits) -> list[Said]:
            sizes.append(len(dialogues))
            return [Said("Done.") for _ in dialogues]

    starts = [start_of(example, PROMPT.messages(example)) for example in cases(2 * AT_ONCE + 1, 3)]
    made = roll(SPEC, Counting(), starts, Limits())
    assert max(sizes) == AT_ONCE and sizes[0] == AT_ONCE
    assert [attempt.trajectory.example_id for attempt in made] == [start.example_id for start in starts]


def test_agents_without_work_do_what_their_names_say() -> None:
    agents = agents_without_work("hand_over", 3)
    asked = [start_of(example, PROMPT.messages(example)) for example in EXAMPLES[:40]]
    made = {
        name: [rolled.trajectory for rolled in roll(SPEC, policy, asked, Limits())] for name, policy in agents.items()
    }
    called = {name: {call.name for attempt in tries for call in attempt.calls} for name, tries in made.items()}
    assert called["does_nothing"] == set() and called["always_hands_over"] == {"hand_over"}
    assert called["calls_everything"] == {tool.name for tool in SPEC.tools} and len(SPEC.tools) >= 5
    handed = [
        attempt for attempt in made["always_hands_over"] if attempt.final_state and attempt.final_state["handovers"]
    ]
    assert len(handed) > 20  # it does hand over, where the number is right


def test_facts_come_bit_by_bit_and_sometimes_wrong_and_some_cases_end_in_a_refusal() -> None:
    ends = Counter(example.slices["end"] for example in EXAMPLES)
    numbers = Counter(example.slices["number"] for example in EXAMPLES)
    assert ends["refuse"] > 20 and numbers["corrected"] > 15
    example = next(case for case in EXAMPLES if case.slices["number"] == "corrected")
    right = json.loads(example.reference)["said"][-1]
    said = json.loads(example.evidence["script"])
    assert "@" in said[0] and right not in said[1] and right in said[2]
    assert right not in example.input["message"]


def test_cases_depend_on_the_seed_alone() -> None:
    first, again, other = cases(5, 1), cases(5, 1), cases(5, 2)
    assert first == again
    assert [case.input for case in first] != [case.input for case in other]


def test_one_environment_serves_several_cases_as_a_fresh_one_would() -> None:
    env: Any = SPEC.make()
    row = {**EXAMPLES[0].input, **EXAMPLES[0].evidence}
    env.reset(**row)
    before = env._state()
    env.hand_over(before["orders"][0]["order_id"], "lost")
    env.cancel_order(before["orders"][0]["order_id"])
    env.reset(**row)
    assert env._state() == before


def rewritten(example: Example, **changes: Any) -> Example:
    return example.model_copy(update={"reference": json.dumps({**json.loads(example.reference), **changes})})


@pytest.fixture(scope="module")
def done() -> tuple[Example, Trajectory]:
    """A refund that went well."""
    example = next(
        case for case in EXAMPLES if case.slices["intent"] == "refund" and case.slices["end"] == "act"
        and case.slices["demonstration"] == "right" and case.slices["number"] == "given"
    )  # fmt: skip
    return example, tried([example], demonstrated([example]))[0]


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"calls": []}, "final_state"),
        ({"said": ["a gift"]}, "said"),
        ({"must": [{"name": "find_orders", "arguments": {"email": "x"}}]}, "calls"),
    ],
)
def test_each_part_of_a_reference_is_checked(done: tuple[Example, Trajectory], changes: Any, part: str) -> None:
    example, attempt = done
    (right,), (wrong,) = scored([example], [attempt]), scored([rewritten(example, **changes)], [attempt])
    assert right.passed and right.parts[part] == 1 and not wrong.passed and wrong.parts[part] == 0


def test_a_change_before_a_look_is_wrong_though_the_state_is_right(done: tuple[Example, Trajectory]) -> None:
    example, _ = done
    turns = demonstrated([example])[example.id]
    swapped = [*turns[:2], turns[3], turns[2], turns[4]]
    (score,) = scored([example], tried([example], {example.id: swapped}))
    assert score.parts["final_state"] == 1 and score.parts["calls"] == 0 and "before get_order" in score.reason


def test_a_tools_first_parameter_names_its_object_in_any_order_of_arguments(
    done: tuple[Example, Trajectory],
) -> None:
    example, attempt = done

    def backwards(call: ToolCall) -> ToolCall:
        arguments = dict(reversed(json.loads(call.arguments).items()))
        return call.model_copy(update={"arguments": json.dumps(arguments)})

    turned = tuple(
        turn.model_copy(update={"tool_calls": tuple(backwards(call) for call in turn.tool_calls)})
        for turn in attempt.messages
    )
    other = attempt.model_copy(update={"messages": turned})
    assert other.calls != attempt.calls  # some call has more than one argument
    (score,) = scored([example], [other])
    assert score.parts["calls"] == 1


def test_a_try_that_was_cut_off_is_wrong_and_one_that_failed_is_undecided(done: tuple[Example, Trajectory]) -> None:
    example, attempt = done
    cut = attempt.model_copy(update={"stop_reason": "max_turns"})
    failed = attempt.model_copy(update={"stop_reason": "environment_error", "error": "broken"})
    assert not scored([example], [cut])[0].passed
    assert isinstance(scored([example], [failed])[0], ScorerError)
    assert isinstance(score_all(SCORER, [(example, Completion.of_text(example.id, "Done."))])[0], ScorerError)


@pytest.mark.parametrize("reference", ["", "[]", '{"calls": 3}', '{"calls": [3]}', '{"said": [3]}'])
def test_a_reference_that_says_nothing_of_a_try_is_the_scorer_s_failure(
    done: tuple[Example, Trajectory], reference: str
) -> None:
    example, attempt = done
    broken = example.model_copy(update={"reference": reference})
    assert isinstance(scored([broken], [attempt])[0], ScorerError)


def test_a_reference_whose_calls_cannot_be_made_is_the_scorer_s_failure(done: tuple[Example, Trajectory]) -> None:
    example, attempt = done
    for call in ({"name": "get_order", "arguments": {"order_id": "W0"}}, {"name": "fly", "arguments": {}}):
        (outcome,) = scored([rewritten(example, calls=[call])], [attempt])
        assert isinstance(outcome, ScorerError) and "can be made" in str(outcome)
