"""Streams over HTTP, read by the official client while the engine still writes."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from components.engines import ChatRequest, Listeners, Sampling
from components.records import Completion, Trace, Usage
from components.serving import Follower, Journal, Outlet, Served
from tests.components.serving.conftest import PROMPT
from tests.components.serving.test_app import SCHEMA, ask, client
from tests.flows.conftest import wait_until

RunServer = Callable[..., Any]
VALID = '{"intent": "refund", "late": true}'


@dataclass
class Pauses:
    """An engine that tells the first half of its answer, and the rest when it may."""

    text: str = VALID
    error: str | None = None
    go: threading.Event = field(default_factory=threading.Event)
    batches: list[int] = field(default_factory=list[int])

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        return self.stream(requests, sampling, {})

    def stream(self, requests: list[ChatRequest], sampling: Sampling, listeners: Listeners) -> list[Completion]:
        self.batches.append(len(requests))
        for hear in listeners.values():
            hear(self.text[: len(self.text) // 2])
        assert self.go.wait(10)
        if self.error:
            raise RuntimeError(self.error)
        usage = Usage(input_tokens=3, output_tokens=2)
        return [
            Completion(example_id=request.example_id, text=self.text, usage=usage, latency_ms=1.0)
            for request in requests
            for _ in range(sampling.n)
        ]


def pieces(events: Any) -> list[str]:
    return [choice.delta.content for event in events for choice in event.choices if choice.delta.content]


def test_text_arrives_before_the_answer_is_complete(run_server: RunServer, follow: Callable[..., Follower]) -> None:
    engine = Pauses()
    with run_server(follow(opened=lambda _: engine)) as address:
        events = ask(address, stream=True)
        first = next(event for event in events if event.choices[0].delta.content)
        assert first.choices[0].delta.content == VALID[: len(VALID) // 2] and not engine.go.is_set()
        engine.go.set()
        assert first.choices[0].delta.content + "".join(pieces(events)) == VALID
        metrics = httpx.get(f"{address}/metrics").text
    assert "gradus_first_token_seconds_count 1.0" in metrics and 'gradus_requests_total{status="200"} 1.0' in metrics


def test_streams_share_batches_with_others_and_each_gets_its_own_answer_in_pieces(run_server: RunServer) -> None:
    texts = [f"order {number} is late" for number in range(8)]

    def streamed(text: str) -> list[str]:
        return pieces(ask(address, text, stream=True))

    def whole(text: str) -> str:
        return ask(address, text).choices[0].message.content

    with run_server() as address:
        alone = [whole(text) for text in texts]
        with ThreadPoolExecutor(16) as pool:
            streams, answers = pool.map(streamed, texts), pool.map(whole, texts)
            assert list(answers) == alone
            received = list(streams)
        sizes = httpx.get(f"{address}/metrics").text
    assert ["".join(parts) for parts in received] == alone
    assert max(map(len, received)) > 5
    assert "gradus_batch_size_count 24.0" not in sizes  # not one by one


def test_an_error_in_the_middle_ends_the_stream_with_openais_error_and_the_server_goes_on(
    run_server: RunServer, follow: Callable[..., Follower]
) -> None:
    engine = Pauses(error="out of order")
    engine.go.set()
    with run_server(follow(opened=lambda _: engine)) as address:
        body = {"model": "triage", "messages": [{"role": "user", "content": "hello"}], "stream": True}
        reply = httpx.post(f"{address}/v1/chat/completions", json=body)
        with pytest.raises(openai.APIError, match="the server failed") as raised:
            list(ask(address, stream=True))
        engine.error = None
        assert "".join(pieces(ask(address, stream=True))) == VALID
        metrics = httpx.get(f"{address}/metrics").text
    assert not isinstance(raised.value, openai.APIStatusError)  # the status has left long before
    last = reply.text.strip().split("\n\n")[-1]
    assert json.loads(last.removeprefix("data: "))["error"].keys() == {"message", "type", "param", "code"}
    assert 'gradus_requests_total{status="500"} 2.0' in metrics


def test_what_is_refused_before_the_first_piece_has_its_status(run_server: RunServer) -> None:
    with run_server() as address, pytest.raises(openai.BadRequestError, match="2,047 tokens"):
        ask(address, "x " * 4000, stream=True)


def test_a_client_that_goes_away_loses_nothing_of_others_and_its_answer_is_on_its_trace(
    run_server: RunServer, follow: Callable[..., Follower], tmp_path: Path
) -> None:
    engine, stored = Pauses(), list[str]()
    outlet = Outlet(tmp_path, lambda segment, lines: stored.extend(lines), every_s=60)
    with (
        run_server(follow(opened=lambda _: engine), journal=Journal("triage", SCHEMA, outlet)) as address,
        ThreadPoolExecutor(1) as pool,
    ):
        events = ask(address, stream=True)
        gone = next(event.id for event in events if event.choices[0].delta.content)
        other = pool.submit(lambda: "".join(pieces(ask(address, stream=True))))
        events.close()
        wait_until(lambda: 'status="499"} 1.0' in httpx.get(f"{address}/metrics").text, 10)
        engine.go.set()
        assert other.result(10) == VALID
    traces = {trace.id: trace.text for trace in map(Trace.model_validate_json, stored)}
    assert traces[gone] == VALID and len(traces) == 2


def test_the_trace_is_on_disk_before_the_last_event_leaves(run_server: RunServer, tmp_path: Path) -> None:
    journal = Journal("triage", SCHEMA, Outlet(tmp_path, lambda segment, lines: None, every_s=60))
    with run_server(journal=journal) as address:
        for event in ask(address, stream=True):
            if event.choices[0].finish_reason:
                assert event.id in "".join(path.read_text() for path in tmp_path.glob("*.jsonl"))
                break
        else:
            pytest.fail("expected an end")


def test_where_a_second_model_may_answer_nothing_leaves_before_the_answer_is_chosen(
    run_server: RunServer, follow: Callable[..., Follower], tmp_path: Path
) -> None:
    engine, second = Pauses("no JSON"), Pauses()
    engine.go.set()
    second.go.set()
    journal = Journal("triage", SCHEMA, Outlet(tmp_path, lambda segment, lines: None, every_s=60))
    fallback = Served(0, "api", second, PROMPT, 64)
    with run_server(follow(opened=lambda _: engine), fallback=fallback, journal=journal) as address:
        assert pieces(ask(address, stream=True)) == [VALID]
        free = client(address).chat.completions.create(
            model="triage", messages=[{"role": "user", "content": "x"}], stream=True, response_format={"type": "text"}
        )
        assert pieces(free) == ["no ", "JSON"]
