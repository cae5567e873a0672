"""An agent's try: how it proceeds, when it ends, and what is counted."""

import asyncio
import json
import threading
import time
from typing import Any

import pytest

from components.errors import ConfigError
from components.params import Limits
from components.records import Message, ToolCall, Trajectory, Usage
from components.tasks import EnvironmentSpec, Said, completion_of, open_environment, roll, rollout
from components.tasks.environment import spec_of
from components.tasks.rollout import Start


class Till:
    """A till with money in it."""

    def __init__(self) -> None:
        self._money, self._done, self._asked = 0, False, 0

    def reset(self, money: str, **_: str) -> str:
        self._money = int(money)
        return " Go."

    def take(self, amount: int) -> str:
        """Take money out.

        Args:
            amount: How much.
        """
        if amount > self._money:
            raise ValueError("not so much there")
        self._money -= amount
        return json.dumps({"left": self._money})

    def leave(self) -> str:
        """Go home."""
        self._done = True
        return "bye"

    def misbehave(self, how: str) -> Any:
        """Do what tools do on a bad day.

        Args:
            how: In which way.
        """
        if how == "hang":
            time.sleep(1.0)
        if how == "exit":
            raise SystemExit(3)
        return {"long": "x" * 1_000_000, "bytes": b"\xff", "nan": float("nan"), "surrogate": "\ud800"}.get(how)

    def get_reward(self) -> float:
        return 1.0 if self._money == 0 else 0.0

    def _state(self) -> dict[str, Any]:
        return {"money": self._money}


class Talkative(Till):
    """A till whose owner answers twice."""

    def _user(self, messages: list[dict[str, Any]]) -> str | None:
        self._asked += 1
        return f"again {self._asked}" if self._asked < 3 else None


SPEC = spec_of(Till, "Till")


def call(name: str, **arguments: Any) -> str:
    return f'<tool_call>{{"name": "{name}", "arguments": {json.dumps(arguments)}}}</tool_call>'


class Script:
    """Says one text after the other, and then repeats the last one."""

    def __init__(self, *texts: str) -> None:
        self._texts = texts

    def say(self, dialogues: Any, limits: Limits) -> list[Said]:
        usage = Usage(input_tokens=10, output_tokens=2)
        return [Said(self._texts[min(dialogue.turn, len(self._texts) - 1)], usage) for dialogue in dialogues]


def tried(*texts: str, spec: EnvironmentSpec = SPEC, row: dict[str, str] | None = None, **limits: Any) -> Trajectory:
    start = Start("e1", 0, (Message(role="user", content="Empty it."),), row or {"money": "5"})
    (rolled,) = roll(spec, Script(*texts), [start], Limits(**limits))
    return rolled.trajectory


def test_a_try_ends_when_the_assistant_calls_nothing_and_leaves_state_reward_and_counts() -> None:
    single = tried(call("take", amount=5), "Done.")
    assert (single.stop_reason, single.final_state, single.reward, single.error) == (
        "completed",
        {"money": 0},
        1.0,
        None,
    )
    assert (single.turns, single.tool_calls, single.tool_errors, single.invalid_calls) == (2, 1, 0, 0)
    assert single.usage == Usage(input_tokens=20, output_tokens=4)
    assert [turn.role for turn in single.messages] == ["user", "assistant", "tool", "assistant"]
    assert single.messages[0].content == "Empty it. Go."
    assert single.messages[1].tool_calls == (ToolCall(id="call_0", name="take", arguments='{"amount": 5}'),)
    assert single.messages[2].tool_call_id == "call_0" and single.messages[2].content == '{"left": 0}'
    assert completion_of(single).text == "Done."


def test_calls_of_one_turn_are_carried_out_in_order_and_their_text_is_kept() -> None:
    single = tried(f"Wait. {call('take', amount=2)}{call('take', amount=3)}", "Done.")
    assert single.messages[1].content == "Wait."
    assert [turn.content for turn in single.messages if turn.role == "tool"] == ['{"left": 3}', '{"left": 0}']


def test_a_user_goes_on_until_it_has_nothing_to_say() -> None:
    single = tried("Yes?", spec=spec_of(Talkative, "Talkative"))
    assert [turn.content for turn in single.messages[2::2]] == ["again 1", "again 2"]
    assert single.stop_reason == "completed" and single.turns == 3


class Deceased(Till):
    """A till whose owner cannot be looked up, and must not be from another thread."""

    def __init__(self) -> None:
        super().__init__()
        self._own = threading.get_ident()

    @property
    def _user(self) -> Any:
        raise RuntimeError("gone" if threading.get_ident() == self._own else "another thread")

    @property
    def _close(self) -> Any:
        raise RuntimeError("gone")


