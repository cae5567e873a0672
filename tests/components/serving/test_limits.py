"""What one caller can take from the others: memory, time, places. Asked over real sockets."""

import asyncio
import json
import resource
import socket
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import pytest

from components.engines import ChatRequest, Engine, Sampling
from components.params import ConnectionParams, ServingParams
from components.records import Completion
from components.serving import Corrections, Follower, Journal, Outlet, Server, bind, config
from components.serving.connections import MOST_AHEAD, OTHER_FILES, Door, most_connections
from tests.components.serving.conftest import running

RunServer = Callable[..., Any]
Opened = Callable[[str, bytes], socket.socket]
BODY = {"model": "triage", "messages": [{"role": "user", "content": "hello"}]}
JSON = {"content-type": "application/json"}


@pytest.fixture
def opened() -> Generator[Callable[[str, bytes], socket.socket]]:
    """A connection over which something was said."""
    connections = list[socket.socket]()

    def connect(address: str, said: bytes) -> socket.socket:
        host, port = address.removeprefix("http://").split(":")
        connections.append(socket.create_connection((host, int(port)), timeout=20))
        connections[-1].sendall(said)
        return connections[-1]

    yield connect
    for connection in connections:
        connection.close()


def ended(connection: socket.socket) -> bool:
    """Whether the server has cut a connection off, without an answer."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def asked(address: str, **extra: Any) -> httpx.Response:
    return httpx.post(f"{address}/v1/chat/completions", json={**BODY, **extra}, timeout=30)


@pytest.mark.parametrize("extra", [{"max_tokens": 3 * 10**8}, {"max_tokens": 10**13, "n": 16, "temperature": 1}])
def test_a_number_of_tokens_takes_no_more_memory_than_the_model_can_fill(
    run_server: RunServer, extra: dict[str, Any]
) -> None:
    with run_server() as address:
        asked(address, max_tokens=20)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        reply = asked(address, **extra)
        grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert reply.status_code == 200
    assert grown_mb < 400  # 1,200 and more where a number is drawn for each token that was named


@pytest.mark.parametrize("n", [1, 4])
def test_no_more_tokens_are_computed_for_a_request_than_the_settings_allow(run_server: RunServer, n: int) -> None:
    with run_server(params=ServingParams(most_new_tokens=40)) as address:
        reply = asked(address, max_tokens=1000, n=n).json()
    assert reply["usage"]["completion_tokens"] == 40
    assert [choice["finish_reason"] for choice in reply["choices"]] == ["length"] * n


def test_a_client_that_sends_no_whole_request_is_cut_off_in_time(run_server: RunServer, opened: Opened) -> None:
    params = ServingParams(connections=ConnectionParams(request_s=0.4, idle_s=30))
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with run_server(params=params) as address:
        silent = [opened(address, said) for said in (b"", b"GET /hea", head, head + b"Content-Length: 90\r\n\r\n{")]
        again = opened(address, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}"):
            answer += again.recv(4096)
        assert answer.startswith(b"HTTP/1.1 200")
        again.sendall(b"GET /he")  # a second request that never ends
        started = time.monotonic()
        assert all(map(ended, [*silent, again]))
        assert time.monotonic() - started < 10


def test_a_client_that_sends_a_byte_now_and_then_is_cut_off_too(run_server: RunServer, opened: Opened) -> None:
    with run_server(params=ServingParams(connections=ConnectionParams(request_s=0.5))) as address:
        slow = opened(address, b"GET /healthz HTTP/1.1\r\n")
        with pytest.raises(ConnectionError):
            for _ in range(200):
                slow.sendall(b"X")
                time.sleep(0.05)


@contextmanager
def generous(params: ServingParams, chunks: int) -> Generator[str]:
    """The address of an application behind the door that answers with so many megabytes."""
    import uvicorn

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for left in reversed(range(chunks)):
            await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": left > 0})

    listening = bind("127.0.0.1", 0)
    http = uvicorn.Server(config(app, params, log_level="error", lifespan="off"))
    thread = threading.Thread(target=http.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        http.should_exit = True
        thread.join(20)
        listening.close()


def taken(connection: socket.socket) -> int:
    """How many bytes come over a connection until it ends."""
    number = 0
    with suppress(ConnectionError):
        while part := connection.recv(1 << 20):
            number += len(part)
    return number


def test_a_client_that_reads_nothing_is_cut_off_and_one_that_reads_slowly_is_not(opened: Opened) -> None:
    megabytes = 40  # more than the sockets of both sides hold
    with generous(ServingParams(connections=ConnectionParams(request_s=0.5)), megabytes) as address:
        asks = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        idle, slow = opened(address, asks), opened(address, asks)
        number = 0
        for _ in range(10):  # twice as long as the limit, and never idle so long
            number += len(slow.recv(1 << 20))
            time.sleep(0.1)
        assert taken(idle) < megabytes * 1_000_000
        assert number + taken(slow) > megabytes * 1_000_000


def test_endless_headers_are_refused(run_server: RunServer, opened: Opened) -> None:
    with run_server(params=ServingParams(connections=ConnectionParams(most_header_bytes=2048))) as address:
        endless = opened(address, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        number = 0
        with suppress(ConnectionError):  # whoever goes on gets a reset, and perhaps no more than that
            for number in range(400):
                endless.sendall(f"X-{number}: {'x' * 90}\r\n".encode())
                time.sleep(0.005)
        assert number < 200


def test_endless_trailers_are_refused_too(run_server: RunServer, opened: Opened) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with run_server(params=ServingParams(connections=ConnectionParams(most_header_bytes=2048))) as address:
        endless = opened(address, head + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n")
        number = 0
        with suppress(ConnectionError):
            for number in range(400):
                endless.sendall(f"X-{number}: {'x' * 90}\r\n".encode())
                time.sleep(0.005)
        assert number < 200


def test_headers_that_come_in_one_piece_are_counted_as_well(run_server: RunServer, opened: Opened) -> None:
    with run_server(params=ServingParams(connections=ConnectionParams(most_header_bytes=32_768))) as address:
        for number, status in ((300, b"200"), (600, b"431")):
            fields = b"".join(b"X-%d: %s\r\n" % (place, b"x" * 90) for place in range(number))
            asks = opened(address, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n" + fields + b"\r\n")
            assert asks.recv(12) == b"HTTP/1.1 " + status


def said(connection: socket.socket) -> bytes:
    """What comes over a connection until it ends."""
    heard = b""
    with suppress(ConnectionError):
        while part := connection.recv(1 << 20):
            heard += part
    return heard


def test_the_rest_of_a_refused_body_gets_no_answer(run_server: RunServer, opened: Opened) -> None:
    head = b"POST /v1/embeddings HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with run_server() as address:
        asks = opened(address, head + b"Content-Length: 200000\r\n\r\n")
        refused = asks.recv(4096)  # before the body
        asks.sendall(bytes(200_000) + b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        statuses = [part[:3] for part in (refused + said(asks)).split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"404", b"200"]


def test_too_long_headers_behind_a_request_are_not_taken_for_its_answer(run_server: RunServer, opened: Opened) -> None:
    body = json.dumps(BODY).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    first = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with run_server(params=ServingParams(connections=ConnectionParams(most_header_bytes=2048))) as address:
        asks = opened(address, first + b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 3000 + b"\r\nY: y\r\n")
        assert b" 431 " not in said(asks)


def test_silent_connections_keep_nobody_out(run_server: RunServer, opened: Opened) -> None:
    with run_server(params=ServingParams(connections=ConnectionParams(most=8, request_s=60))) as address:
        half_open = [opened(address, b"POST /v1/chat") for _ in range(60)]
        for _ in range(3):
            assert httpx.get(f"{address}/healthz", timeout=10).status_code == 200
            assert asked(address).status_code == 200
        assert sum(map(ended, half_open[:40])) == 40  # the oldest have gone


def test_a_server_full_of_connections_in_use_refuses_others() -> None:
    door = Door(ConnectionParams(), 2)
    first, second, third = object(), object(), object()
    assert door.enter(first) and door.enter(second)
    door.works(first)
    door.works(second)
    assert not door.enter(third)
    door.leave(first)
    assert door.enter(third)


def test_there_are_no_more_connections_than_files_may_be_open(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for = list[tuple[int, int]]()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 300))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked_for.append(limits))
    assert most_connections(ConnectionParams(most=1000)) == 300 - OTHER_FILES
    assert asked_for == [(300, 300)]


class Held:
    """An engine that begins when it may."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.go, self.begun = engine, threading.Event(), threading.Event()

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        self.begun.set()
        assert self.go.wait(20)
        return self.engine.generate(requests, sampling)


