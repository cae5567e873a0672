"""What today's clients send, and what they make of the answers: the Python ones themselves, others as they send it."""

import importlib.util
import json
from collections.abc import Generator
from typing import Any, cast

import httpx
import openai
import pytest

from components.engines import Engine
from components.serving import Follower, Served, Server
from tests.components.serving.conftest import PROMPT, running

HELLO = [{"role": "user", "content": "hello"}]
FORM = {
    "type": "object", "additionalProperties": False, "required": ["kind"],
    "properties": {"kind": {"enum": ["refund", "delivery"]}},
}  # fmt: skip


@pytest.fixture(scope="module")
def address(engine: Engine) -> Generator[str]:
    from pathlib import Path

    from components.registry import Version

    version = Version(1, "grpo", "model", "short", Path())
    follower = Follower(lambda: version, lambda _: Served(1, "grpo", engine, PROMPT, 12), every_s=1)
    with running(Server("triage", follower)) as origin:
        yield f"{origin}/v1"


@pytest.fixture(scope="module")
def client(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=address, api_key="none", max_retries=0)


def post(address: str, path: str, body: Any) -> httpx.Response:
    return httpx.post(f"{address}/{path}", json=body, timeout=30)


@pytest.fixture(scope="module")
def plain(client: openai.OpenAI) -> str:
    """The answer to `HELLO`."""
    return str(client.chat.completions.create(model="triage", messages=HELLO).choices[0].message.content)  # type: ignore[arg-type]


NEUTRAL: list[dict[str, Any]] = [
    dict.fromkeys(("temperature", "top_p", "n", "stream", "max_tokens", "seed", "stop", "response_format", "logprobs")),
    dict.fromkeys(("tools", "tool_choice", "user", "metadata", "logit_bias", "presence_penalty", "stream_options")),
    {"tool_choice": "none", "parallel_tool_calls": True, "modalities": ["text"], "repetition_penalty": 1.0},
    {"prompt_cache_retention": "24h", "prompt_cache_key": "a", "safety_identifier": "u", "service_tier": "auto"},
    {"logprobs": False, "top_logprobs": 0, "frequency_penalty": 0.0, "presence_penalty": 0, "logit_bias": {}},
    {"tools": [], "functions": [], "best_of": 1, "top_k": -1, "min_p": 0, "verbosity": "medium", "seed": 7},
    {"reasoning_effort": "none", "store": False, "metadata": {"a": "b"}, "user": "u", "seed": 2**70},
    {"temperature": 0, "top_p": 1, "n": 1, "max_completion_tokens": 2**31 - 1, "stop": []},
    {"response_format": {"type": "text"}, "stream": False, "max_tokens": 10**13},
    {"stream_options": {"include_usage": None, "include_obfuscation": True}},
    {"response_format": {"type": "text", "json_schema": {"name": None, "schema": {}}}},
]


@pytest.mark.parametrize("extra", NEUTRAL, ids=lambda extra: ",".join(extra)[:60])
def test_parameters_that_ask_for_nothing_change_no_answer(address: str, plain: str, extra: dict[str, Any]) -> None:
    reply = post(address, "chat/completions", {"model": "triage", "messages": HELLO, **extra})
    assert reply.status_code == 200, reply.text
    text = reply.json()["choices"][0]["message"]["content"]
    limited = "max_tokens" in extra or "max_completion_tokens" in extra
    assert text.startswith(plain) if limited and extra.get("max_tokens", 1) else text == plain


