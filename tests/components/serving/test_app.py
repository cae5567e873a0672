"""The server over HTTP, asked by the official client."""

import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from components.engines import ChatRequest, Engine, Sampling
from components.errors import RegistryError
from components.params import ServingParams
from components.records import Completion, Feedback, Message, Trace
from components.serving import Follower, Journal, Keys, Outlet, new_key
from tests.components.serving.conftest import PROMPT

RunServer = Callable[..., Any]
SCHEMA = {
    "type": "object", "additionalProperties": False, "required": ["intent", "late"],
    "properties": {"intent": {"enum": ["refund", "delivery"]}, "late": {"type": "boolean"}},
}  # fmt: skip
JSON = {"content-type": "application/json"}
HELLO = [{"role": "user", "content": "hello"}]


def client(address: str, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0)


def ask(address: str, content: str = "hello", **more: Any) -> Any:
    return client(address).chat.completions.create(
        model="triage", messages=[{"role": "user", "content": content}], **more
    )


def test_an_answer_is_the_engines_own_to_the_champions_prompt(run_server: RunServer, engine: Engine) -> None:
    asked = [Message(role="system", content="Say it."), Message(role="user", content="Ticket: hello")]
    expected = engine.generate([ChatRequest("x", asked)], Sampling(max_new_tokens=12))[0]
    with run_server() as address:
        reply = ask(address)
        turns: list[Any] = [message.model_dump() for message in asked]
        whole = client(address).chat.completions.create(model="triage", messages=turns)
    assert reply.choices[0].message.content == whole.choices[0].message.content == expected.text
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (
        expected.usage.input_tokens, expected.usage.output_tokens,
    )  # fmt: skip
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert (reply.model, reply.object, reply.choices[0].finish_reason) == (
        "triage", "chat.completion", expected.finish_reason,
    )  # fmt: skip


def test_a_stream_holds_the_same_answer(run_server: RunServer) -> None:
    with run_server() as address:
        plain = ask(address, n=2, seed=3, temperature=1.0)
        events = list(ask(address, n=2, seed=3, temperature=1.0, stream=True, stream_options={"include_usage": True}))
    streamed = {0: "", 1: ""}
    for event in events:
        for choice in event.choices:
            streamed[choice.index] += choice.delta.content or ""
    assert streamed == {choice.index: choice.message.content for choice in plain.choices}
    assert events[-1].usage == plain.usage
    assert [choice.finish_reason for event in events for choice in event.choices if choice.finish_reason] == [
        choice.finish_reason for choice in plain.choices
    ]


