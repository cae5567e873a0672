"""Tries of agents from elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.data.trajectories import beside, read_trajectories
from components.errors import DataError
from components.evaluation.trials import pass_by_k
from components.records import write_jsonl

CALL = {"id": "c1", "type": "function", "function": {"name": "get_order", "arguments": '{"id": "W1"}'}}
TOOL = {"type": "function", "function": {"name": "get_order", "description": "d", "parameters": {"type": "object"}}}
SAID: list[dict[str, Any]] = [
    {"role": "system", "content": "Policy."},
    {"role": "user", "content": "Where is W1?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL], "function_call": None, "refusal": None},
    {"role": "tool", "tool_call_id": "c1", "name": "get_order", "content": None},
    {"role": "assistant", "content": "Sent.", "tool_calls": None},
]


def written(tmp_path: Path, content: Any, name: str = "tries.json") -> Path:
    path = tmp_path / name
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, encoding="utf-8")
    return path


def tau(task: int | str, reward: Any, trial: int | None = 0, traj: Any = SAID, **info: Any) -> dict[str, Any]:
    return {"task_id": task, "reward": reward, "info": info, "traj": traj, "trial": trial}


def test_tau_bench_s_files_are_read_with_their_rewards(tmp_path: Path) -> None:
    content = [tau(0, 1.0, 0), tau(0, 0.9999999, 1), tau(1, 0, 0, None), tau(1, 0.0, 1, [], error="timeout")]
    trajectories = read_trajectories(written(tmp_path, content))
    assert [trajectory.reward for trajectory in trajectories] == [1.0, 0.9999999, 0.0, 0.0]
    assert [(trajectory.example_id, trajectory.trial) for trajectory in trajectories] == [
        ("0", 0),
        ("0", 1),
        ("1", 0),
        ("1", 1),
    ]
    first = trajectories[0]
    assert [turn.role for turn in first.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert first.messages[2].content == "" and first.messages[2].tool_calls[0].arguments == '{"id": "W1"}'
    assert (first.messages[3].tool_call_id, first.messages[3].content) == ("c1", "")
    assert (first.turns, first.tool_calls, first.answer) == (2, 1, "Sent.")
    assert trajectories[2].messages == () and trajectories[3].error == "timeout"
    shares = [share.every.value for share in pass_by_k(trajectories).by_k]
    assert shares == [0.5, 0.5]


def test_trials_that_are_not_numbered_or_not_apart_count_in_the_order_of_the_file(tmp_path: Path) -> None:
    content = [tau("a", 1, None), tau("b", 0, 3), tau("a", 0, None), tau("c", 1, 0), tau("c", 0, 0)]
    trajectories = read_trajectories(written(tmp_path, content))
    assert [(trajectory.example_id, trajectory.trial) for trajectory in trajectories] == [
        ("a", 0),
        ("b", 3),
        ("a", 1),
        ("c", 0),
        ("c", 1),
    ]


def test_openai_messages_with_tools_are_read_line_by_line_and_written_ones_again(tmp_path: Path) -> None:
    record = {"messages": SAID, "tools": [TOOL], "score": 0.25, "task_id": "t"}
    path = written(tmp_path, json.dumps(record) + "\n" + json.dumps({**record, "reward": True}) + "\n")
    trajectories = read_trajectories(path)
    assert [trajectory.reward for trajectory in trajectories] == [0.25, 1.0]
    assert trajectories[0].tools[0].name == "get_order"
    write_jsonl(tmp_path / "own.jsonl", trajectories)
    assert read_trajectories(tmp_path / "own.jsonl") == trajectories


@pytest.mark.parametrize("graded", [{"reward": 1}, {"reward_info": {"reward": 1}, "reward": 1}])
def test_openai_messages_of_a_task_with_a_reward_keep_their_tools(tmp_path: Path, graded: dict[str, Any]) -> None:
    record = {"messages": SAID, "tools": [TOOL], "task_id": "t", **graded}
    (trajectory,) = read_trajectories(written(tmp_path, [record]))
    assert ([tool.name for tool in trajectory.tools], trajectory.reward, trajectory.example_id) == (
        ["get_order"],
        1.0,
        "t",
    )


def otlp(**attributes: Any) -> list[dict[str, Any]]:
    return [
        {
            "key": key.replace("__", "."),
            "value": {"stringValue": value if isinstance(value, str) else json.dumps(value)},
        }
        for key, value in attributes.items()
    ]


def span(start: int, attributes: Any, trace: str = "t1") -> dict[str, Any]:
    return {"traceId": trace, "spanId": f"s{start}", "startTimeUnixNano": str(start), "attributes": attributes}


def text(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": content}]}


CALLED = {
    "role": "assistant",
    "parts": [{"type": "tool_call", "id": "c1", "name": "get_order", "arguments": {"id": 1}}],
}
ANSWERED = {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": {"status": "sent"}}]}


def genai(tools: bool = True, history: bool = True) -> dict[str, Any]:
    names: dict[str, Any] = {"gen_ai__operation__name": "chat"}
    if tools:
        names["gen_ai__tool__definitions"] = [TOOL]
    asked = [text("user", "Where?")]
    last = [*asked, CALLED, ANSWERED] if history else [text("user", "go on")]
    spans = [
        span(3, otlp(**names, gen_ai__input__messages=last, gen_ai__output__messages=[text("assistant", "Sent.")])),
        span(1, otlp(**names, gen_ai__system_instructions=[{"type": "text", "content": "Policy."}],
                     gen_ai__input__messages=asked, gen_ai__output__messages=[CALLED])),
        span(2, otlp(gen_ai__operation__name="execute_tool", gen_ai__tool__name="get_order",
                     gen_ai__tool__call__id="c1", gen_ai__tool__call__result='{"status": "sent"}')),
    ]  # fmt: skip
    return {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}


@pytest.mark.parametrize("history", [True, False])
def test_genai_spans_become_one_trajectory_whether_the_last_call_has_the_history_or_not(
    tmp_path: Path, history: bool
) -> None:
    (trajectory,) = read_trajectories(written(tmp_path, genai(history=history)))
    roles = [turn.role for turn in trajectory.messages if turn.role != "system"]
    assert roles == ["user", "assistant", "tool", "assistant"]
    assert trajectory.calls[0].arguments == '{"id": 1}' and trajectory.answer == "Sent."
    assert trajectory.messages[-2].content == '{"status": "sent"}' and trajectory.messages[-2].tool_call_id == "c1"


def test_mlflow_traces_become_trajectories(tmp_path: Path) -> None:
    attributes = {
        "mlflow.spanType": '"CHAT_MODEL"',
        "mlflow.spanInputs": json.dumps({"messages": SAID[:-1], "model": "m"}),
        "mlflow.spanOutputs": json.dumps({"choices": [{"message": SAID[-1]}]}),
        "mlflow.chat.tools": json.dumps([TOOL]),
    }
    trace = {"info": {"trace_id": "tr-1"}, "data": {"spans": [{"name": "llm", "attributes": attributes}]}}
    (trajectory,) = read_trajectories(written(tmp_path, trace))
    assert (trajectory.example_id, trajectory.tool_calls, trajectory.answer) == ("tr-1", 1, "Sent.")
    attributes.pop("mlflow.chat.tools")
    with pytest.raises(DataError, match=r"'get_order' \(trace tr-1\)"):
        read_trajectories(written(tmp_path, trace))


def test_what_lacks_the_schemas_of_its_tools_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"schema of each tool.*get_order.*\(trace t1\)"):
        read_trajectories(written(tmp_path, genai(tools=False)))
    with pytest.raises(DataError, match=r"schema of each tool.*get_order.*\(mine\)"):
        read_trajectories(written(tmp_path, {"id": "mine", "messages": SAID}))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "at least one"),
        ("", "at least one"),
        ("3", "a list"),
        ("[3]", "a JSON object"),
        ('{"a": 1}', "with a"),
        ("{oops", "expected JSON"),
        (json.dumps([tau(0, "good")]), "a reward as a number"),
        (json.dumps([tau(0, 1, traj="x")]), "a list of messages"),
        (json.dumps([tau(0, 1, traj=[{"content": "x"}])]), "a role"),
        (json.dumps([tau(0, 1, traj=[{"role": "judge", "content": "x"}])]), "judge"),
        (json.dumps([{"reward": 1, "traj": []}]), "task_id"),
        (json.dumps({"messages": SAID[3:]}), "calls that were made"),
        (json.dumps({"messages": SAID, "tools": [{"name": "get_order"}]}), "the schema of the tool"),
    ],
)
def test_what_is_no_trajectory_is_refused_in_one_sentence(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_trajectories(written(tmp_path, content))


def test_half_a_character_does_not_keep_tries_from_being_written(tmp_path: Path) -> None:
    half = "\ud83d"
    tool = {"name": f"get{half}", "parameters": {"properties": {half: {"description": half}}}}
    call = {"id": half, "function": {"name": f"get{half}", "arguments": {half: half}}}
    said = [
        {"role": "user", "content": f"Where?{half}"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": half, "content": json.dumps({"status": half})},
    ]
    content = [{"messages": json.dumps(said), "tools": [tool], "task_id": f"t{half}"}]
    trajectories = read_trajectories(written(tmp_path, content))
    assert trajectories[0].messages[0].content == "Where??" and trajectories[0].id == "t?#0"
    write_jsonl(tmp_path / "own.jsonl", trajectories)
    assert read_trajectories(tmp_path / "own.jsonl") == trajectories


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("gpt-4.1-airline.json", "gpt-4.1-airline"),
        ("gpt-4.1-retail.json", "gpt-4.1-retail"),
        ("tries.JSONL.gz", "tries"),
        ("tries.trajectories.jsonl", "tries"),
        ("run.2026-11-28", "run.2026-11-28"),
        ("tries", "tries"),
    ],
)
def test_tries_are_written_under_the_name_of_their_file_without_what_says_its_form(name: str, target: str) -> None:
    assert beside(Path("runs.d") / name) == Path("runs.d") / f"{target}.trajectories.jsonl"
