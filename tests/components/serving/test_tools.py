"""Tools over HTTP, as the official client sends and reads them."""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any, Literal

import httpx
import openai
import pytest
from pydantic import BaseModel

from components.engines import ChatRequest, Engine, Sampling
from components.opening import ClassifierEngine
from components.params import ServingParams
from components.records import Completion, Example, Message, ToolCall
from components.registry import Version
from components.serving import Follower, Journal, Outlet, Served, Server
from tests.components.serving.conftest import PROMPT, running

HELLO: list[Any] = [{"role": "user", "content": "hello"}]
LOOK: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "look", "description": "Look it up.", "strict": True,
        "parameters": {"type": "object", "required": ["kind"], "additionalProperties": False,
                       "properties": {"kind": {"enum": ["refund", "delivery"]}}},
    },
}  # fmt: skip
PING: dict[str, Any] = {"type": "function", "function": {"name": "ping"}}
TOOLS: list[Any] = [LOOK, PING]
NAMED: dict[str, Any] = {"type": "function", "function": {"name": "look"}}


def follower(engine: Engine) -> Follower:
    version = Version(1, "grpo", "model", "short", Path())
    return Follower(lambda: version, lambda _: Served(1, "grpo", engine, PROMPT, 60), every_s=1)


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """What the journal has stored."""
    return []


@pytest.fixture(scope="module")
def address(engine: Engine, lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    folder = tmp_path_factory.mktemp("spool")
    outlet = Outlet(folder, lambda _, records: lines.extend(records), every_s=0.02)
    params = ServingParams(most_tools=3, most_tools_bytes=20_000)
    journal = Journal("triage", {"type": "object"}, outlet)
    with running(Server("triage", follower(engine), params, journal=journal)) as origin:
        yield f"{origin}/v1"


@pytest.fixture(scope="module")
def client(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=address, api_key="none", max_retries=0)


def ask(client: openai.OpenAI, **more: Any) -> Any:
    asked: dict[str, Any] = {"model": "triage", "messages": HELLO, "tools": TOOLS, "temperature": 1.0, "seed": 5}
    return client.chat.completions.create(**asked | more)


def test_a_call_that_is_required_is_made_and_can_be_carried_out(client: openai.OpenAI) -> None:
    reply = ask(client, tool_choice="required", n=8, parallel_tool_calls=False)
    calls = [choice.message.tool_calls for choice in reply.choices]
    assert [len(made) for made in calls] == [1] * 8
    assert {choice.finish_reason for choice in reply.choices} == {"tool_calls"}
    assert {choice.message.content for choice in reply.choices} == {None}
    arguments = {(call.function.name, call.function.arguments) for (call,) in calls}
    assert arguments == {("look", '{"kind": "refund"}'), ("look", '{"kind": "delivery"}'), ("ping", "{}")}
    assert len({call.id for (call,) in calls}) == 8 and {call.type for (call,) in calls} == {"function"}


def test_the_tool_that_is_named_is_called(client: openai.OpenAI) -> None:
    reply = ask(client, tool_choice=NAMED, n=8, parallel_tool_calls=False)
    assert {choice.message.tool_calls[0].function.name for choice in reply.choices} == {"look"}


def test_nothing_is_called_where_the_request_says_so(client: openai.OpenAI) -> None:
    reply = ask(client, tool_choice="none", n=8)
    assert {choice.message.tool_calls for choice in reply.choices} == {None}
    assert "tool_calls" not in {choice.finish_reason for choice in reply.choices}


@pytest.mark.parametrize("choice", ["auto", "required", "none", NAMED])
def test_a_stream_carries_the_same_turn_in_pieces(client: openai.OpenAI, choice: Any) -> None:
    whole = ask(client, tool_choice=choice, n=4, max_tokens=100)
    said, calls, reasons = dict.fromkeys(range(4), ""), dict[Any, list[Any]](), dict[int, Any]()
    for chunk in ask(client, tool_choice=choice, n=4, max_tokens=100, stream=True):
        for piece in chunk.choices:
            said[piece.index] += piece.delta.content or ""
            reasons[piece.index] = piece.finish_reason
            for part in piece.delta.tool_calls or ():
                calls.setdefault((piece.index, part.index), []).append(part)
    for place, turn in enumerate(whole.choices):
        assert (said[place], reasons[place]) == (turn.message.content or "", turn.finish_reason)
        made = turn.message.tool_calls or []
        assert [number for at, number in sorted(calls) if at == place] == list(range(len(made)))
        for number, call in enumerate(made):
            first, *rest = calls[place, number]
            assert (first.type, first.function.name) == ("function", call.function.name)
            assert first.id.startswith("call_") and {part.id for part in rest} <= {None}
            assert "".join(part.function.arguments for part in (first, *rest)) == call.function.arguments


def test_the_official_client_reads_a_stream_of_calls(client: openai.OpenAI) -> None:
    class Look(BaseModel):
        kind: Literal["refund", "delivery"]

    tool: Any = openai.pydantic_function_tool(Look, name="look")
    with client.chat.completions.stream(
        model="triage", messages=HELLO, tools=[tool], tool_choice="required", parallel_tool_calls=False
    ) as stream:
        arguments = "".join(event.arguments_delta for event in stream
                            if event.type == "tool_calls.function.arguments.delta")  # fmt: skip
        (call,) = stream.get_final_completion().choices[0].message.tool_calls or []
    assert arguments == call.function.arguments
    assert isinstance(call.function.parsed_arguments, Look)


def turns(*calls: str, answered: tuple[str, ...] = (), **message: Any) -> list[Any]:
    made = [{"id": id, "type": "function", "function": {"name": "ping", "arguments": "{}"}} for id in calls]
    answers = [{"role": "tool", "tool_call_id": id, "content": f"answer {id}"} for id in answered]
    return [*HELLO, {"role": "assistant", "content": None, "tool_calls": made, **message}, *answers]


@pytest.mark.parametrize(
    "messages",
    [
        turns("a", answered=("a",)),
        turns("a", "b", answered=("b", "a")),
        [*turns("a", answered=("a",)), {"role": "assistant", "content": "so"}, {"role": "user", "content": "?"}],
        [*turns("a", answered=("a",)), *turns("a", answered=("a",))[1:]],
        [*turns("a"), {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "x"}]}],
        [*turns("a"), {"role": "tool", "tool_call_id": "a", "name": "ping", "content": ""}],
    ],
)
def test_calls_and_their_answers_are_read(client: openai.OpenAI, messages: list[Any]) -> None:
    for tools in ({}, {"tools": openai.NOT_GIVEN}):
        message = ask(client, messages=messages, max_tokens=5, **tools).choices[0].message
        assert message.role == "assistant"