def test_a_caller_who_finds_no_place_to_wait_is_told_to_come_again(
    run_server: RunServer, follow: Callable[..., Follower], engine: Engine
) -> None:
    held = Held(engine)
    params = ServingParams(most_waiting=4, caller_share=1, most_batched=1)
    with run_server(follow(opened=lambda _: held), params=params) as address, ThreadPoolExecutor(20) as pool:
        first = pool.submit(asked, address)
        assert held.begun.wait(10)
        others = [pool.submit(asked, address) for _ in range(12)]
        ends = time.monotonic() + 20
        while sum(other.done() for other in others) < 8 and time.monotonic() < ends:
            time.sleep(0.01)
        assert httpx.get(f"{address}/healthz").status_code == 200
        held.go.set()
        replies = [other.result(30) for other in others]
    assert first.result().status_code == 200
    assert sorted(reply.status_code for reply in replies) == [200] * 4 + [503] * 8
    refusal = next(reply for reply in replies if reply.status_code == 503)
    assert (refusal.json()["error"]["code"], refusal.headers["retry-after"]) == ("overloaded", "1")


MANY_SCHEMAS: dict[str, Any] = {"tool_choice": "none", "tools": [{"type": "function", "function": {
    "name": "f", "parameters": {"type": "object", "anyOf": [{}] * 16_000}}}]}  # fmt: skip
