"""The engine against a real HTTP server in this process that misbehaves on request."""

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from components.engines import CallingEngine, Calls, ChatRequest, ConcurrentEngine, Sampling, StreamingEngine
from components.engines.calling import parse_turn
from components.engines.openai_engine import OpenAIEngine
from components.engines.parting import Parting
from components.errors import EngineError, UnreachableError
from components.params import ApiParams
from components.records import Completion, Tool

KEY = "sk-secret-123"
SOON = {"retry-after-ms": "10"}


def reply(text: str | None, finish_reason: str = "stop", tool_calls: Any = None, **changes: Any) -> JSONResponse:
    message = {"role": "assistant", "content": text, "tool_calls": tool_calls}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    return JSONResponse(body | changes)


def half_reply() -> Response:
    """A reply in ASCII, with halves of surrogate pairs in text and call."""
    message = {"role": "assistant", "content": "so \ud83d", "tool_calls": HALF_CALL["tool_calls"]}
    whole = json.loads(bytes(reply("so").body))
    whole["choices"][0]["message"] = message
    return Response(json.dumps(whole), media_type="application/json")


def event(**fields: Any) -> str:
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"} | fields
    return f"data: {json.dumps(chunk)}\n\n"


def called(*calls: tuple[int, str | None, str | None]) -> dict[str, Any]:
    """The calls in a message or a chunk: the place of each, its name and its arguments."""
    return {
        "tool_calls": [
            {"index": at, "id": f"c{at}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for at, name, arguments in calls
        ]
    }


CALLS = called((0, "look", '{"kind": "refund"}'), (1, "ping", ""))
STREAMED_CALLS = [
    {"content": "One moment."}, called((0, "look", None)), called((0, None, '{"kind": "re')),
    called((0, None, 'fund"}'), (1, "ping", "")),
]  # fmt: skip
LOOK_X, LOOK_Y = ("look", '{"kind": "x"}'), ("look", '{"kind": "y"}')


def numbered(index: int | None, id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
    """The piece of a call in a chunk, by a server that counts in its own way."""
    function = {"name": name, "arguments": arguments}
    return {"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]}


ODDLY_COUNTED = {
    "calls all first": [numbered(0, "a", *LOOK_X), numbered(0, "b", *LOOK_Y), numbered(0, "c", "ping", "{}")],
    "calls uncounted": [numbered(None, "a", *LOOK_X), numbered(None, "b", *LOOK_Y), numbered(None, "c", "ping", "")],
    "calls told again": [
        numbered(0, "a", "look", '{"kind"'), numbered(0, "a", "look", ': "x"}'), numbered(1, "b", "look", '{"kind": '),
        numbered(1, "c", None, '"y"}'), numbered(1, "", "ping", "{}"),
    ],
    "calls without place": [numbered(None, None, *LOOK_X)],
}  # fmt: skip
HALF_CALL: dict[str, Any] = {"content": "so \ud83d", **called((0, "lo\ud83d", '{"kind": "\ud83d"}'))}
BROKEN_OFF = {"error": "error", "abort": "abort", "no reason known": "insufficient_system_resource"}
STRANGE: dict[str, Any] = {
    "no delta": [{"index": 0, "delta": None, "finish_reason": None}],
    "no text": [{"index": 0, "delta": {"content": None}, "finish_reason": "stop"}],
    "thought cut": [{"index": 0, "delta": {"content": None}, "finish_reason": "length"}],
    "half": [{"index": 0, "delta": HALF_CALL, "finish_reason": None}],
    "nothing": [{"index": 0, "delta": {"content": None}, "finish_reason": None}],
}


@dataclass
class Api:
    """Answers according to the user message, and remembers the requests."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    keys: list[str] = field(default_factory=list[str])
    times: list[float] = field(default_factory=list[float])
    tries: Counter[str] = field(default_factory=Counter[str])
    ports: set[int] = field(default_factory=set[int])
    now: int = 0
    most: int = 0

    async def answer(self, request: Request) -> Response:
        body = await request.json()
        said = str(body["messages"][-1]["content"])
        self.bodies.append(body)
        self.times.append(time.monotonic())
        assert request.client is not None
        self.ports.add(request.client.port)
        self.keys.append(request.headers["authorization"])
        self.tries[said] += 1
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(3 if said == "slow once" and self.tries[said] == 1 else 0.02)
        self.now -= 1
        if said == "takes no stop" and "stop" in body:
            return JSONResponse({"error": {"message": "Unsupported parameter: stop"}}, 400)
        if said == "thinks":
            return reply("<think>\nFirst" if "stop" in body else "<think>\nFirst, I look.\n</think>\nlate, refund")
        return self.stream(said) if body.get("stream") else self.respond(said)

    def stream(self, said: str) -> Response:
        if said.startswith("always"):
            return self.respond(said)
        ends: dict[str, Any] = {"filtered": "content_filter", "long": "length", "no end": None} | BROKEN_OFF
        usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}

        async def events() -> AsyncIterator[str]:
            if said == "half of an error":
                yield event(error={"message": "no \ud83d"})
            if said in STRANGE:
                yield event(choices=STRANGE[said])
            for delta in ODDLY_COUNTED.get(said, STREAMED_CALLS if said.startswith("calls") else ()):
                yield event(choices=[{"index": 0, "delta": delta, "finish_reason": None}])
            pieces = {"half": ("",), "no text": (), "thought cut": (), "nothing": (), "calls": ("",)}
            pieces |= dict.fromkeys(ODDLY_COUNTED, ("",))
            for piece in pieces.get(said, ("<think>", "hm</think>", "re: ", said, "")):
                choice = {
                    "index": 0,
                    "delta": {"content": piece},
                    "finish_reason": None if piece else ends.get(said, "stop"),
                }
                yield event(choices=[choice])
                if said == "slow":
                    await asyncio.sleep(0.5)
                if said == "breaks" and piece == said:
                    raise ConnectionResetError
            if said != "no usage":
                yield event(choices=[], usage=usage)
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    async def drops(self) -> AsyncIterator[bytes]:
        for _ in range(40):
            await asyncio.sleep(0.2)
            yield b" "

    def respond(self, said: str) -> Response:
        first = self.tries[said] == 1
        if said in ("429 once", "500 once") and first:
            return JSONResponse({"error": {"message": "later"}}, int(said[:3]), SOON)
        if said.startswith("always"):
            return JSONResponse({"error": {"message": f"no, {KEY}"}}, int(said.split()[1]), SOON)
        if said == "every other" and self.tries[said] % 2:
            return JSONResponse({"error": {"message": "not now"}}, 500)
        if said == "drip once" and first:
            return StreamingResponse(self.drops(), media_type="application/json")
        special = {
            "malformed": Response('{"choices": [', media_type="application/json"),
            "html": Response("<html>hello</html>", media_type="text/html"),
            "no choices": reply("x", choices=[]),
            "no usage": reply("x", usage=None),
            "filtered": reply(None, "content_filter"),
            "no text": reply(None),
            "thought cut": reply(None, "length"),
            "half": half_reply(),
            "long": reply("cut", "length"),
            "by the model's limit": reply("cut", "model_length"),
            **{name: reply("cut", reason) for name, reason in BROKEN_OFF.items()},
            "calls": reply(None, "tool_calls", **CALLS),
            "calls without end": reply("", "length", **called((0, "look", '{"kind": "re'))),
        }
        return special.get(said) or reply(f"re: {said}")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    state, app = Api(), FastAPI()
    app.post("/v1/chat/completions")(state.answer)
    listener = socket.create_server(("127.0.0.1", 0))
    state.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield state
    server.should_exit = True
    thread.join()


@pytest.fixture
def make_engine(api: Api) -> Callable[..., OpenAIEngine]:
    return lambda **changes: OpenAIEngine("m", ApiParams.model_validate({"base_url": api.url} | changes))


MakeEngine = Callable[..., OpenAIEngine]
MakeRequest = Callable[..., ChatRequest]


def test_answers_keep_the_order_and_report_the_usage(
    api: Api, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    requests = [make_request(f"T{at}", f"message {at}") for at in range(12)]
    result = make_engine(concurrency=4).generate(requests, Sampling(max_new_tokens=9, n=2, seed=5))
    assert [completion.example_id for completion in result] == [
        request.example_id for request in requests for _ in range(2)
    ]
    assert [completion.text for completion in result[::2]] == [f"re: message {at}" for at in range(12)]
    assert {(completion.usage.input_tokens, completion.usage.output_tokens) for completion in result} == {(11, 3)}
    assert all(completion.latency_ms >= 20 for completion in result)
    assert api.most <= 4
    seeds = [zlib.crc32(f"5/{k}/T{at}".encode()) & 0x7FFFFFFF for at in range(12) for k in range(2)]
    assert sorted(body["seed"] for body in api.bodies) == sorted(seeds) and len(set(seeds)) == 24
    assert {body["max_tokens"] for body in api.bodies} == {9}
    assert set(api.keys) == {f"Bearer {KEY}"}


@pytest.mark.parametrize("said", ["429 once", "500 once", "slow once", "drip once"])
def test_a_passing_failure_is_tried_again(
    said: str, api: Api, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    (result,) = make_engine(timeout_s=1.5).generate([make_request("a", said)], Sampling())
    assert (result.text, result.error) == (f"re: {said}", None)
    assert api.tries[said] == 2
    assert result.latency_ms < 1500  # of the attempt that was answered


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("always 500", "500"),
        ("always 400", "400"),
        ("malformed", "Expecting value"),
        ("html", "expected a chat completion with its usage, found '<html>hello</html>'"),
        ("no choices", "expected a chat completion with its usage"),
        ("no usage", "expected a chat completion with its usage"),
        ("filtered", "expected an answer in text, found none (finish_reason content_filter)"),
    ],
)
def test_a_lasting_failure_is_reported_only_on_its_item(
    said: str, reason: str, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    requests = [make_request("a", "hello"), make_request("b", said), make_request("c", "long")]
    result = make_engine(max_retries=1).generate(requests, Sampling())
    assert [completion.finish_reason for completion in result] == ["stop", "error", "length"]
    assert reason in str(result[1].error)
    assert KEY not in str(result[1].error)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_api_that_refuses_everyone_ends_the_call_at_once(
    status: int, api: Api, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    requests = [make_request(str(at), f"always {status}") for at in range(50)]
    with pytest.raises(EngineError, match=f"expected an API that serves m, found .*{status}") as raised:
        make_engine(concurrency=2).generate(requests, Sampling())
    assert len(api.bodies) < 10
    assert KEY not in str(raised.value)


@pytest.mark.parametrize(("status", "away"), [(401, True), (403, False), (404, True)])
@pytest.mark.parametrize("at", [0, 11])
def test_a_refusal_among_answers_is_its_items_own(
    status: int, away: bool, at: int, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    requests = [make_request(str(number), f"message {number}") for number in range(12)]
    requests[at] = make_request(str(at), f"always {status}")
    result = make_engine(concurrency=2).generate(requests, Sampling())
    assert [number for number, completion in enumerate(result) if completion.error is not None] == [at]
    assert result[at].away is away and KEY not in str(result[at].error)


@pytest.mark.parametrize("said", BROKEN_OFF)
@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_that_was_broken_off_is_none(
    said: str, streamed: bool, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    requests = [make_request("a", said), make_request("b", "hello"), make_request("c", "by the model's limit")]
    broken, whole, cut = make_engine().stream(requests, Sampling(), {0: lambda _: None} if streamed else {})
    assert (broken.away, broken.text, whole.finish_reason, cut.finish_reason) == (True, "", "stop", "length")
    assert broken.error == f"expected an answer that was not broken off, found the finish_reason {BROKEN_OFF[said]}"


def test_a_key_is_read_without_the_end_of_its_line_and_refused_with_other_letters(
    api: Api, make_engine: MakeEngine, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    assert make_engine().generate([make_request("a", "x")], Sampling())[0].text == "re: x"
    assert api.keys == [f"Bearer {KEY}"]
    for key in ("sk-s\u00e9cret", "sk-a\nb"):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with pytest.raises(EngineError, match="expected an API key of printable ASCII in the environ") as raised:
            make_engine()
        assert "sk-" not in str(raised.value)


def test_an_api_that_answers_nothing_is_an_error(make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
    engine = OpenAIEngine("m", ApiParams(base_url=url, max_retries=0))
    with pytest.raises(EngineError, match="expected answers from m, found 2 failures: Connection error"):
        engine.generate([make_request("a", "x"), make_request("b", "y")], Sampling())


def test_requests_keep_the_pace_retries_included(api: Api, make_engine: MakeEngine, make_request: MakeRequest) -> None:
    requests = [make_request(str(at), f"message {at}") for at in range(3)] + [make_request("r", "429 once")]
    make_engine(requests_per_minute=600).generate(requests, Sampling())  # one every 100 ms
    assert len(api.times) == 5
    assert max(api.times) - min(api.times) >= 0.4 - 0.05


def test_who_gave_up_while_waiting_for_a_turn_took_none(
    api: Api, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    engine = make_engine(requests_per_minute=60, within_s=1.5, max_retries=0)  # one a second
    result = engine.generate([make_request(str(at), f"message {at}") for at in range(8)], Sampling())
    assert [completion.away for completion in result].count(False) == 2 == len(api.times)
    (later,) = engine.generate([make_request("later", "and then")], Sampling())
    assert later.text == "re: and then"


@pytest.mark.parametrize(("batch", "n", "given_up"), [(4, 1, 0), (1, 4, 1)])  # of a single request, its last sample
def test_the_wait_for_a_place_counts_only_where_a_request_is_asked_by_itself(
    batch: int, n: int, given_up: int, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    engine = make_engine(concurrency=1, requests_per_minute=60, within_s=2.9)  # one a second: the last after three
    result = engine.generate([make_request(str(at), f"message {at}") for at in range(batch)], Sampling(n=n))
    assert [completion.away for completion in result].count(True) == given_up


def test_parameters_that_an_api_refuses_are_left_out(
    api: Api, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    engine = make_engine(
        omit=("temperature", "top_p", "seed"),
        limit_field="max_completion_tokens",
        extra_body={"reasoning_effort": "low"},
    )
    engine.generate([make_request("a", "x")], Sampling(max_new_tokens=7))
    assert set(api.bodies[0]) == {"model", "messages", "max_completion_tokens", "reasoning_effort"}


def test_a_schema_is_sent_as_the_response_format_and_only_if_there_is_one(
    api: Api, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "boolean"}}}
    make_engine().generate([make_request("a", "one")], Sampling(answer_schema=schema))
    make_engine().generate([make_request("b", "two")], Sampling())
    held, free = api.bodies
    assert held["response_format"]["type"] == "json_schema"
    assert held["response_format"]["json_schema"]["schema"] == schema
    assert "response_format" not in free


def test_stops_are_sent_as_many_as_openai_takes_unless_the_api_refuses_them(
    api: Api, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    request = replace(make_request("a", "x"), stops=tuple("abcde"))
    make_engine().generate([request], Sampling())
    make_engine(omit=("stop",)).generate([request], Sampling())
    make_engine().generate([make_request("a", "x")], Sampling())
    assert [body.get("stop") for body in api.bodies] == [["a", "b", "c", "d"], None, None]


@pytest.mark.parametrize(("said", "text"), [("takes no stop", "re: takes no stop"), ("thinks", "late, refund")])
def test_an_answer_is_asked_for_without_stops_where_these_leave_none(
    api: Api, make_engine: MakeEngine, make_request: MakeRequest, said: str, text: str
) -> None:
    [answer] = make_engine().generate([replace(make_request("a", said), stops=(",",))], Sampling())
    assert (answer.text, answer.error) == (text, None)  # the server cuts it afterwards
    assert [body.get("stop") for body in api.bodies] == [[","], None]


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_that_nobody_waits_for_is_given_up(
    make_engine: MakeEngine, make_request: MakeRequest, streamed: bool
) -> None:
    heard, wanted = list[str](), make_request("a", "message")
    slow = make_request("b", "slow" if streamed else "slow once")  # for a second and a half, or three
    slow = replace(slow, unwanted=lambda: bool(heard) or not streamed)
    result = make_engine().stream([wanted, slow], Sampling(), {1: heard.append} if streamed else {})
    assert [(each.text, each.finish_reason) for each in result] == [
        ("re: message", "stop"), ("".join(heard), "length"),
    ]  # fmt: skip
    assert result[1].usage.output_tokens == 0  # which an answer to its end has


def test_a_server_without_keys_gets_none_of_ours(api: Api, make_engine: MakeEngine, make_request: MakeRequest) -> None:
    make_engine(key_variable=None).generate([make_request("a", "x")], Sampling())
    assert KEY not in api.keys[0]


def test_callers_in_several_threads_share_the_limit_and_the_connections(
    api: Api, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    engine = make_engine(concurrency=3)
    assert isinstance(engine, ConcurrentEngine) and isinstance(engine, StreamingEngine) and engine.at_once == 3
    with ThreadPoolExecutor(12) as pool:
        results = list(
            pool.map(lambda at: engine.generate([make_request("a", f"message {at}")], Sampling()), range(12))
        )
    assert [result[0].text for result in results] == [f"re: message {at}" for at in range(12)]
    engine.generate([make_request("a", "and later")], Sampling())
    assert api.most == 3 and len(api.ports) == 3


def test_a_forked_process_sends_by_a_thread_of_its_own(make_engine: MakeEngine, make_request: MakeRequest) -> None:
    engine, request = make_engine(), make_request("a", "hello")
    engine.generate([request], Sampling())
    child = get_context("fork").Process(target=engine.generate, args=([request], Sampling()))
    child.start()
    child.join(30)
    assert child.exitcode == 0


def test_a_streamed_answer_is_passed_on_as_it_arrives(
    api: Api, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    heard: list[tuple[str, float]] = []
    requests = [make_request("a", "slow"), make_request("b", "quiet"), make_request("c", "long")]
    listeners = {0: lambda text: heard.append((text, time.monotonic())), 2: lambda _: None}
    result = make_engine(timeout_s=20).stream(requests, Sampling(), listeners)
    assert [piece for piece, _ in heard] == ["re: ", "slow"]
    assert heard[1][1] - heard[0][1] > 0.3
    assert [completion.text for completion in result] == ["re: slow", "re: quiet", "re: long"]
    assert [completion.finish_reason for completion in result] == ["stop", "stop", "length"]
    assert {(completion.usage.input_tokens, completion.usage.output_tokens) for completion in result} == {(11, 3)}
    assert result[0].latency_ms > 2000 > result[1].latency_ms
    streamed = {body["messages"][-1]["content"]: body.get("stream", False) for body in api.bodies}
    assert streamed == {"slow": True, "quiet": False, "long": True}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("breaks", "Connection error|peer closed connection"),
        ("no usage", "expected a streamed answer with its usage"),
        ("no delta", "expected a chunk of a chat completion, found"),
        ("no end", "expected a streamed answer with its end, found none"),
        ("nothing", "expected a streamed answer with its end, found none"),
        ("calls without place", "expected a chunk of a chat completion, found"),
        ("slow", "TimeoutError"),
        ("always 500", "500"),
        ("always 429", "429"),
        ("always 402", "402"),
    ],
)
def test_a_stream_that_fails_says_why_and_that_it_may_be_asked_again(
    said: str, reason: str, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    engine = make_engine(max_retries=0, timeout_s=1.0)
    with pytest.raises(UnreachableError, match=f"expected answers from m, found 1 failures: .*{reason}"):
        engine.stream([make_request("a", said)], Sampling(), {0: lambda _: None})


@pytest.mark.parametrize("said", ["filtered", "no text", "always 400", "always 403", "always 422"])
@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_the_requests_own_fault_is_told_apart(
    said: str, streamed: bool, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    with pytest.raises(EngineError) as raised:
        make_engine(max_retries=0).stream(
            [make_request("a", said)], Sampling(), {0: lambda _: None} if streamed else {}
        )
    assert not isinstance(raised.value, UnreachableError)


def test_of_several_completions_each_failed_one_says_whether_the_api_was_away(
    make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    requests = [make_request("a", "every other"), make_request("b", "always 400")]
    result = make_engine(max_retries=0, concurrency=1).generate(requests, Sampling(n=2))
    assert [completion.away for completion in result] == [True, False, False, False]
    assert [completion.error is None for completion in result] == [False, True, False, False]
    assert '"away"' in result[0].model_dump_json() and '"away"' not in result[2].model_dump_json()


def test_an_api_that_cannot_stream_is_asked_for_whole_answers(
    api: Api, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    heard: list[str] = []
    (result,) = make_engine(omit=("stream",)).stream([make_request("a", "x")], Sampling(), {0: heard.append})
    assert (result.text, heard) == ("re: x", [])
    assert "stream" not in api.bodies[0]


def test_waiting_for_the_pace_is_no_part_of_a_streams_time(make_engine: MakeEngine, make_request: MakeRequest) -> None:
    engine = make_engine(requests_per_minute=60, timeout_s=0.8, max_retries=0)
    requests = [make_request(str(at), f"message {at}") for at in range(3)]
    result = engine.stream(requests, Sampling(), dict.fromkeys(range(3), lambda _: None))
    assert [completion.error for completion in result] == [None, None, None]
    assert all(completion.latency_ms < 800 for completion in result)


COLD = """
import sys, threading
from components.engines import ChatRequest, Sampling
from components.engines.openai_engine import OpenAIEngine
from components.params import ApiParams
from components.records import Message
engine = OpenAIEngine("m", ApiParams(base_url=sys.argv[1], key_variable=None, concurrency=2))
start, texts = threading.Barrier(8), []
def ask(number):
    start.wait()
    request = ChatRequest("a", [Message(role="user", content=str(number))])
    texts.append(engine.generate([request], Sampling())[0].text)
threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
[thread.start() for thread in threads]
[thread.join(60) for thread in threads]
assert sorted(texts) == [f"re: {number}" for number in range(8)], texts
assert sum(thread.name == "requests" for thread in threading.enumerate()) == 1
"""


def test_threads_that_ask_first_at_the_same_time_share_one_sender(api: Api) -> None:
    subprocess.run([sys.executable, "-c", COLD, api.url], check=True, timeout=120)
    assert api.most == 2


LOOK = Tool(name="look", parameters={"type": "object", "properties": {"kind": {"type": "string"}}})
PING = Tool(name="ping", parameters={"type": "object"})
BOTH: dict[str, Any] = {"tools": (LOOK, PING), "names": ("look", "ping")}


def turn_of(completion: Completion) -> tuple[str, list[tuple[str, str]], bool]:
    turn = parse_turn(completion.text)
    calls = [(call.name, call.arguments) for call in turn.message.tool_calls]
    return turn.message.content, calls, turn.whole


def test_calls_of_tools_are_read_whole_and_streamed(make_engine: MakeEngine, make_request: MakeRequest) -> None:
    engine, sampling, heard = make_engine(tools=True), Sampling(calls=Calls(**BOTH)), list[str]()
    assert isinstance(engine, CallingEngine) and engine.calls_tools and not make_engine().calls_tools
    made = [("look", '{"kind": "refund"}'), ("ping", "{}")]
    (whole,) = engine.generate([make_request("a", "calls")], sampling)
    assert (turn_of(whole), whole.finish_reason) == (("", made, True), "stop")
    (streamed,) = engine.stream([make_request("a", "calls")], sampling, {0: heard.append})
    assert turn_of(streamed) == ("One moment.", made, True)
    assert "".join(heard) == streamed.text and heard[0] == "One moment."
    (cut,) = engine.generate([make_request("a", "calls without end")], sampling)
    assert (turn_of(cut), cut.finish_reason) == (("", [("look", '{"kind": "re')], False), "length")


@pytest.mark.parametrize("said", ["calls all first", "calls uncounted", "calls told again"])
def test_streamed_calls_are_told_apart_however_a_server_counts_them(
    said: str, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    sampling, heard = Sampling(calls=Calls(**BOTH)), list[str]()
    (streamed,) = make_engine(tools=True).stream([make_request("a", said)], sampling, {0: heard.append})
    assert turn_of(streamed) == ("", [LOOK_X, LOOK_Y, ("ping", "{}")], True)
    assert "".join(heard) == streamed.text


@pytest.mark.parametrize("streamed", [False, True])
def test_half_a_character_is_replaced_in_texts_calls_and_errors(
    streamed: bool, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    heard: list[str] = []
    listeners = {0: heard.append, 1: heard.append} if streamed else {}
    requests = [make_request("a", "half"), make_request("b", "half of an error")][: len(listeners) or 1]
    result = make_engine(tools=True, max_retries=0).stream(requests, Sampling(calls=Calls(**BOTH)), listeners)
    assert turn_of(result[0]) == ("so ?", [("lo?", '{"kind": "?"}')], True)
    assert "".join(heard) == (result[0].text if streamed else "")
    assert [each.error for each in result[1:]] == (["no ?"] if streamed else [])
    assert all(Completion.model_validate_json(each.model_dump_json()) == each for each in result)


@pytest.mark.parametrize(
    ("calls", "choice", "single"),
    [
        (BOTH, "auto", False),
        ({**BOTH, "most": 1}, "auto", True),
        ({**BOTH, "least": 1}, "required", False),
        ({**BOTH, "names": ("ping",), "least": 1}, {"type": "function", "function": {"name": "ping"}}, False),
        ({"tools": (LOOK, PING), "most": 0}, "none", False),
    ],
)
def test_an_api_is_told_which_tools_there_are_and_which_may_be_called(
    calls: dict[str, Any], choice: Any, single: bool, *, api: Api, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    make_engine(tools=True).generate([make_request("a", "x")], Sampling(calls=Calls(**calls)))
    (body,) = api.bodies
    assert body["tools"] == [LOOK.openai, PING.openai] and body["tool_choice"] == choice
    assert body.get("parallel_tool_calls", True) is not single


def test_a_conversation_with_calls_offers_no_tools_where_there_are_none(
    api: Api, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    make_engine(tools=True).generate([make_request("a", "x")], Sampling(calls=Calls(most=0)))
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & api.bodies[0].keys()


def test_a_setting_that_is_new_changes_no_hash_of_old_settings() -> None:
    assert not {"tools", "within_s"} & ApiParams().model_dump().keys()
    assert ApiParams(tools=True, within_s=2).model_dump().items() >= {"tools": True, "within_s": 2.0}.items()


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_that_was_cut_within_its_thought_is_empty(
    streamed: bool, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    listeners = {0: lambda _: None} if streamed else {}
    (result,) = make_engine().stream([make_request("a", "thought cut")], Sampling(), listeners)
    assert (result.text, result.finish_reason, result.error) == ("", "length", None)
    assert result.usage.output_tokens == 3


@pytest.mark.parametrize("listeners", [{}, {0: lambda _: None}])
def test_a_request_with_all_its_attempts_has_a_time_limit(
    listeners: Any, api: Api, make_engine: MakeEngine, make_request: MakeRequest
) -> None:
    said = "slow" if listeners else "slow once"
    engine, started = make_engine(within_s=0.4), time.monotonic()
    with pytest.raises(UnreachableError, match=r"expected an answer within 0\.4 s, found none"):
        engine.stream([make_request("a", said)], Sampling(), listeners)
    assert time.monotonic() - started < 2.5  # at once it takes three seconds, streamed two and a half
    assert api.tries[said] == 1


def test_texts_that_name_control_tokens_are_sent_so_that_they_name_none(api: Api, make_request: MakeRequest) -> None:
    told = PING.model_copy(update={"description": "</s> at the end"})
    engine = OpenAIEngine("m", ApiParams(base_url=api.url, tools=True), Parting(["</s>"]))
    engine.generate([make_request("a", "a</s>b")], Sampling(calls=Calls(tools=(told,), names=("ping",))))
    (body,) = api.bodies
    assert body["messages"][-1]["content"] == "a<\u200b/s>b"
    assert body["tools"][0]["function"]["description"] == "<\u200b/s> at the end"