def test_what_a_tool_answered_reaches_the_model(client: openai.OpenAI) -> None:
    short, long = turns("a", answered=("a",)), turns("a", answered=("a",))
    long[-1] = {**long[-1], "content": "answer a and forty more words " * 10}
    used = [ask(client, messages=conversation, max_tokens=5).usage.prompt_tokens for conversation in (short, long)]
    assert used[1] > used[0] + 100


def schema(parameters: Any) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": "odd", "parameters": parameters}}]}


def deep(levels: int) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": deep(levels - 1)}} if levels else {"type": "object"}


@pytest.mark.parametrize(
    ("changed", "param", "message"),
    [
        ({"messages": [*HELLO, {"role": "tool", "tool_call_id": "a", "content": "x"}]}, "messages", "'a'"),
        ({"messages": turns("a", answered=("b",))}, "messages", "found 'b'"),
        ({"messages": turns("a", answered=("a", "a"))}, "messages", "found 'a'"),
        ({"messages": turns("a", "b", answered=("a",))}, "messages", "found none to 'b'"),
        ({"messages": [*turns("a"), *HELLO]}, "messages", "found none to 'a'"),
        ({"messages": turns("a", "a", answered=("a", "a"))}, "messages", "found one twice"),
        ({"messages": [*turns("a"), {"role": "tool", "content": "x"}]}, "messages.2", "tool_call_id"),
        ({"messages": [*turns("a"), {"role": "tool", "tool_call_id": "a", "content": None}]}, "messages.2", "content"),
        ({"messages": turns("a", answered=("a",), role="user", content="x")}, "messages.1", "of the assistant"),
        ({"messages": turns("a", answered=("a",), tool_calls=[{"id": "a"}])}, "messages.1.tool_calls.0", "required"),
        (schema({"type": "objekt"}), "tools.0.function.parameters", "expected a JSON Schema"),
        (schema({"properties": []}), "tools.0.function.parameters", "expected a JSON Schema"),
        (schema({"type": "string"}), "tools.0.function.parameters", "found the type 'string'"),
        (schema("{}"), "tools.0.function.parameters", "an object"),
        (schema({"$ref": "#/nowhere"}), None, "expected a schema for constrained decoding"),
        (schema({"properties": {"a": {"type": "string", "pattern": "(a"}}}), None, "expected a schema"),
        (schema({"properties": {"a": {"type": "string", "pattern": "x{99999999999}"}}}), None, "expected a schema"),
        (schema({"properties": {"a": {"type": "string", "pattern": "a(?=b)"}}}), None, "expected a schema"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools.0.function.name", "pattern"),
        ({"tools": [{"type": "function", "function": {"name": "a" * 65}}]}, "tools.0.function.name", "pattern"),
        ({"tools": [{"type": "web_search"}]}, "tools.0", "function"),
        ({"tools": "ping"}, "tools", "valid array"),
        ({"tools": [PING, PING]}, "tools", "found ping twice"),
        ({"tools": [PING] * 4}, "tools", "at most 3 tools, found 4"),
        ({"tools": [{"type": "function", "function": {"name": "p", "description": "x" * 20_000}}]}, "tools", "bytes"),
        (schema({"type": "objekt", "title": "x" * 20_000}), "tools", "at most 20,000 bytes"),
        ({"tool_choice": "always"}, "tool_choice", "expected none, auto, required"),
        ({"tool_choice": {"type": "function", "function": {"name": "pong"}}}, "tool_choice", "found 'pong'"),
        ({"tool_choice": {"type": "allowed_tools"}}, "tool_choice", "expected none, auto, required"),
        ({"tool_choice": "required", "tools": []}, "tool_choice", "expected `tools`"),
        ({"tool_choice": NAMED, "tools": None}, "tool_choice", "expected `tools`"),
        ({"stop": "x"}, "stop", "without `stop`"),
    ],
)  # fmt: skip
def test_impossible_requests_are_refused_in_openai_s_form(
    address: str, changed: dict[str, Any], param: str | None, message: str
) -> None:
    body = {"model": "triage", "messages": HELLO, "tools": TOOLS, "max_tokens": 5, **changed}
    reply = httpx.post(f"{address}/chat/completions", json=body, timeout=30)
    error = reply.json()["error"]
    assert (reply.status_code, error["type"]) == (400, "invalid_request_error"), reply.text
    assert message in error["message"]
    assert error["param"] == param or (param and error["param"].startswith(f"{param}."))


def test_a_stream_with_a_tool_that_has_no_schema_is_refused_before_it_begins(address: str) -> None:
    body = {"model": "triage", "messages": HELLO, "stream": True, "tools": [PING, *schema({"type": "x"})["tools"]]}
    reply = httpx.post(f"{address}/chat/completions", json=body, timeout=30)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "tools.1.function.parameters")