HOSTILE: dict[str, tuple[str, bytes]] = {
    "a long message": ("chat/completions", json.dumps(
        {**BODY, "messages": [{"role": "user", "content": "x" * 250_000}]}).encode()),
    "many messages": ("chat/completions", json.dumps(
        {**BODY, "messages": [{"role": "user", "content": "x"}] * 6_000}).encode()),
    "many wrong messages": ("chat/completions", json.dumps({**BODY, "messages": [{}] * 60_000}).encode()),
    "many parts": ("chat/completions", json.dumps(
        {**BODY, "messages": [{"role": "user", "content": [{"type": "text", "text": ""}] * 7_000}]}).encode()),
    "a deep body": ("chat/completions", b'{"model": "triage", "messages": ' + b"[" * 200_000),
    "a long number": ("chat/completions", b'{"model": "triage", "seed": ' + b"9" * 200_000 + b"}"),
    "many unknown keys": ("chat/completions", json.dumps(
        {**BODY, **{f"k{number}": None for number in range(15_000)}}).encode()),
    "a schema of many properties": ("chat/completions", json.dumps(
        {**BODY, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {
            "type": "object", "properties": {f"k{number}": {"type": "integer"} for number in range(900)}}}}}).encode()),
    "a correction of many values": ("feedback", json.dumps(
        {"id": "chatcmpl-" + "0" * 32, "corrected": json.dumps({f"k{n}": [3] for n in range(1_200)})}).encode()),
    "a correction that is too long": ("feedback", json.dumps(
        {"id": "chatcmpl-" + "0" * 32, "corrected": "a" * 200_000}).encode()),
    "many inputs": ("responses", json.dumps({"model": "triage", "input": [{}] * 60_000}).encode()),
    "many wrong inputs": ("responses", json.dumps({"model": "triage", "input": [1] * 87_000}).encode()),
    "many wrong tools": ("chat/completions", json.dumps({**BODY, "tools": [1] * 85_000}).encode()),
    "many wrong stops": ("chat/completions", json.dumps({**BODY, "stop": [1] * 85_000}).encode()),
    "many wrong calls": ("chat/completions", json.dumps(
        {**BODY, "messages": [{"role": "assistant", "tool_calls": [1] * 85_000}]}).encode()),
    "many unknown fields of feedback": ("feedback", json.dumps(
        {"id": "x", "score": 1, **{f"k{number}": 1 for number in range(15_000)}}).encode()),
    "a tool of many schemas": ("chat/completions", json.dumps({**BODY, **MANY_SCHEMAS}).encode()),
    "a pattern that counts far": ("chat/completions", json.dumps({**BODY, "tools": [{"type": "function", "function": {
        "name": "f", "parameters": {"properties": {"a": {"pattern": "x{99999999999}"}}}}}]}).encode()),
}  # fmt: skip
MOST_S = 0.05


