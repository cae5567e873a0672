"""An MCP server as an environment: a real one, in a process of its own."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from components.errors import ConfigError
from components.params import Limits, ScorerParams, TrajectoryParams
from components.records import Example, Message, Trajectory
from components.scorers import build
from components.tasks import EnvironmentSpec, Replay, completion_of, mcp_tools, open_environment, roll
from components.tasks.rollout import Start
from tests.flows.conftest import wait_until

pytest.importorskip("mcp", reason="the extra `mcp` is not installed")
SERVER = Path(__file__).with_name("mcp_server.py")


@pytest.fixture(scope="module")
def stdio() -> EnvironmentSpec:
    return open_environment(f"mcp:{sys.executable} {SERVER}")


@pytest.fixture(scope="module")
def http() -> Iterator[EnvironmentSpec]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, str(SERVER), str(port)])
    try:
        wait_until(lambda: _listens(port))
        yield open_environment(f"mcp:http://127.0.0.1:{port}/mcp")
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as knock:
        return knock.connect_ex(("127.0.0.1", port)) == 0


def call(tool: str, **arguments: Any) -> str:
    return f'<tool_call>{{"name": "{tool}", "arguments": {json.dumps(arguments)}}}</tool_call>'


def tries(spec: EnvironmentSpec, *said: list[str], things: str = "cup,pen", **limits: Any) -> list[Trajectory]:
    """A try for each list of turns, all at once."""
    starts = [
        Start(str(at), 0, (Message(role="user", content="Go."),), {"things": things, "other": "x"})
        for at in range(len(said))
    ]
    policy = Replay({str(at): turns for at, turns in enumerate(said)})
    return [each.trajectory for each in roll(spec, policy, starts, Limits(**limits))]


def results(given: Trajectory) -> list[Any]:
    return [json.loads(message.content) for message in given.messages if message.role == "tool"]


def test_the_tools_of_a_server_are_those_that_are_no_part_of_the_contract(stdio: EnvironmentSpec) -> None:
    assert [tool.name for tool in stdio.tools] == ["count", "add", "misbehave"]
    count = stdio.tools[0]
    assert count.description == "How many of a thing there are."
    assert (count.parameters["properties"]["name"]["type"], count.parameters["required"]) == ("string", ["name"])


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_what_a_server_answers_is_counted_as_what_other_tools_return(
    transport: str, request: pytest.FixtureRequest
) -> None:
    turns = [
        call("count", name="cup"),
        call("add", name="cup", number=2),
        call("count", name="nothing"),
        call("misbehave", how="long"),
        call("misbehave", how="picture"),
        call("add", name="cup", number="two"),
        call("reset", things="pen"),
        "Bye.",
    ]
    (first,) = tries(request.getfixturevalue(transport), turns, turns=20)
    counted = (first.stop_reason, first.turns, first.tool_calls, first.tool_errors, first.invalid_calls, first.error)
    assert counted == ("completed", 8, 5, 3, 2, None)
    right, more, *wrong = results(first)
    assert (right, more) == ({"count": 1}, {"count": 3})
    reasons = ["count", "1,000,000 characters, more than 8,192", "returned image, which is no text", "'two' is not",
               "there is no tool 'reset'"]  # fmt: skip
    assert all(reason in each["error"] for reason, each in zip(reasons, wrong, strict=True)), wrong
    assert first.messages[0].content == "Go. The shelf is open."
    assert (first.final_state, first.reward) == ({"cup": 3, "pen": 1}, 1.0)


@pytest.mark.parametrize("how", ["", " plain"])
def test_what_a_hook_of_a_server_returns_reaches_the_try_as_it_is(how: str) -> None:
    spec = open_environment(f"mcp:{sys.executable} {SERVER}{how}")
    (quiet,) = tries(spec, ["Bye."], things="silence,result")
    assert [message.content for message in quiet.messages] == ["Go.", "Bye."]
    assert (quiet.stop_reason, quiet.error, quiet.reward) == ("completed", None, 0.0)
    assert quiet.final_state == {"silence": 1, "result": 1}
    (asked,) = tries(spec, ["Yes?", "Bye."], things="customer")
    assert [message.content for message in asked.messages] == ["Go. The shelf is open.", "Yes?", "4711", "Bye."]
    assert (asked.stop_reason, asked.error) == ("completed", None)
    (bare,) = tries(spec, ["Bye."], things="result")  # the key in which the SDK wraps other values
    assert bare.final_state == {"result": 1}


def test_a_try_with_a_server_is_scored_by_the_state_that_its_reference_leaves_there(stdio: EnvironmentSpec) -> None:
    address = f"mcp:{sys.executable} {SERVER}"
    assert open_environment(address) is stdio  # asked for its tools once
    scorer = build(ScorerParams(weighted={"final_state": 1.0}, trajectory=TrajectoryParams(environment=address)), {})
    reference = json.dumps({"calls": [{"name": "add", "arguments": {"name": "cup", "number": 2}}]})
    inputs = {"things": "cup,pen"}
    example = Example(id="0", input=inputs, demonstration="", reference=reference, group="")
    right, wrong = tries(stdio, [call("add", name="cup", number=2)], [call("add", name="pen", number=2)])
    assert [scorer.score(example, completion_of(each)).passed for each in (right, wrong)] == [True, False]


def test_each_try_has_a_process_of_its_own_that_ends_with_it(stdio: EnvironmentSpec) -> None:
    before = set(psutil.Process().children())
    first, second = tries(stdio, [call("add", name="cup", number=2)], [call("count", name="cup")])
    assert (results(first), results(second)) == ([{"count": 3}], [{"count": 1}])
    assert (first.reward, second.reward) == (1.0, 0.0)
    wait_until(lambda: set(psutil.Process().children()) <= before)


def test_a_server_that_hangs_or_is_gone_does_not_count_against_the_agent(
    stdio: EnvironmentSpec, http: EnvironmentSpec
) -> None:
    (hung,) = tries(http, [call("misbehave", how="hang")], call_seconds=1.0)
    assert (hung.stop_reason, hung.tool_errors, hung.reward) == ("rollout_timeout", 0, None)
    assert hung.error == "expected misbehave to return within 1 s, found no answer"
    (gone,) = tries(stdio, [call("misbehave", how="exit"), "Bye."])
    assert (gone.stop_reason, gone.tool_errors, gone.reward) == ("environment_error", 0, None)
    assert "the MCP server is gone" in str(gone.error)


def test_a_call_may_take_as_long_as_the_limits_say(stdio: EnvironmentSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_tools, "LET_GO_S", 0.5)  # less than the two seconds that it takes
    (slow,) = tries(stdio, [call("misbehave", how="hang"), "Bye."], call_seconds=30.0)
    assert (slow.stop_reason, slow.error, slow.tool_calls) == ("completed", None, 1)


def test_a_server_with_a_tool_whose_schema_is_none_is_refused_by_the_tools_name() -> None:
    with pytest.raises(ConfigError, match=r"arguments of label, found .*is not a 'regex' \(mcp:"):
        open_environment(f"mcp:{sys.executable} {SERVER} letters")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("mcp:/nowhere/at-all", "FileNotFoundError"),
        ("mcp:", "expected"),
        ("mcp:'unclosed", "expected mcp:ADDRESS or mcp:COMMAND"),
        (f"mcp:{sys.executable} -c pass", "expected an MCP server, found"),
        (f"mcp:{sys.executable} -c print(1)", "expected an MCP server, found"),
        ("mcp:http://127.0.0.1:9/mcp", "expected an MCP server, found"),
    ],
)
def test_a_command_that_is_not_a_server_is_refused_in_words(address: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        open_environment(address)
    assert "\n" not in str(refused.value)
