"""Two worlds of an agent: what changed in the second is told, and where nothing changed nothing is."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from components.data.joining import Joined
from components.errors import DataError
from components.params import Limits, WatchParams
from components.records import Example, Feedback, Message, Scored, Tool, ToolCall, Trace, Trajectory, Usage
from components.tasks import Replay, roll, start_of
from components.tasks.environment import spec_of
from components.workloads.desk import Desk, cases, demonstrated
from monitoring.calibration import limits, measured
from monitoring.conversations import conversations
from monitoring.lake import Lake
from monitoring.tries import MOST_COLUMNS, MOST_FIELDS, compare_tries, watch_tries
from monitoring.watch import Sides, sentence
from monitoring.windows import Window
from tests.components.workloads.desk_settings import PROMPT

PARAMS = WatchParams(min_rows=100, resamples=500, false_alarms=0.01)
Change = Callable[[Example], Example]


def same(example: Example) -> Example:
    return example


def tries(
    count: int, seed: int, kind: type[Desk] = Desk, change: Change = same, written: tuple[str, str] = ("", "")
) -> list[Joined]:
    """Demonstrations of cases in a world; in calls the first text reads as the second."""
    examples = [change(example) for example in cases(count, seed)]
    said = {name: [turn.replace(*written) for turn in turns] for name, turns in demonstrated(examples).items()}
    starts = [start_of(example, PROMPT.messages(example)) for example in examples]
    rolled = roll(spec_of(kind, "desk"), Replay(said), starts, Limits())
    return [Joined(trajectory=one.trajectory, traces=()) for one in rolled]


def beside(before: Sequence[Joined], now: Sequence[Joined]) -> Sides[Joined]:
    """What is compared of a window: what was there before it, as long as nobody says otherwise."""
    return Sides("desk", {}, before, Window(1, 0.0, 60.0, len(now), tuple(now)), usual="before")


@cache
def usual() -> tuple[Joined, ...]:
    return tuple(tries(200, 1))


def moved(now: list[Joined]) -> set[str]:
    table = compare_tries(usual(), now)
    allowed, found = limits(table, 0.01, 500, 0), measured(table)
    return {name for name in found if found[name] > allowed[name]}


class Away(Desk):
    """A shop that does not answer one call in five."""

    def get_order(self, order_id: str) -> str:
        """Show an order.

        Args:
            order_id: Its number.
        """
        if sum(map(ord, order_id)) % 5 == 0:
            raise TimeoutError("the shop does not answer")
        return super().get_order(order_id)


class Renamed(Desk):
    """A shop whose orders have another name."""

    def get_order(self, number: str) -> str:  # type: ignore[override]
        """Show an order.

        Args:
            number: Its number.
        """
        return super().get_order(number)


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


def returned(example: Example) -> Example:
    """A case in which some of what was delivered has been returned."""
    orders: list[dict[str, Any]] = json.loads(example.evidence["orders"])
    for order in orders:
        if order["status"] == "delivered" and order["paid"] > 120:
            order["status"] = "returned"
    return example.model_copy(update={"evidence": {**example.evidence, "orders": json.dumps(orders)}})


@pytest.mark.parametrize("seed", range(2, 6))
def test_where_nothing_changed_nothing_is_told(seed: int) -> None:
    assert moved(tries(150, seed)) == set()


def test_a_tool_that_fails_in_one_of_five_calls_is_seen() -> None:
    found = moved(tries(150, 9, Away))
    assert {"tools.errors", "tools.get_order.failed"} <= found
    assert not any(name.endswith(".schema") for name in found)


RENAMED = '"get_order", "arguments": {"order_id"', '"get_order", "arguments": {"number"'


def test_an_argument_that_was_renamed_is_seen_in_schema_and_calls() -> None:
    now = tries(150, 9, Renamed, written=RENAMED)
    found = moved(now)
    assert {"tools.get_order.schema", "tools.get_order.given"} <= found
    assert not any("hand_over" in name or "failed" in name for name in found)


def test_a_status_that_is_new_is_seen_and_told_by_its_name(tmp_path: Path) -> None:
    now = tries(150, 9, change=returned)
    found = watch_tries(beside(usual(), now), PARAMS, tmp_path / "tries.html")
    (status,) = [one for one in found.moved if one.column == "tools.get_order.gave.status"]
    assert status.current.startswith(("returned ", "delivered "))
    assert found.kinds == ("tools",) and found.severity > 1
    assert "returned" in set(compare_tries(usual(), now).current["tools.get_order.gave.status"])
    assert (tmp_path / "tries.html").is_file()


def test_results_in_another_form_or_in_another_unit_are_seen() -> None:
    assert "tools.get_order.gave" in moved(tries(150, 9, Nested))
    assert "tools.get_order.gave.paid" in moved(tries(150, 9, Counting))


def test_fewer_conversations_than_are_needed_on_either_side_are_not_judged(tmp_path: Path) -> None:
    few = usual()[:99]
    for before, now in ((usual(), few), (few, usual())):
        found = watch_tries(beside(before, now), PARAMS, tmp_path / "page.html")
        assert (found.judged, found.rows, found.moved) == (False, len(now), ())
        assert (
            sentence(found)
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
    allowed, found = limits(table, 0.01, 200, 0), measured(table)
    assert any(found[name] > allowed[name] for name in found if name.startswith("tools.look"))
    assert not [name for name in compare_tries(before, before).columns]


def test_results_that_are_keyed_by_numbers_are_no_columns_without_end() -> None:
    def side(value: int) -> list[Joined]:
        keyed = [json.dumps({f"{at}-{key}": value for key in range(20)}) for at in range(40)]
        return [told(result, at) for at, result in enumerate([*keyed, *[json.dumps({"a": value})] * 40])]

    columns = compare_tries(side(1), side(2)).columns
    assert "tools.look.gave.a" in columns
    assert 200 < len(columns) <= MOST_COLUMNS


def test_of_an_object_with_fields_without_end_the_first_are_compared() -> None:
    before, now = ([told(json.dumps(dict.fromkeys(map(str, range(500)), value)))] * 40 for value in (1, 2))
    assert sum(name.startswith("tools.look.gave.") for name in compare_tries(before, now).columns) == MOST_FIELDS


def test_results_that_are_all_different_texts_are_no_labels() -> None:
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
    lake.store("s", [one.model_dump_json() for one in (first, second, plain, said, forged)])
    assert lake.read(Trace, "desk") == [first, second, plain]  # nothing is lost on the way
    (one,) = conversations(lake, "desk", (0.0, 20.0))
    assert (one.traces, one.trajectory.reward, one.trajectory.calls) == (("a", "b"), 0.5, (call,))
    scored = Scored(trace_id="a", at=14.0, workload="desk", source="scorer", value=1.0, passed=True)
    lake.store("t", [scored.model_dump_json()])
    assert conversations(lake, "desk", (0.0, 20.0))[0].trajectory.reward == 0.5  # the last turn's
    assert conversations(lake, "desk", (0.0, 10.5))[0].traces == ("a",)
