"""Drifts of the desk: in each the right ends are those of the changed world, and a scorer of that world says so."""

import hashlib
import json
from functools import cache

import pytest

from components.data.sources import generated_example
from components.errors import ConfigError
from components.params import ScorerParams
from components.records import Example, Score, Trajectory
from components.scorers import Outcome, build, score_all
from components.tasks import completion_of
from components.tasks import demonstrated as demonstration_of
from components.workloads.desk import DRIFTS, Task, cases, drifted, generate
from components.workloads.desk.cases import Case
from monitoring.traffic import Plan, tickets
from tests.components.workloads.desk_settings import WORKLOAD

SEED, N = 5, 60
# Of the cases that the shipped figures were measured on: the first 200 of the workload's seed.
SHIPPED = "f5b2078b51b7305341b21a2c150e2c3d50618e114d8d4282a80cf8a7b0e05461"


def judged_in(drift: str) -> ScorerParams:
    """The workload's scorer, with the environment of a drift."""
    assert WORKLOAD.scorer.trajectory is not None
    changed = WORKLOAD.scorer.trajectory.model_copy(update={"environment": DRIFTS[drift].environment})
    return WORKLOAD.scorer.model_copy(update={"trajectory": changed})


@cache
def tasks(drift: str) -> tuple[Task, ...]:
    return tuple(drifted(N, SEED, drift))


@cache
def examples(drift: str) -> tuple[Example, ...]:
    return tuple(generated_example(WORKLOAD, task) for task in tasks(drift))


def outcomes(drift: str, tries: list[Trajectory]) -> list[Outcome]:
    scorer = build(judged_in(drift), WORKLOAD.output)
    return score_all(
        scorer, [(example, completion_of(made)) for example, made in zip(examples(drift), tries, strict=True)]
    )


def test_the_usual_cases_are_those_that_the_shipped_figures_were_measured_on() -> None:
    assert hashlib.sha256(repr(cases(200, 20250801)).encode()).hexdigest() == SHIPPED


def test_without_a_drift_the_tasks_are_the_usual_ones() -> None:
    assert list(tasks("none")) == list(generate(N, SEED))


@pytest.mark.parametrize("drift", DRIFTS)
def test_right_demonstrations_of_a_drift_pass_in_its_world_and_wrong_ones_do_not(drift: str) -> None:
    judged = outcomes(drift, [demonstration_of(example) for example in examples(drift)])
    verdicts = {
        (example.slices["demonstration"], verdict.passed if isinstance(verdict, Score) else str(verdict))
        for example, verdict in zip(examples(drift), judged, strict=True)
    }
    assert verdicts == {("right", True), ("wrong", False)}


@pytest.mark.parametrize("drift", DRIFTS)
def test_a_task_depends_on_its_number_seed_and_drift_alone(drift: str) -> None:
    assert list(drifted(10, SEED, drift)) == list(tasks(drift)[:10])
    assert list(drifted(10, SEED + 1, drift)) != list(tasks(drift)[:10])


def delivered(intent: str, days: int, drift: str, status: str = "delivered") -> Case:
    """What ada wants of her own radio, which came so many days ago."""
    order = {
        "order_id": "W4711", "email": "ada17@mail.example", "item": "radio", "status": status,
        "delivered_days_ago": days if status == "delivered" else None, "paid": 45.5, "address": "Graz",
    }  # fmt: skip
    return Case(intent, order, (), "ada17@mail.example", "Oslo", None, DRIFTS[drift])


def changes(case: Case) -> list[str]:
    """The tools that have to change something."""
    return [call["name"] for call in case.right["must"][1:]]


def test_what_is_right_follows_the_policy_of_the_world() -> None:
    assert changes(delivered("damaged", 9, "none")) == ["hand_over"]
    assert changes(delivered("damaged", 9, "policy")) == ["refund_order"]
    assert delivered("damaged", 45, "policy").right["must"][1]["arguments"] == {"order_id": "W4711", "amount": 45.5}
    for drift, days in (("none", 30), ("policy", 14), ("days", 14)):
        assert changes(delivered("refund", days, drift)) == ["refund_order"]
        late = delivered("refund", days + 1, drift)
        assert changes(late) == [] and late.right["said"][0] == f"more than {days} days"
    assert changes(delivered("refund", 0, "status", "returned")) == ["refund_order"]
    assert delivered("cancel", 0, "status", "returned").refusal == "packing"
    assert delivered("status", 0, "status", "returned").right["said"] == ["returned", "W4711"]


def test_a_refusal_names_the_days_that_hold_now() -> None:
    said = [task.demonstration.answer for task in tasks("days") if "days have passed" in task.demonstration.answer]
    assert said and all("more than 14 days have passed" in answer for answer in said)


def test_returned_orders_are_asked_for_and_paid_back() -> None:
    returned = [task for task in tasks("status") if json.loads(task.evidence["orders"])[0]["status"] == "returned"]
    assert len(returned) > 4
    assert any("come back to you" in task.message for task in tasks("status"))
    owned = [task for task in returned if "owner" not in task.demonstration.answer]
    ends = {task.slices["intent"]: task for task in owned if task.slices["demonstration"] == "right"}
    assert ends["status"].demonstration.answer.endswith("is returned.")
    assert ends["refund"].demonstration.answer.startswith("Done")


def test_a_renamed_argument_is_in_the_schema_and_in_every_look() -> None:
    for task in tasks("argument"):
        (schema,) = [tool.parameters for tool in task.demonstration.tools if tool.name == "get_order"]
        assert list(schema["properties"]) == ["number"]
        looks = [call for call in task.demonstration.calls if call.name == "get_order"]
        assert all(list(json.loads(call.arguments)) == ["number"] for call in looks)
        assert task.demonstration.invalid_calls == 0


def test_one_look_in_five_fails_and_is_made_again() -> None:
    made = [task.demonstration for task in drifted(200, SEED, "failing")]
    looks = sum(call.name == "get_order" for attempt in made for call in attempt.calls)
    failed = sum("does not answer" in message.content for attempt in made for message in attempt.messages)
    assert 0.17 < failed / looks < 0.23
    assert any(
        attempt.tool_errors and attempt.stop_reason == "completed" and attempt.answer.startswith("Done")
        for attempt in made
    )


def test_an_unknown_drift_and_a_negative_count_are_refused() -> None:
    with pytest.raises(ValueError, match=r"drift must be one of none, policy, .* found rain"):
        drifted(1, SEED, "rain")
    with pytest.raises(ValueError, match="n must be ≥ 0, found -1"):
        drifted(-1, SEED, "none")


def test_single_messages_are_no_traffic_of_an_agent() -> None:
    with pytest.raises(ConfigError, match=r"found an agent's \(desk\)"):
        tickets(WORKLOAD, Plan(10, "policy", 5, 0.5, 1))