@pytest.fixture
def longest_call(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The processor's time of every call in an event loop, in seconds: what waits for other threads is not counted."""
    seconds = list[float]()
    run: Any = asyncio.events.Handle._run  # pyright: ignore[reportPrivateUsage]

    def timed(handle: Any) -> None:
        started = time.thread_time()
        run(handle)
        seconds.append(time.thread_time() - started)

    monkeypatch.setattr(asyncio.events.Handle, "_run", timed)
    return seconds


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_that_a_caller_sends_keeps_the_event_loop(
    follow: Callable[..., Follower], longest_call: list[float], name: str, tmp_path: Any
) -> None:
    path, body = HOSTILE[name]
    lists = [{"type": "array", "items": {"enum": [number, number + 1]}} for number in range(10, 30)] + [
        {"type": "array"}
    ]
    schema = {"type": "object", "properties": {"kind": {"type": "string"}}, "additionalProperties": {"anyOf": lists}}
    journal = Journal("triage", schema, Outlet(tmp_path, lambda segment, lines: None, every_s=60))
    server = Server("triage", follow(), journal=journal, corrections=Corrections(schema))
    with running(server, loop="asyncio") as address:  # in Python, so that its calls can be measured
        httpx.post(f"{address}/v1/{path}", json=BODY, timeout=30)  # what is imported or compiled once
        longest_call.clear()
        status = httpx.post(f"{address}/v1/{path}", content=body, headers=JSON, timeout=30).status_code
    assert status in (200, 400, 413)
    assert longest_call and max(longest_call) < MOST_S


def test_what_is_hard_to_read_in_a_request_keeps_no_other_caller_waiting(run_server: RunServer) -> None:
    with run_server() as address, ThreadPoolExecutor(12) as pool:
        asked(address)
        hard = [pool.submit(asked, address, **MANY_SCHEMAS) for _ in range(12)]
        started = time.monotonic()
        assert asked(address).status_code == 200
        assert time.monotonic() - started < 15  # a minute and more where each schema takes seconds
        assert {reply.result(60).status_code for reply in hard} == {200}


def test_what_is_written_down_is_masked_apart_from_the_event_loop(
    follow: Callable[..., Follower], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal("triage", {"type": "object"}, Outlet(tmp_path, lambda segment, lines: None, every_s=60))
    loops, write = list[object](), journal.answered

    def noted(*things: Any, **more: Any) -> None:
        loops.append(asyncio._get_running_loop())
        write(*things, **more)

    monkeypatch.setattr(journal, "answered", noted)
    with running(Server("triage", follow(), journal=journal)) as address:
        assert asked(address).status_code == 200
    assert loops == [None]


def test_a_client_that_asks_on_without_waiting_for_answers_is_cut_off(
    follow: Callable[..., Follower], opened: Opened, longest_call: list[float]
) -> None:
    asks = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with running(Server("triage", follow()), loop="asyncio") as address:
        few = opened(address, asks * MOST_AHEAD)
        said = b""
        while said.count(b"HTTP/1.1 200") < MOST_AHEAD:
            said += few.recv(65_536)
        longest_call.clear()
        many, answers = opened(address, asks * 5_000), b""
        with suppress(ConnectionError):
            while part := many.recv(65_536):
                answers += part
    assert answers.count(b"HTTP/1.1 200") < 300
    assert longest_call and max(longest_call) < MOST_S


def test_a_client_that_leaves_in_the_middle_of_a_request_is_no_error_of_the_server(
    run_server: RunServer, opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with run_server() as address:
        opened(address, head + b"Content-Length: 90\r\n\r\n{").close()
        ends = time.monotonic() + 10
        while 'status="499"' not in httpx.get(f"{address}/metrics").text:
            assert time.monotonic() < ends
    assert "Traceback" not in caplog.text