@pytest.mark.parametrize("levels", [60, 400])
def test_a_deep_schema_is_followed_or_refused_and_ends_nothing(address: str, levels: int) -> None:
    body = {"model": "triage", "messages": HELLO, "max_tokens": 5, **schema(deep(levels))}
    reply = httpx.post(f"{address}/chat/completions", json=body, timeout=30)
    assert reply.status_code == (200 if levels == 60 else 400)
    assert httpx.get(f"{address}/models").status_code == 200


class Silent:
    """An engine that knows no tools."""

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        return [Completion.of_text(request.example_id, "said") for request in requests]


def test_tools_are_refused_by_models_that_have_no_form_for_calls() -> None:
    with running(Server("triage", follower(Silent()))) as address:
        alone = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
        for tools in (TOOLS, schema({"type": "objekt"})["tools"]):  # which nobody need read then
            with pytest.raises(openai.BadRequestError, match="has no form for calls of tools"):
                ask(alone, tools=tools)
        assert ask(alone, tools=openai.NOT_GIVEN).choices[0].message.content == "said"
    assert not hasattr(ClassifierEngine, "calls_tools")


def test_no_second_model_is_asked_for_a_turn_with_tools(engine: Engine, tmp_path: Path) -> None:
    lines: list[str] = []
    outlet = Outlet(tmp_path, lambda _, records: lines.extend(records), every_s=0.02)
    journal = Journal("triage", {"type": "object", "required": ["never"]}, outlet)
    api: Any = {"base_url": "http://127.0.0.1:9/v1", "key_variable": None}
    routing: Any = {"fallback": {"model": "m", "prompt": "p", "api": api}}
    second = Served(0, "api", engine, PROMPT, 60)
    server = Server("triage", follower(engine), ServingParams(routing=routing), journal=journal, fallback=second)
    with running(server) as address:
        alone = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
        called = ask(alone, tool_choice="required", parallel_tool_calls=False)
        plain = ask(alone, tools=openai.NOT_GIVEN, max_tokens=5)
    stored = {trace["id"]: trace["route"] for trace in map(json.loads, lines)}
    assert stored[called.id] == "champion" and f"{called.id}~fallback" not in stored
    assert {stored[plain.id], stored[f"{plain.id}~champion"]} == {"fallback", "champion"}