@pytest.mark.parametrize(
    ("extra", "name"),
    [
        ({"logprobs": True}, "logprobs"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": {"name": "f"}}, "function_call"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"top_k": 40}, "top_k"),
        ({"best_of": True}, "best_of"),
        ({"web_search_options": {"a": 1}}, "web_search_options"),
        ({"chat_template_kwargs": {"enable_thinking": True}}, "chat_template_kwargs"),
        ({"stream_options": {"continuous_usage_stats": True}}, "continuous_usage_stats"),
    ],
)
def test_what_is_not_supported_is_refused_by_its_name(address: str, extra: dict[str, Any], name: str) -> None:
    reply = post(address, "chat/completions", {"model": "triage", "messages": HELLO, **extra})
    error = reply.json()["error"]
    assert (reply.status_code, error["param"], error["code"]) == (400, name, "unsupported_parameter")
    assert f"without `{name}`" in error["message"]


TURNS: list[list[dict[str, Any]]] = [
    [{"role": "developer", "content": "Say it."}, *HELLO],
    [{"role": "user", "content": [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}], "name": "jo"}],
    [{"role": "user", "content": [{"type": "text", "text": "hello", "cache_control": {"type": "ephemeral"}}]}],
    [*HELLO, {"role": "assistant", "content": None}, {"role": "user", "content": "?"}],
    [*HELLO, {"role": "assistant"}, {"role": "user", "content": "?"}],
    [*HELLO, {"role": "assistant", "content": "{}", "refusal": None, "annotations": [], "audio": None,
              "tool_calls": None, "function_call": None}, {"role": "user", "content": "?"}],
    [*HELLO, {"role": "assistant", "content": "{}", "tool_calls": []}, {"role": "user", "content": "?"}],
    [*HELLO, {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, *HELLO],
]  # fmt: skip


@pytest.mark.parametrize("turns", TURNS, ids=str)
def test_turns_as_clients_send_them_are_taken(address: str, turns: list[dict[str, Any]]) -> None:
    reply = post(address, "chat/completions", {"model": "triage", "messages": turns})
    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        ({"role": "function", "content": "3", "name": "a"}, "messages of the role function are not supported"),
        ({"role": "user", "content": None}, "expected content"),
        ({"role": "user"}, "expected content"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, "of the type image_url"),
        ({"role": "user", "content": ["hello"]}, "expected parts of the form"),
        ({"role": "assistant", "function_call": {"name": "f"}}, "`function_call` is not supported"),
    ],
)
def test_turns_that_are_no_text_are_refused_in_words(address: str, turn: dict[str, Any], message: str) -> None:
    reply = post(address, "chat/completions", {"model": "triage", "messages": [*HELLO, turn]})
    assert reply.status_code == 400
    assert message in reply.json()["error"]["message"]
    assert reply.json()["error"]["param"].startswith("messages.1")


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_ends_before_a_text_that_was_named(client: openai.OpenAI, stream: bool) -> None:
    turns: Any = [{"role": "user", "content": "order 12 is late"}]
    whole = client.chat.completions.create(model="triage", messages=turns, temperature=1.5, seed=4, max_tokens=60)
    text = str(whole.choices[0].message.content)
    stop, before = text[20:24], text[: text.index(text[20:24])]
    reply: Any = client.chat.completions.create(
        model="triage", messages=turns, temperature=1.5, seed=4, max_tokens=60, stop=[stop, "\0never"], stream=stream
    )
    if stream:
        events = list(reply)
        assert "".join(event.choices[0].delta.content or "" for event in events) == before
        assert events[-1].choices[0].finish_reason == "stop"
    else:
        assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == (before, "stop")


def test_a_response_holds_the_same_answer_whole_and_in_pieces(client: openai.OpenAI, plain: str) -> None:
    whole = client.responses.create(model="triage", input="hello")
    assert (whole.output_text, whole.status) == (plain, "incomplete")  # twelve tokens are all that it gets
    assert whole.incomplete_details and whole.incomplete_details.reason == "max_output_tokens"
    parts: Any = [{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}]
    assert client.responses.create(model="triage", input=parts).output_text == plain
    events = list(client.responses.create(model="triage", input="hello", stream=True))
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == plain
    assert events[-1].type == "response.incomplete" and events[-1].response.output_text == plain
    assert [event.sequence_number for event in events] == list(range(len(events)))
    form: Any = {"format": {"type": "json_schema", "name": "ticket", "schema": FORM, "strict": True}}
    with client.responses.stream(model="triage", input="hello", text=form, max_output_tokens=40) as stream:
        pieces = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert pieces == stream.get_final_response().output_text != ""


def test_a_response_is_held_to_its_schema(client: openai.OpenAI) -> None:
    form: Any = {"format": {"type": "json_schema", "name": "ticket", "schema": FORM, "strict": True}}
    response = client.responses.create(
        model="triage", input="hello", text=form, instructions="Sort it.", max_output_tokens=40
    )
    assert json.loads(response.output_text)["kind"] in ("refund", "delivery")
    assert response.status == "completed"


@pytest.mark.parametrize(
    ("extra", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"tools": [{"type": "function", "name": "f", "parameters": {}}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"reasoning": {"effort": "high"}}, "reasoning"),
        ({"input": [{"type": "function_call_output", "call_id": "a", "output": "3"}]}, "input"),
        ({"background": True}, "background"),
        ({"text": {"verbosity": "low"}}, "verbosity"),
        ({"n": 2}, "n"),
        ({"messages": [{"role": "user", "content": "something else"}]}, "messages"),
    ],
)
def test_what_a_response_cannot_do_is_refused_by_its_name(address: str, extra: dict[str, Any], param: str) -> None:
    reply = post(address, "responses", {"model": "triage", "input": "hello", **extra})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("path", ["completions", "embeddings"])
