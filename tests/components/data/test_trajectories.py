"""Tries of agents from elsewhere."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.data.trajectories import beside, read_trajectories
from components.errors import DataError
from components.evaluation.trials import pass_by_k
from components.records import Trajectory, write_jsonl

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


@pytest.mark.parametrize(
    ("nulls", "task", "reward"),
    [
        ({"task_id": None, "id": "a", "tools": [TOOL], "reward": 1}, "a", 1.0),
        ({"task_id": "t", "id": None, "tools": [TOOL], "reward": None, "score": 0.5}, "t", 0.5),
        ({"task_id": "t", "tools": [TOOL], "traj": None, "reward": 1, "reward_info": None}, "t", 1.0),
        ({"task_id": "t", "tools": None, "reward": None, "reward_info": {"reward": 0.25}}, "t", 0.25),
    ],
)
def test_what_is_null_is_as_if_it_were_absent(
    tmp_path: Path, nulls: dict[str, Any], task: str, reward: float | None
) -> None:
    (trajectory,) = read_trajectories(written(tmp_path, [{"messages": SAID, **nulls}]))
    assert (trajectory.example_id, trajectory.reward, len(trajectory.messages)) == (task, reward, 5)


@pytest.mark.parametrize(
    ("message", "heard"),
    [
        (
            {"role": "user", "content": [
                {"type": "text", "text": "And W2?"},
                {"type": "tool_result", "tool_use_id": "c1", "content": [
                    {"type": "text", "text": "sent"}, {"type": "image", "source": {"data": "iVBO"}}]},
            ]},
            [("tool", "sent\n[image]"), ("user", "And W2?")],
        ),
        (
            {"role": "tool", "parts": [
                {"type": "tool_call_response", "id": "c1", "response": [{"status": "sent"}]},
                {"type": "text", "content": "And W2?"},
            ]},
            [("tool", '[{"status": "sent"}]'), ("user", "And W2?")],
        ),
        (
            {"role": "assistant", "parts": [
                {"type": "text", "content": "I look again."}, {"type": "tool_call", "id": "c2", "name": "get_order"},
                {"type": "tool_call_response", "id": "c2", "response": []}, {"type": "text", "content": "Sent."},
            ]},
            [("assistant", "I look again."), ("tool", "[]"), ("assistant", "Sent.")],
        ),
        ({"role": "tool", "tool_call_id": "c1", "content": {"status": "sent"}}, [("tool", '{"status": "sent"}')]),
    ],
)  # fmt: skip
def test_nothing_is_lost_of_a_message_with_a_tool_s_answer(
    tmp_path: Path, message: dict[str, Any], heard: list[tuple[str, str]]
) -> None:
    record = {"messages": [*SAID[:3], message], "tools": [TOOL]}
    (trajectory,) = read_trajectories(written(tmp_path, record))
    assert [(turn.role, turn.content) for turn in trajectory.messages[3:]] == heard


@pytest.mark.parametrize(
    "thought",
    [
        {"type": "reasoning", "content": "Hm."},
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        {"text": "Hm.", "thought": True},
    ],
)
def test_thoughts_are_no_part_of_what_an_assistant_says(tmp_path: Path, thought: dict[str, Any]) -> None:
    said = {"role": "assistant", "content": [thought, {"type": "text", "text": "Sent."}]}
    (trajectory,) = read_trajectories(written(tmp_path, {"messages": [SAID[1], said]}))
    assert trajectory.answer == "Sent."


def test_calls_and_functions_that_leave_something_empty_are_read(tmp_path: Path) -> None:
    empty = {"id": "", "type": "function", "function": {"name": "list_orders", "arguments": " "}}
    said = [SAID[1], {**SAID[2], "tool_calls": [empty]}, {**SAID[3], "tool_call_id": ""}, SAID[4]]
    tool = {"type": "function", "function": {"name": "list_orders", "parameters": None}}
    (trajectory,) = read_trajectories(written(tmp_path, {"messages": said, "tools": [tool]}))
    assert [call.arguments for call in trajectory.calls] == ["{}"]
    assert trajectory.messages[2].tool_call_id is None
    assert trajectory.tools[0].parameters == {"type": "object", "properties": {}}


def test_calls_are_read_from_json_beside_a_message(tmp_path: Path) -> None:
    said = [SAID[1], {**SAID[2], "tool_calls": json.dumps([CALL])}, *SAID[3:]]
    (trajectory,) = read_trajectories(written(tmp_path, {"messages": said, "tools": [TOOL]}))
    assert [call.id for call in trajectory.calls] == ["c1"]


def test_answers_of_parallel_calls_come_in_the_order_of_the_calls(tmp_path: Path) -> None:
    calls = [{**CALL, "id": id} for id in ("a", "b")]
    answers = [{"role": "tool", "tool_call_id": id, "content": f"of {id}"} for id in ("b", "a")]
    said = [SAID[1], {**SAID[2], "tool_calls": calls}, *answers, SAID[4]]
    (trajectory,) = read_trajectories(written(tmp_path, {"messages": said, "tools": [TOOL]}))
    assert [turn.content for turn in trajectory.messages if turn.role == "tool"] == ["of a", "of b"]


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


ASKED, SENT = text("user", "Where?"), text("assistant", "Sent.")
TOOL_S = span(2, otlp(gen_ai__operation__name="execute_tool", gen_ai__tool__name="get_order",
                      gen_ai__tool__call__result='{"status": "sent"}'))  # fmt: skip


def model_s(
    start: int, asked: Any, said: Any, trace: str = "t1", operation: str = "chat", **more: str
) -> dict[str, Any]:
    named = {"gen_ai__operation__name": operation, "gen_ai__tool__definitions": [TOOL], **more}
    return span(start, otlp(**named, gen_ai__input__messages=asked, gen_ai__output__messages=said), trace)


def exported(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}


def said_in(trajectory: Trajectory) -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in trajectory.messages]


@pytest.mark.parametrize("tool", [[], [TOOL_S]])
@pytest.mark.parametrize("beside", [[], [text("user", "And W2?")]])
def test_calls_that_send_only_what_is_new_keep_the_question_and_the_call(
    tmp_path: Path, tool: list[Any], beside: list[Any]
) -> None:
    spans = [model_s(1, [ASKED], [CALLED]), *tool, model_s(3, [ANSWERED, *beside], [SENT])]
    (trajectory,) = read_trajectories(written(tmp_path, exported(*spans)))
    words = [("user", "And W2?")] * len(beside)
    answer = [("tool", '{"status": "sent"}'), *words, ("assistant", "Sent.")]
    assert said_in(trajectory) == [("user", "Where?"), ("assistant", ""), *answer]


def test_an_answer_of_a_trace_without_its_call_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"calls that were made, found 'c1' \(.*trace t1\)"):
        read_trajectories(written(tmp_path, exported(model_s(1, [ASKED, ANSWERED], [SENT]))))


@pytest.mark.parametrize("history", [True, False])
def test_an_agent_s_own_span_tells_nothing_twice(tmp_path: Path, history: bool) -> None:
    last = model_s(3, [ASKED, CALLED, ANSWERED] if history else [], [SENT])
    spans = [model_s(0, [ASKED], [SENT], operation="invoke_agent"), model_s(1, [ASKED], [CALLED]), TOOL_S, last]
    (trajectory,) = read_trajectories(written(tmp_path, exported(*spans)))
    assert [turn.role for turn in trajectory.messages] == ["user", "assistant", "tool", "assistant"]
    (alone,) = read_trajectories(written(tmp_path, exported(spans[0])))
    assert said_in(alone) == [("user", "Where?"), ("assistant", "Sent.")]


def test_a_later_call_of_the_model_about_something_else_does_not_end_a_try(tmp_path: Path) -> None:
    title = model_s(4, [text("system", "Name this.")], [text("assistant", "An order")])
    spans = [model_s(1, [ASKED], [CALLED]), TOOL_S, model_s(3, [ASKED, CALLED, ANSWERED], [SENT]), title]
    (trajectory,) = read_trajectories(written(tmp_path, exported(*spans)))
    assert (trajectory.answer, len(trajectory.messages)) == ("Sent.", 4)


HTTP_S = span(0, otlp(http__method="GET"), "t0")


def test_traces_in_which_no_model_was_called_are_left_out_and_a_file_of_them_refused(tmp_path: Path) -> None:
    (trajectory,) = read_trajectories(written(tmp_path, exported(HTTP_S, model_s(1, [ASKED], [SENT]))))
    assert trajectory.example_id == "t1"
    for nothing in (HTTP_S, span(1, otlp(gen_ai__operation__name="chat"))):  # contents are often not recorded
        with pytest.raises(DataError, match="at least one trajectory, found none"):
            read_trajectories(written(tmp_path, exported(nothing)))


@pytest.mark.parametrize("scores", [("1", "0"), ("1", None)])
def test_turns_of_a_conversation_are_one_try_and_no_trials(tmp_path: Path, scores: tuple[str, str | None]) -> None:
    named = [
        {"gen_ai__conversation__id": "c", **({"gen_ai__evaluation__score__value": score} if score else {})}
        for score in scores
    ]
    sent = {**SENT, "finish_reason": "stop"}
    first = model_s(1, [text("system", "At 9."), ASKED], [sent], "t1", **named[0])
    second = model_s(2, [text("system", "At 10."), ASKED, SENT, text("user", "Thanks.")], [sent], "t2", **named[1])
    other = model_s(3, [text("user", "Hello.")], [sent], "t3", **named[0])
    one = read_trajectories(written(tmp_path, exported(*map(numbered, (first, second)))))
    reward = None if scores[1] is None else 0.0
    assert [(each.example_id, each.trial, each.reward, len(each.messages)) for each in one] == [("c", 0, reward, 5)]
    several = read_trajectories(written(tmp_path, exported(*map(numbered, (first, second, other)))))
    assert [(each.example_id, each.trial) for each in several] == [("t2", 0), ("t3", 0)]


def numbered(written_span: dict[str, Any]) -> dict[str, Any]:
    """A span whose score is a number, as OTLP has it."""
    pairs = [
        {**pair, "value": {"doubleValue": float(pair["value"]["stringValue"])}} if "score" in pair["key"] else pair
        for pair in written_span["attributes"]
    ]
    return {**written_span, "attributes": pairs}


def test_spans_are_read_as_the_sdk_prints_them(tmp_path: Path) -> None:
    spans = [
        {"name": "chat", "context": {"trace_id": "0x1"}, "start_time": f"2026-01-01T00:00:0{at}Z", "attributes": {
            "gen_ai.operation.name": "chat", "gen_ai.tool.definitions": json.dumps([TOOL]),
            "gen_ai.input.messages": json.dumps(asked), "gen_ai.output.messages": json.dumps(said),
        }}
        for at, asked, said in ((1, [ASKED], [CALLED]), (2, [ASKED, CALLED, ANSWERED], [SENT]))
    ]  # fmt: skip
    (trajectory,) = read_trajectories(written(tmp_path, "\n".join(json.dumps(each, indent=4) for each in spans)))
    assert (trajectory.example_id, trajectory.answer, trajectory.tool_calls) == ("0x1", "Sent.", 1)


def test_mlflow_traces_become_trajectories(tmp_path: Path) -> None:
    attributes = {
        "mlflow.spanType": '"CHAT_MODEL"',
        "mlflow.spanInputs": json.dumps({"messages": SAID[:-1], "model": "m"}),
        "mlflow.spanOutputs": json.dumps({"choices": [{"message": SAID[-1]}]}),
        "mlflow.chat.tools": json.dumps([TOOL]),
    }
    trace = {"info": {"trace_id": "tr-1"}, "data": {"spans": [{"name": "llm", "attributes": attributes}]}}
    for form in (trace, [{"trace": json.dumps(trace), "trace_id": "tr-1"}], [{"trace": trace, "spans": None}]):
        (trajectory,) = read_trajectories(written(tmp_path, form))
        assert (trajectory.example_id, trajectory.tool_calls, trajectory.answer) == ("tr-1", 1, "Sent.")
    attributes.pop("mlflow.chat.tools")
    with pytest.raises(DataError, match=r"'get_order' \(trace tr-1\)"):
        read_trajectories(written(tmp_path, trace))


def test_texts_that_mlflow_keeps_as_json_are_plain_in_a_try(tmp_path: Path) -> None:
    def kept(at: int, kind: str, inputs: Any, outputs: Any) -> dict[str, Any]:
        values = {"spanType": kind, "spanInputs": inputs, "spanOutputs": outputs, "chat.tools": [TOOL]}
        attributes = {f"mlflow.{name}": json.dumps(value) for name, value in values.items()}
        return {"name": "get_order", "start_time_unix_nano": at, "attributes": attributes}

    asked = {"messages": [SAID[1]]}
    spans = [kept(1, "LLM", asked, SAID[2]), kept(2, "TOOL", {}, "sent"), kept(3, "LLM", asked, "It is sent.")]
    (trajectory,) = read_trajectories(written(tmp_path, {"info": {"trace_id": "tr-1"}, "data": {"spans": spans}}))
    assert said_in(trajectory)[2:] == [("tool", "sent"), ("assistant", "It is sent.")]


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
        ("{oops", "expected a JSON object, found .* at column 2"),
        ('{"a":' * 61 + "1" + "}" * 61, "more than 60 levels"),
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