def test_an_environment_whose_attributes_fail_is_asked_in_its_own_thread_and_ends_the_try() -> None:
    single = tried("Yes?", spec=spec_of(Deceased, "Deceased"))
    assert (single.stop_reason, single.error) == ("environment_error", "_user raised RuntimeError: gone")


def test_a_tool_may_end_the_try() -> None:
    single = tried(call("leave"), "never said")
    assert (single.stop_reason, single.turns, completion_of(single).error) == ("tool_stopped", 1, None)


def test_an_endless_caller_ends_at_the_limit_of_turns_or_of_calls() -> None:
    assert tried(call("take", amount=0), turns=4).stop_reason == "max_turns"
    single = tried(call("take", amount=0) * 3, tool_calls=4)
    assert (single.stop_reason, single.tool_calls) == ("max_tool_calls", 4)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (call("steal"), "no tool 'steal'"),
        ("<tool_call>{oops</tool_call>", "not JSON"),
        ("<tool_call>[1]</tool_call>", "no JSON object"),
        ('<tool_call>{"name": "take", "arguments": {"amount": 1}', "not JSON"),
        (call("take", amount="5"), "do not fit"),
        (call("take"), "do not fit"),
        (call("take", amount=5, reset=True), "do not fit"),
        (call("reset", money="9"), "no tool 'reset'"),
        (call("_state"), "no tool '_state'"),
        ('<tool_call>{"name": "take", "arguments": NaN}</tool_call>', "not JSON"),
        ('<tool_call>{"name": "\\ud800", "arguments": {}}</tool_call>', "no tool"),
        ('<tool_call>{"arguments": {"amount": "\\ud800"}, "name": "take"}</tool_call>', "not JSON"),
        ('<tool_call>{"name": "take", "arguments": {"amount": 1e400}}</tool_call>', "not JSON"),
    ],
)
def test_an_invalid_call_is_reported_counted_and_changes_nothing(text: str, reason: str) -> None:
    single = tried(text, "Sorry.")
    assert (single.invalid_calls, single.tool_calls, single.final_state) == (1, 0, {"money": 5})
    assert reason in json.loads(single.messages[2].content)["error"]
    assert single.stop_reason == "completed"
    assert Trajectory.model_validate_json(single.model_dump_json()) == single


def test_invalid_calls_end_the_try_at_their_limit() -> None:
    single = tried(call("steal"), invalid_calls=2)
    assert (single.stop_reason, single.invalid_calls, single.error) == ("parse_error", 2, None)


def test_a_tool_that_throws_is_an_error_that_the_agent_reads() -> None:
    single = tried(call("take", amount=9), "It is not there.")
    assert (single.tool_calls, single.tool_errors, single.stop_reason) == (1, 1, "completed")
    assert json.loads(single.messages[2].content) == {"error": "ValueError: not so much there"}


class Waiting(Till):
    """A till whose tools are coroutines."""

    async def take(self, amount: int) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take money out.

        Args:
            amount: How much.
        """
        return super().take(amount)


def test_a_tool_that_is_a_coroutine_returns_and_throws_as_others_do() -> None:
    single = tried(call("take", amount=9), call("take", amount=5), "Done.", spec=spec_of(Waiting, "Waiting"))
    said = [turn.content for turn in single.messages if turn.role == "tool"]
    assert [json.loads(text) for text in said] == [{"error": "ValueError: not so much there"}, {"left": 0}]
    assert (single.stop_reason, single.tool_errors, single.tool_calls, single.reward) == ("completed", 1, 2, 1.0)


class Connected(Till):
    """A till behind a connection that its first call opens, and a task keeps."""

    cancelled = 0

    async def take(self, amount: int) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take money out.

        Args:
            amount: How much.
        """
        if not hasattr(self, "_orders"):
            self._orders = asyncio.Queue[tuple[int, asyncio.Future[str]]]()
            self._task = asyncio.create_task(self._serve())
        answer = asyncio.get_running_loop().create_future()
        await self._orders.put((amount, answer))
        return await asyncio.wait_for(answer, 2)

    async def _serve(self) -> None:
        try:
            while True:
                amount, answer = await self._orders.get()
                answer.set_result(super().take(amount))
        except asyncio.CancelledError:
            Connected.cancelled += 1
            raise


def test_what_a_coroutine_started_goes_on_until_the_environment_is_released() -> None:
    single = tried(call("take", amount=2), call("take", amount=3), "Done.", spec=spec_of(Connected, "Connected"))
    assert (single.tool_errors, single.tool_calls, single.reward) == (0, 2, 1.0)
    for _ in range(100):
        if Connected.cancelled:
            break
        time.sleep(0.05)
    assert Connected.cancelled == 1