def test_an_answer_is_held_to_a_schema_that_is_asked_for(run_server: RunServer) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "ticket", "schema": SCHEMA, "strict": True}}
    with run_server() as address:
        answer = json.loads(ask(address, response_format=form, max_tokens=64).choices[0].message.content)
        assert answer.keys() == {"intent", "late"} and answer["intent"] in ("refund", "delivery")
        with pytest.raises(openai.BadRequestError, match="expected a schema"):
            ask(address, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": 3}}})


def test_requests_at_once_get_the_same_answers_as_one_by_one(run_server: RunServer) -> None:
    texts = [f"order {number} is late" for number in range(24)]
    with run_server() as address:
        alone = [ask(address, text).choices[0].message.content for text in texts]
        with ThreadPoolExecutor(24) as pool:
            together = list(pool.map(lambda text: ask(address, text).choices[0].message.content, texts))
        metrics = httpx.get(f"{address}/metrics").text
    assert together == alone
    requests, batches = (float(re.search(rf"^{name} (\S+)$", metrics, re.M)[1]) for name in (  # type: ignore[index]
        r'gradus_requests_total\{status="200"\}', "gradus_batch_size_count",
    ))  # fmt: skip
    assert requests == 48 and batches < 48


@pytest.mark.parametrize(
    ("request_", "error", "message"),
    [
        ({"model": "gpt-9", "messages": HELLO}, openai.NotFoundError, "expected the model triage, found gpt-9"),
        ({"model": "triage", "messages": []}, openai.BadRequestError, "messages"),
        ({"model": "triage", "messages": HELLO, "temperature": 3}, openai.BadRequestError, "temperature"),
        (
            {"model": "triage", "messages": HELLO, "tools": [{"type": "function"}]},
            openai.BadRequestError,
            "tools.0.function",
        ),
        ({"model": "triage", "messages": HELLO, "logprobs": True}, openai.BadRequestError, "without `logprobs`"),
        (
            {"model": "triage", "messages": [{"role": "user", "content": "x " * 4000}]},
            openai.BadRequestError,
            "2,047 tokens",
        ),
    ],
)
def test_wrong_requests_get_openais_error_shape(
    run_server: RunServer, request_: dict[str, Any], error: type[openai.APIStatusError], message: str
) -> None:
    with run_server() as address, pytest.raises(error, match=re.escape(message)) as raised:
        client(address).chat.completions.create(**request_)
    assert isinstance(raised.value.body, dict)
    assert raised.value.body.keys() == {"message", "type", "param", "code"}
    assert raised.value.body["type"] == "invalid_request_error"


def test_a_body_that_is_no_json_or_too_large_is_refused(run_server: RunServer) -> None:
    with run_server(params=ServingParams(most_request_bytes=1024)) as address:
        broken = httpx.post(f"{address}/v1/chat/completions", content=b"{", headers=JSON)
        large = httpx.post(f"{address}/v1/chat/completions", content=b" " * 2000, headers=JSON)
        absent = httpx.get(f"{address}/v1/nothing")
    assert (broken.status_code, large.status_code, absent.status_code) == (400, 413, 404)
    assert large.json()["error"]["message"] == "expected a request of at most 1,024 bytes"
    assert all(reply.json()["error"]["type"] == "invalid_request_error" for reply in (broken, large, absent))


def test_only_known_keys_are_accepted_and_health_needs_none(run_server: RunServer) -> None:
    key, its_hash = new_key()
    with run_server(keys=Keys((its_hash,))) as address:
        assert [model.id for model in client(address, key).models.list()] == ["triage"]
        for path in ("chat/completions", "models"):
            with pytest.raises(openai.AuthenticationError, match="known API key"):
                client(address).post(f"/{path}", cast_to=object) if "chat" in path else client(address).models.list()
        assert httpx.get(f"{address}/healthz").status_code == httpx.get(f"{address}/readyz").status_code == 200


def test_requests_beyond_the_limit_are_told_to_wait(run_server: RunServer) -> None:
    with run_server(params=ServingParams(requests_per_minute=2)) as address:
        for _ in range(2):
            ask(address)
        with pytest.raises(openai.RateLimitError, match="at most 2 requests a minute; the next one in"):
            ask(address)


def test_every_answer_and_what_is_said_of_it_reach_the_store_masked(run_server: RunServer, tmp_path: Path) -> None:
    stored = list[str]()
    journal = Journal("triage", SCHEMA, Outlet(tmp_path, lambda segment, lines: stored.extend(lines), every_s=60))
    with run_server(journal=journal) as address:
        answer = ask(address, "I am jo@example.com", n=2, temperature=1.0)
        feedback = {"id": answer.id, "score": 0.5, "corrected": "to jo@example.com"}
        reply, empty = (httpx.post(f"{address}/v1/feedback", json=body) for body in (feedback, {"id": answer.id}))
        assert answer.id in "".join(path.read_text() for path in tmp_path.glob("*.jsonl"))  # before the answer left
    assert (reply.status_code, empty.status_code) == (200, 400)
    traces = [Trace.model_validate_json(line) for line in stored[:2]]
    assert [trace.id for trace in traces] == [answer.id, f"{answer.id}-1"]
    assert [trace.text for trace in traces] == [choice.message.content for choice in answer.choices]
    assert traces[0].messages[-1].content == "Ticket: I am <email>"
    assert (traces[0].version, traces[0].method, traces[0].valid) == (1, "grpo", False)
    assert Feedback.model_validate_json(stored[2]).corrected == "to <email>"


class Slow:
    """An engine that begins when it may."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.go, self.begun = engine, threading.Event(), threading.Event()

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        self.begun.set()
        assert self.go.wait(10)
        return self.engine.generate(requests, sampling)


def test_a_request_is_given_up_in_time(run_server: RunServer, follow: Callable[..., Follower], engine: Engine) -> None:
    slow = Slow(engine)
    with run_server(follow(opened=lambda _: slow), params=ServingParams(timeout_s=0.1)) as address:
        with pytest.raises(openai.APIStatusError, match=r"no answer within 0\.1 s") as raised:
            ask(address)
        slow.go.set()
    assert raised.value.status_code == 504


def test_a_new_champion_takes_over_and_what_was_begun_is_finished_by_the_old_one(
    run_server: RunServer, follow: Callable[..., Follower], engine: Engine
) -> None:
    newest, slow = [1], Slow(engine)
    follower = follow(lambda: newest[0], lambda number: slow if number == 1 else engine)
    with run_server(follower) as address, ThreadPoolExecutor(1) as pool:
        begun = pool.submit(ask, address)
        assert slow.begun.wait(10)
        newest[0] = 2
        while httpx.get(f"{address}/readyz").json()["version"] != 2:
            pass
        slow.go.set()
        assert begun.result(10).choices[0].message.content == ask(address).choices[0].message.content


def test_the_last_good_version_is_kept_while_the_registry_is_away(
    run_server: RunServer, follow: Callable[..., Follower], caplog: pytest.LogCaptureFixture
) -> None:
    away = threading.Event()
    asked = list[int]()

    def find() -> int:
        asked.append(1)
        if away.is_set():
            raise RegistryError("expected an MLflow server, found none")
        return 7

    with run_server(follow(find)) as address:
        away.set()
        before = len(asked)
        while len(asked) < before + 3:
            pass
        assert ask(address).choices[0].message.content is not None
        assert client(address).models.retrieve("triage").model_dump()["root"] == "triage/7"
    assert caplog.text.count("version 7 is kept") == 1


def test_without_a_champion_nothing_is_answered_and_readiness_says_so(follow: Callable[..., Follower]) -> None:
    from fastapi.testclient import TestClient

    from components.serving import Server, create_app

    def none() -> int:
        raise RegistryError("expected a model at models:/triage@champion, found none")

    with TestClient(create_app(Server("triage", follow(none))), base_url="http://127.0.0.1") as http:
        for reply in (
            http.get("/readyz"),
            http.post("/v1/chat/completions", json={"model": "triage", "messages": HELLO}),
        ):
            assert (reply.status_code, reply.json()["error"]["code"]) == (503, "not_ready")
        assert http.get("/healthz").status_code == 200


def test_a_prompt_with_several_inputs_takes_them_as_an_object() -> None:
    from dataclasses import replace

    from components.serving import Served
    from components.serving.protocol import RequestError

    prompt = replace(PROMPT, user="{subject}: {text}")
    served = Served(1, "grpo", None, prompt, 8)  # type: ignore[arg-type]
    asked, inputs = served.conversation([Message(role="user", content='{"subject": "Late", "text": "Where?"}')])
    assert inputs == {"subject": "Late", "text": "Where?"}
    assert asked[-1].content == "Late: Where?"
    with pytest.raises(RequestError, match="a JSON object with subject, text"):
        served.conversation([Message(role="user", content="Where?")])
