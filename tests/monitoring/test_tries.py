"""Two worlds of an agent: changes in the second are reported, and nothing else is."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from components.data.joining import Joined
from components.errors import DataError
from components.params import Limits, WatchParams
from components.records import (
    Feedback,
    Message,
    Scored,
    Tool,
    ToolCall,
    Trace,
    Trajectory,
    Usage,
    read_record,
    write_record,
)
from components.tasks import Replay, roll, start_of
from components.tasks.environment import spec_of
from components.workloads.desk import Desk, cases, demonstrated, drifted
from monitoring.calibration import limits, measured
from monitoring.conversations import conversations
from monitoring.lake import Lake
from monitoring.tries import MOST_COLUMNS, MOST_FIELDS, compare_tries, in_slices, watch_tries
from monitoring.watch import Sides, Watched, sentence
from monitoring.windows import Window
from tests.components.workloads.desk_settings import PROMPT

PARAMS = WatchParams(min_rows=100, resamples=500, false_alarms=0.01)


def tries(count: int, seed: int, kind: type[Desk] = Desk) -> list[Joined]:
    """Demonstrations of cases in an environment."""
    examples = cases(count, seed)
    starts = [start_of(example, PROMPT.messages(example)) for example in examples]
    rolled = roll(spec_of(kind, "desk"), Replay(demonstrated(examples)), starts, Limits())
    return [Joined(trajectory=made.trajectory, traces=()) for made in rolled]


def beside(before: Sequence[Joined], now: Sequence[Joined]) -> Sides[Joined]:
    """What is compared with a window: what came before it, unless the call says otherwise."""
    return Sides("desk", {}, before, Window(1, 0.0, 60.0, len(now), tuple(now)), usual="before")


@cache
def usual() -> tuple[Joined, ...]:
    return tuple(tries(200, 1))


def moved(now: list[Joined]) -> set[str]:
    table = compare_tries(usual(), now)
    allowed, distances = limits(table, 0.01, 500, 0), measured(table)
    return {name for name in distances if distances[name] > allowed[name]}


class Counting(Desk):
    """A shop that pays in cents."""

    def get_order(self, order_id: str) -> str:
        """Show an order.

        Args:
            order_id: Its number.
        """
        order: dict[str, Any] = json.loads(super().get_order(order_id))
        return json.dumps(order | {"paid": round(order["paid"] * 100)})


class Nested(Desk):
    """A shop that answers in another form."""

    def get_order(self, order_id: str) -> str:
        """Show an order.

        Args:
            order_id: Its number.
        """
        return json.dumps({"order": json.loads(super().get_order(order_id))})


@pytest.mark.parametrize("seed", range(2, 6))
def test_where_nothing_changed_nothing_is_reported(seed: int) -> None:
    assert moved(tries(150, seed)) == set()


def moved_by(drift: str) -> set[str]:
    return moved([Joined(trajectory=task.demonstration, traces=()) for task in drifted(150, 9, drift)])


def test_a_tool_that_fails_in_one_of_five_calls_is_seen() -> None:
    columns = moved_by("failing")
    assert {"tools.errors", "tools.get_order.failed", "tools.get_order.error"} <= columns
    assert not any(name.endswith(".schema") for name in columns)


def test_an_argument_that_was_renamed_is_seen_in_schema_and_calls() -> None:
    columns = moved_by("argument")
    assert {"tools.get_order.schema", "tools.get_order.given"} <= columns
    assert not any("hand_over" in name or "failed" in name for name in columns)


def test_a_policy_that_changed_is_seen_in_what_is_called_by_whoever_acts_by_it() -> None:
    columns = moved_by("policy")
    assert "tools.hand_over.calls" in columns
    assert not any(name.endswith((".schema", ".failed")) for name in columns)


def test_a_policy_that_changed_is_seen_in_scores_where_an_agent_acts_as_before() -> None:
    def scored(n: int, seed: int, forbidden: str) -> list[Joined]:
        """Usual conversations; people call those wrong that are, and those in which what is forbidden was called."""
        return [
            Joined(trajectory=task.demonstration.model_copy(update={"reward": float(right)}), traces=())
            for task in drifted(n, seed, "none")
            for right in [
                task.slices["demonstration"] == "right"
                and not any(call.name == forbidden for call in task.demonstration.calls)
            ]
        ]

    table = compare_tries(scored(400, 1, "nothing"), scored(300, 9, "hand_over"))
    allowed, distances = limits(table, 0.01, 500, 0), measured(table)
    assert {name for name in distances if distances[name] > allowed[name]} == {"quality.score"}


def test_a_new_status_is_seen_and_named(tmp_path: Path) -> None:
    now = [Joined(trajectory=task.demonstration, traces=()) for task in drifted(150, 9, "status")]
    watched = watch_tries(beside(usual(), now), PARAMS, tmp_path / "tries.html")
    (status,) = [change for change in watched.moved if change.column == "tools.get_order.gave.status"]
    assert status.current.startswith(("returned ", "delivered "))
    assert watched.kinds == ("tools",) and watched.severity > 1 and watched.of == "conversations"
    assert "returned" in set(compare_tries(usual(), now).current["tools.get_order.gave.status"])
    assert (tmp_path / "tries.html").is_file()
    of_it = [in_slices(conversation.trajectory, ["tools.get_order.gave.status=returned"]) for conversation in now]
    assert of_it == ['"status": "returned"' in str(conversation.trajectory.messages) for conversation in now] and any(
        of_it
    )


def test_results_in_another_form_or_in_another_unit_are_seen() -> None:
    assert "tools.get_order.gave" in moved(tries(150, 9, Nested))
    assert "tools.get_order.gave.paid" in moved(tries(150, 9, Counting))


def test_fewer_conversations_than_are_needed_on_either_side_are_not_judged(tmp_path: Path) -> None:
    few = usual()[:99]
    for before, now in ((usual(), few), (few, usual())):
        watched = watch_tries(beside(before, now), PARAMS, tmp_path / "page.html")
        assert (watched.judged, watched.rows, watched.moved) == (False, len(now), ())
        assert (
            sentence(watched)
            == f"desk, version 1: {len(now)} of {len(now)} conversations, too few conversations to judge."
        )
    assert not (tmp_path / "page.html").exists()
    with pytest.raises(DataError, match="expected conversations on both sides, found 0 before and 200 now"):
        compare_tries((), usual())


def told(result: str, number: int = 0) -> Joined:
    call = ToolCall(id="x", name="look", arguments='{"id": 1}')
    messages = (
        Message(role="assistant", content="", tool_calls=(call,)),
        Message(role="tool", content=result, tool_call_id="x"),
    )
    tool = Tool(name="look", parameters={"type": "object"})
    return Joined(
        trajectory=Trajectory(
            id=str(number), example_id=str(number), messages=messages, tools=(tool,), stop_reason="completed",
            turns=1, tool_calls=1, usage=Usage(input_tokens=1, output_tokens=1),
        ),
        traces=(),
    )  # fmt: skip


@pytest.mark.parametrize(
    "strange",
    ["", "null", "[]", '[{"a": 1}]', '{"a": NaN}', '{"a": {"b": [1, null]}}', '{"a": true}', "7", "1e999", "[" * 99_999,
     '{"' + "k" * 500 + '": 1}', '{"a": "' + "v" * 500 + '"}', '{"": 1}', '{"a.b": 1}'],
)  # fmt: skip
def test_whatever_a_tool_gives_can_be_compared(strange: str) -> None:
    before = [told('{"a": 1}', number) for number in range(40)]
    now = [told(strange, number) for number in range(40)]
    table = compare_tries(before, now)
    allowed, distances = limits(table, 0.01, 200, 0), measured(table)
    assert any(distances[name] > allowed[name] for name in distances if name.startswith("tools.look"))
    assert not [name for name in compare_tries(before, before).columns]


def test_half_a_character_in_a_result_ends_no_look_and_is_told_as_a_question_mark(tmp_path: Path) -> None:
    before, now = (
        [told(json.dumps({"a\ud83d": "x\ud83d" if at % 10 < many else "y"}), at) for at in range(200)]
        for many in (2, 8)
    )
    look = watch_tries(beside(before, now), PARAMS, tmp_path / "tries.html")
    assert [each.column for each in look.moved] == ["tools.look.gave.a?"]
    write_record(tmp_path / "watched.json", look)
    assert read_record(tmp_path / "watched.json", Watched) == look
    assert in_slices(now[0].trajectory, [each.slice for each in look.slices])


def test_results_keyed_by_numbers_do_not_become_endless_columns() -> None:
    def side(value: int) -> list[Joined]:
        keyed = [json.dumps({f"{at}-{key}": value for key in range(20)}) for at in range(40)]
        return [told(result, at) for at, result in enumerate([*keyed, *[json.dumps({"a": value})] * 40])]

    columns = compare_tries(side(1), side(2)).columns
    assert "tools.look.gave.a" in columns
    assert 200 < len(columns) <= MOST_COLUMNS


def test_of_an_object_with_very_many_fields_the_first_are_compared() -> None:
    before, now = ([told(json.dumps(dict.fromkeys(map(str, range(500)), value)))] * 40 for value in (1, 2))
    assert sum(name.startswith("tools.look.gave.") for name in compare_tries(before, now).columns) == MOST_FIELDS


def test_failures_are_distinguished_by_their_words_and_not_by_their_numbers() -> None:
    """One call in four fails on both sides: that an order is unknown before, now that the shop is away."""

    def side(error: str) -> list[Joined]:
        return [told(json.dumps({"error": f"{error} W{at}"} if at % 4 == 0 else {"a": 1}), at) for at in range(200)]

    before, same, now = side("there is no order"), side("there is no order"), side("the shop is away, order")
    table = compare_tries(before, now)
    allowed, distances = limits(table, 0.01, 500, 0), measured(table)
    assert [name for name in distances if distances[name] > allowed[name]] == ["tools.look.error"]
    assert set(table.current["tools.look.error"]) == {"none", "the shop is away, order #"}
    assert not measured(compare_tries(before, same)).get("tools.look.error", 0.0)


def test_results_that_are_all_different_texts_are_not_labels() -> None:
    before, now = ([told(json.dumps({"id": f"{side}{at}"}), at) for at in range(60)] for side in "ab")
    assert not any(name.endswith(".id") for name in compare_tries(before, now).columns)


def test_conversations_come_from_the_lake_with_what_was_said_of_them(tmp_path: Path) -> None:
    lake, tool = Lake(tmp_path), Tool(name="look", parameters={"type": "object"})
    asked = (Message(role="user", content="?"),)
    call = ToolCall(id="x", name="look", arguments='{"id": "Ü"}')
    answer = Message(role="tool", content="{}", tool_call_id="x")
    base: dict[str, Any] = {
        "workload": "desk", "version": 1, "method": "sft", "finish_reason": "stop", "latency_ms": 1.0, "valid": True,
        "usage": Usage(input_tokens=1, output_tokens=1), "tools": (tool,), "caller": "k",
    }  # fmt: skip
    first = Trace(id="a", at=10.0, messages=asked, text="", calls=(call,), **base)
    second = Trace(id="b", at=11.0, messages=(*asked, first.reply, answer), text="so", **base)
    without: dict[str, Any] = {**base, "tools": ()}
    plain = Trace(id="p", at=11.0, messages=asked, text="so", **without)
    said = Feedback(trace_id="b", at=12.0, workload="desk", score=0.5, sender="k")
    forged = Feedback(trace_id="b", at=13.0, workload="desk", score=0.0, sender="other")
    lake.store("s", [record.model_dump_json() for record in (first, second, plain, said, forged)])
    assert lake.read(Trace, "desk") == [first, second, plain]  # nothing is lost on the way
    (conversation,) = conversations(lake, "desk", (0.0, 20.0))
    assert (conversation.traces, conversation.trajectory.reward, conversation.trajectory.calls) == (
        ("a", "b"),
        0.5,
        (call,),
    )
    scored = Scored(trace_id="a", at=14.0, workload="desk", source="scorer", value=1.0, passed=True)
    lake.store("t", [scored.model_dump_json()])
    assert conversations(lake, "desk", (0.0, 20.0))[0].trajectory.reward == 0.5  # the last turn's
    assert conversations(lake, "desk", (0.0, 10.5))[0].traces == ("a",)