@pytest.mark.parametrize(
    "more", ['"amount": 1', '"extra": {"amount": 5}', '"name": "take"', '"arguments": {"amount": 5}', '"id": "c"']
)
def test_a_call_with_more_than_a_name_and_arguments_keeps_only_its_arguments(more: str) -> None:
    single = tried(f'<tool_call>{{"name": "take", "arguments": {{"amount": 2}}, {more}}}</tool_call>', "Done.")
    (made,) = single.calls
    taken = json.loads(made.arguments)
    assert taken in ({"amount": 2}, {"amount": 5}) and single.final_state == {"money": 5 - taken["amount"]}


def test_an_environments_greeting_can_be_encoded() -> None:
    greeting = EnvironmentSpec(type("Odd", (Till,), {"reset": lambda self, **row: "\ud800"}), SPEC.tools)
    single = tried("Done.", spec=greeting)
    assert (single.messages[0].content, single.stop_reason) == ("Empty it.?", "completed")
    assert Trajectory.model_validate_json(single.model_dump_json()) == single


def test_a_turn_score_too_large_for_a_float_is_none() -> None:
    single = tried("Done.", spec=EnvironmentSpec(type("Huge", (Till,), {"_score": lambda self: 10**400}), SPEC.tools))
    assert (single.turn_scores, single.stop_reason) == ((None,), "completed")


@pytest.mark.parametrize("how", ["long", "bytes", "nan", "surrogate"])
def test_what_no_model_can_read_is_an_error_of_the_tool(how: str) -> None:
    single = tried(call("misbehave", how=how), "Well.")
    assert (single.tool_errors, single.stop_reason) == (1, "completed")
    assert "the tool returned" in json.loads(single.messages[2].content)["error"]


def test_a_tool_that_hangs_gives_the_agent_no_result_and_delays_no_other_try() -> None:
    started = time.perf_counter()
    single = tried(call("misbehave", how="hang"), "Done.", call_seconds=0.1)
    assert time.perf_counter() - started < 0.9
    assert (single.stop_reason, single.reward, single.final_state) == ("rollout_timeout", None, None)
    assert single.error is not None and "misbehave" in single.error
    assert completion_of(single).finish_reason == "error"


def test_time_is_counted_over_all_calls_of_a_try() -> None:
    single = tried(call("misbehave", how="hang"), "Done.", call_seconds=5.0, trajectory_seconds=0.1)
    assert single.stop_reason == "rollout_timeout"


def test_a_tool_that_exits_breaks_only_its_environment() -> None:
    single = tried(call("misbehave", how="exit"), "Done.")
    assert single.stop_reason == "environment_error" and "SystemExit" in str(single.error)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("reset", lambda self, **row: 1 / 0),
        ("reset", lambda self, **row: 5),
        ("_user", lambda self, messages: 5),
        ("_user", lambda self, messages: 1 / 0),
        ("_state", lambda self: [1]),
        ("_state", lambda self: {"a": object()}),
        ("get_reward", lambda self: float("nan")),
        ("get_reward", lambda self: 10**400),
        ("get_reward", lambda self: 1 / 0),
    ],
)
def test_a_broken_environment_is_an_error_and_never_a_score(member: str, value: Any) -> None:
    single = tried("Done.", spec=EnvironmentSpec(type("Broken", (Till,), {member: value}), SPEC.tools))
    assert (single.stop_reason, single.reward, single.final_state) == ("environment_error", None, None)
    assert single.error and completion_of(single).error == single.error


class Unspeakable(Exception):
    """An error that cannot be printed."""

    def __str__(self) -> str:
        raise self


class Undecided:
    """What is neither true nor false."""

    def __bool__(self) -> bool:
        raise ValueError("neither")


def deep(levels: int) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for _ in range(levels - 1):
        state = {"a": state}
    return state


def unspeakable(*_: Any) -> None:
    raise Unspeakable


def half(*_: Any) -> None:
    raise ValueError("\ud800")


class Odd(Till):
    """A till that does not say whether the try is over where there is no money."""

    def reset(self, money: str, **rest: str) -> str:
        vars(self)["_done"] = Undecided() if money == "0" else False
        return super().reset(money, **rest)


class Deep(Till):
    """A till whose state is too deep for records where there is no money."""

    def _state(self) -> dict[str, Any]:
        return deep(9 if self._money else 250)