def test_other_ways_to_ask_are_named_as_unsupported(address: str, path: str) -> None:
    reply = post(address, path, {"model": "triage", "prompt": "x", "input": "x"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unsupported_endpoint")
    assert f"found /v1/{path}" in reply.json()["error"]["message"]


def test_the_official_client_parses_into_a_model(client: openai.OpenAI) -> None:
    from typing import Literal

    from pydantic import BaseModel

    class Ticket(BaseModel):
        kind: Literal["refund", "delivery"]

    turns: Any = HELLO
    reply = client.chat.completions.parse(model="triage", messages=turns, response_format=Ticket, max_tokens=40)
    assert reply.choices[0].message.parsed is not None


@pytest.mark.skipif(importlib.util.find_spec("langchain_openai") is None, reason="langchain-openai is not installed")
@pytest.mark.parametrize("responses", [False, True])
def test_langchain_asks_and_streams(address: str, plain: str, responses: bool) -> None:
    from langchain_openai import ChatOpenAI  # pyright: ignore[reportMissingImports]
    from pydantic import SecretStr

    model: Any = ChatOpenAI(
        model="triage", base_url=address, api_key=SecretStr("none"), max_retries=0, use_responses_api=responses
    )
    turns = [("user", "hello")]
    assert model.invoke(turns).text == plain
    assert "".join(chunk.text for chunk in model.stream(turns)) == plain
    if not responses:  # which know no `stop`
        assert model.bind(stop=[plain[3:]]).invoke(turns).text == plain[: plain.index(plain[3:])]


@pytest.mark.skipif(importlib.util.find_spec("litellm") is None, reason="litellm is not installed")
def test_litellm_asks_and_streams(address: str, plain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm  # pyright: ignore[reportMissingImports]

    complete: Any = cast(Any, litellm.completion)
    asked: Any = {"model": "openai/triage", "messages": HELLO, "api_base": address, "api_key": "none", "max_retries": 0}
    assert complete(**asked, temperature=0, user="u", drop_params=False).choices[0].message.content == plain
    pieces = [chunk.choices[0].delta.content or "" for chunk in complete(**asked, stream=True)]
    assert "".join(pieces) == plain


# Written by hand after these clients' documentation: they are no Python, or want another version of openai.
RECORDED: dict[str, tuple[str, dict[str, Any]]] = {
    "Vercel AI SDK, generateText (chat)": ("chat/completions", {
        "model": "triage", "max_tokens": 64, "temperature": 0,
        "messages": [{"role": "system", "content": "Say it."}, {"role": "user", "content": "hello"}],
    }),
    "Vercel AI SDK, generateText (responses)": ("responses", {
        "model": "triage", "store": False, "max_output_tokens": 64, "include": ["reasoning.encrypted_content"],
        "input": [{"role": "developer", "content": "Say it."},
                  {"role": "user", "content": [{"type": "input_text", "text": "hello"}]}],
    }),
    "Vercel AI SDK, generateObject": ("chat/completions", {
        "model": "triage", "messages": HELLO, "max_completion_tokens": 64,
        "response_format": {"type": "json_schema",
                            "json_schema": {"schema": FORM, "strict": True, "name": "response", "description": None}},
    }),
    "LlamaIndex, OpenAILike.chat": ("chat/completions", {
        "model": "triage", "temperature": 0.1, "max_tokens": None, "stream": False,
        "messages": [{"role": "system", "content": "Say it."},
                     {"role": "user", "content": [{"type": "text", "text": "hello"}]}],
    }),
    "LlamaIndex, tools none": ("chat/completions", {
        "model": "triage", "messages": HELLO, "temperature": 0.1, "tools": None, "tool_choice": None,
        "parallel_tool_calls": None, "max_completion_tokens": 64,
    }),
    "OpenAI Node, beta.chat": ("chat/completions", {
        "model": "triage", "messages": HELLO, "n": 1, "logprobs": None, "stop": None, "metadata": None,
    }),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
def test_requests_of_other_clients_are_answered(address: str, name: str) -> None:
    path, body = RECORDED[name]
    reply = post(address, path, body)
    assert reply.status_code == 200, reply.text