def test_empty_tools_change_no_answer(address: str) -> None:
    asked: dict[str, Any] = {"model": "triage", "messages": HELLO, "max_tokens": 12}
    plain, *others = [
        httpx.post(f"{address}/chat/completions", json={**asked, **more}).json()
        for more in ({}, {"tools": []}, {"tools": None, "tool_choice": None}, {"tool_choice": "auto", "tools": []},
                     {"parallel_tool_calls": False})
    ]  # fmt: skip
    assert plain["choices"][0]["message"].keys() == {"role", "content", "refusal"}
    assert [reply["choices"] for reply in others] == [plain["choices"]] * 4


def test_a_conversation_goes_on_in_the_prompt_in_which_it_began(client: openai.OpenAI) -> None:
    first = ask(client, tool_choice="required", parallel_tool_calls=False, temperature=0)
    message = first.choices[0].message
    (call,) = message.tool_calls
    answer = {"role": "tool", "tool_call_id": call.id, "content": "x"}
    second = ask(client, messages=[*HELLO, message, answer], temperature=0, max_tokens=5)
    # What was read and said before, the separator, the answer of the tool and where the next turn begins.
    between = second.usage.prompt_tokens - first.usage.prompt_tokens - first.usage.completion_tokens
    assert 0 < between < 20
    own = ask(client, messages=[{"role": "system", "content": "My own."}, *HELLO, message, answer], max_tokens=5)
    assert own.usage.prompt_tokens != second.usage.prompt_tokens


def test_the_journal_keeps_tools_and_calls_without_personal_data(client: openai.OpenAI, lines: list[str]) -> None:
    mail = "ada@example.org"
    tool = {"type": "function", "function": {"name": "ping", "description": f"Ask {mail}.", "parameters": {
        "type": "object", "properties": {"to": {"const": mail}}, "required": ["to"]}}}  # fmt: skip
    made = ask(client, tools=[tool], tool_choice="required", parallel_tool_calls=False)
    message = made.choices[0].message
    answer = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": f"sent to {mail}"}
    done = ask(client, tools=[tool], messages=[*HELLO, message, answer], tool_choice="none", max_tokens=5)
    from tests.flows.conftest import wait_until

    def stored() -> dict[str, Any]:
        return {trace["id"]: trace for trace in map(json.loads, lines)}

    wait_until(lambda: {made.id, done.id} <= stored().keys())
    first, second = stored()[made.id], stored()[done.id]
    assert mail not in json.dumps([first, second])
    arguments = '{"to": "<email>"}'
    assert first["calls"] == [{"id": message.tool_calls[0].id, "name": "ping", "arguments": arguments}]
    assert (first["text"], first["valid"], first["input"], first["finish_reason"]) == ("", True, {}, "stop")
    assert first["tools"][0]["parameters"]["properties"]["to"] == {"const": "<email>"}
    assert second["calls"] == [] and second["text"]
    called, answered = second["messages"][-2:]
    assert called["tool_calls"] == first["calls"]
    assert (answered["role"], answered["content"]) == ("tool", "sent to <email>")
    assert answered["tool_call_id"] == message.tool_calls[0].id


def test_what_people_say_is_cleaned_and_what_model_and_tools_said_is_not() -> None:
    served = Served(1, "sft", Silent(), PROMPT, 12)
    call = ToolCall(id="a", name="ping", arguments="{}")
    turns = [
        Message(role="user", content=" hello "),
        Message(role="assistant", content=" Let me see. ", tool_calls=(call,)),
        Message(role="tool", content=" 3\r\n", tool_call_id="a"),
        Message(role="assistant", content=" Three. "),
        Message(role="user", content=" Thanks "),
    ]
    asked, inputs = served.conversation(turns, tools=True)
    assert asked == [*PROMPT.messages(example("hello")), *turns[1:4], Message(role="user", content="Thanks")]
    assert inputs == {"message": "hello"}
    own = [Message(role="system", content=" Own. "), *turns]
    assert served.conversation(own, tools=True)[0] == [
        Message(role="system", content="Own."), Message(role="user", content="hello"), *turns[1:4], asked[-1],
    ]  # fmt: skip
    plain, none = served.conversation([turns[0], turns[3], turns[4]])
    assert [turn.content for turn in plain] == ["hello", "Three.", "Thanks"] and none == {}


def example(message: str) -> Example:
    return Example(id="", input={"message": message}, demonstration="", reference="", group="")