@pytest.mark.parametrize("kind", [Till, Odd, Deep])
def test_a_broken_try_does_not_change_the_others(kind: type[Till]) -> None:
    asked = (Message(role="user", content="x"),)
    moneys = ("5", "a" if kind is Till else "0", "5")
    starts = [Start(f"e{at}", 0, asked, {"money": money}) for at, money in enumerate(moneys)]
    policy = Script(call("take", amount=0), "Done.")
    tries = [each.trajectory for each in roll(spec_of(kind, "kind"), policy, starts, Limits())]
    assert [each.stop_reason for each in tries] == ["completed", "environment_error", "completed"]
    assert [Trajectory.model_validate_json(each.model_dump_json()) for each in tries] == tries


@pytest.mark.parametrize(("raises", "said"), [(unspeakable, "Unspeakable"), (half, "ValueError: ?")])
def test_an_error_without_words_ends_its_try_and_can_be_written(raises: Any, said: str) -> None:
    single = tried("Done.", spec=EnvironmentSpec(type("Broken", (Till,), {"_user": raises}), SPEC.tools))
    assert (single.stop_reason, single.error) == ("environment_error", f"_user raised {said}")
    assert Trajectory.model_validate_json(single.model_dump_json()) == single


def test_a_state_is_kept_as_json_has_it() -> None:
    kind = type("Numbered", (Till,), {"_state": lambda self: {1: (2, 3), "a": {True: 1.5}}})
    single = tried("Done.", spec=EnvironmentSpec(kind, SPEC.tools))
    assert (single.final_state, single.error) == ({"1": [2, 3], "a": {"true": 1.5}}, None)


def closing(close: Any) -> EnvironmentSpec:
    return EnvironmentSpec(type("Closing", (Till,), {"_close": close}), SPEC.tools)


def test_an_environment_that_hung_is_released_when_it_comes_back() -> None:
    released = threading.Event()
    single = tried(call("misbehave", how="hang"), spec=closing(lambda self: released.set()), call_seconds=0.1)
    assert single.stop_reason == "rollout_timeout"
    assert released.wait(30)


def test_releasing_an_environment_takes_no_time_of_its_try_and_is_waited_for() -> None:
    released: list[float] = []

    def close(self: Any) -> None:
        time.sleep(1.0)
        released.append(1.0)

    single = tried("Done.", spec=closing(close), trajectory_seconds=0.5)
    assert (single.stop_reason, released) == ("completed", [1.0])


def test_a_release_that_hangs_is_waited_for_as_long_as_a_call() -> None:
    started, going = time.perf_counter(), threading.Event()
    assert tried("Done.", spec=closing(lambda self: going.wait(60)), call_seconds=1.0).stop_reason == "completed"
    assert time.perf_counter() - started < 30
    going.set()


def test_environments_are_released_side_by_side_and_not_more_than_are_called_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rollout, "THREADS", 2)
    pair, known = threading.Barrier(2), threading.Lock()
    now, most, released = 0, 0, 0

    def close(self: Any) -> None:
        nonlocal now, most, released
        with known:
            now, most = now + 1, max(most, now + 1)
        pair.wait(30)  # breaks where one is released after the other
        with known:
            now, released = now - 1, released + 1

    asked = (Message(role="user", content="x"),)
    starts = [Start(f"e{at}", 0, asked, {"money": "5"}) for at in range(6)]
    roll(closing(close), Script("Done."), starts, Limits(call_seconds=60.0))
    assert (released, most) == (6, 2)


def test_all_code_of_an_environment_runs_in_one_thread() -> None:
    seen: set[int] = set()

    class Watched(Till):
        def __init__(self) -> None:
            seen.add(threading.get_ident())
            super().__init__()

        def _state(self) -> dict[str, Any]:
            seen.add(threading.get_ident())
            return {}

    tried("Done.", spec=EnvironmentSpec(Watched, SPEC.tools))
    assert len(seen) == 1 and threading.get_ident() not in seen


def test_a_class_without_docstrings_tools_or_reset_is_refused_by_name() -> None:
    class Mute:
        def reset(self) -> None: ...

        def act(self, how: str) -> None: ...

    with pytest.raises(ConfigError, match="docstring"):
        spec_of(Mute, "m:Mute")
    with pytest.raises(ConfigError, match="as tools"):
        spec_of(type("Empty", (), {"reset": lambda self: None}), "m:Empty")
    with pytest.raises(ConfigError, match="reset"):
        spec_of(int, "m:int")
    with pytest.raises(ConfigError, match="module:Class"):
        open_environment("nowhere:Nothing")


def test_tools_are_described_as_trl_describes_them() -> None:
    take = next(tool for tool in SPEC.tools if tool.name == "take")
    assert [tool.name for tool in SPEC.tools] == ["leave", "misbehave", "take"]
    assert take.description == "Take money out."
    assert take.parameters["properties"] == {"amount": {"type": "integer", "description": "How much."}}
