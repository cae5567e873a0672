"""What becomes of an answer that nobody waits for any more, and of one that has come to its stop."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.engines import ChatRequest, Listeners, Sampling
from components.engines.base import Calls
from components.params import ServingParams
from components.params.serving import RoutingParams
from components.records import Completion, Trace, Usage
from components.serving import Follower, Journal, Outlet, Served
from components.serving.replies import ChatReply
from components.serving.request import Request
from components.serving.stops import Stopping, cut
from tests.components.serving.test_app import SCHEMA
from tests.flows.conftest import wait_until

RunServer = Callable[..., Any]
SAYS = {"model": "triage", "messages": [{"role": "user", "content": "hello"}]}
LONG = {**SAYS, "messages": [{"role": "user", "content": "long"}]}
STEP_S = 0.01


@dataclass
class Steps:
    """An engine that takes 1,000 steps for a long answer, and looks at each step whether it is still wanted."""

    looks: bool = True
    steps: list[int] = field(default_factory=list[int])

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        return self.stream(requests, sampling, {})

    def stream(self, requests: list[ChatRequest], sampling: Sampling, listeners: Listeners) -> list[Completion]:
        assert len(requests) == 1
        request, text = requests[0], ""
        self.steps.append(0)
        while len(text) < (1000 if "long" in request.messages[-1].content else 3):
            if self.looks and request.unwanted is not None and request.unwanted():
                break
            time.sleep(STEP_S)
            self.steps[-1] += 1
            text += "x"
            if 0 in listeners:
                listeners[0]("x")
        usage = Usage(input_tokens=3, output_tokens=len(text))
        reason = "stop" if len(text) in (3, 1000) else "length"
        return [Completion(example_id="", text=text, usage=usage, latency_ms=1.0, finish_reason=reason)]


def leave(address: str, body: dict[str, Any]) -> None:
    """Ask, and leave without the answer."""
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{address}/v1/chat/completions", json=body, timeout=httpx.Timeout(20, read=0.2))


def wait_for_left(address: str, callers: int) -> None:
    """Wait until the server has seen so many callers leave."""
    wait_until(lambda: f'status="499"}} {callers}.0' in httpx.get(f"{address}/metrics").text, 10)


def post(address: str, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{address}/v1/chat/completions", json=body, timeout=20)


def test_an_answer_that_took_too_long_ends_and_keeps_nobody_out(
    run_server: RunServer, follow: Callable[..., Follower]
) -> None:
    engine = Steps()
    with run_server(follow(opened=lambda _: engine), params=ServingParams(timeout_s=0.3)) as address:
        assert post(address, LONG).status_code == 504
        assert post(address, SAYS).status_code == 200
        assert httpx.get(f"{address}/readyz").status_code == 200
    assert engine.steps[0] < 100


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_whose_caller_left_ends_is_recorded_as_far_as_it_came_and_counts_for_nothing(
    run_server: RunServer, follow: Callable[..., Follower], tmp_path: Path, stream: bool
) -> None:
    engine, stored = Steps(), list[str]()
    journal = Journal("triage", SCHEMA, Outlet(tmp_path, lambda _, lines: stored.extend(lines), every_s=60))
    with run_server(follow(opened=lambda _: engine), journal=journal) as address:
        if stream:
            with httpx.stream("POST", f"{address}/v1/chat/completions", json={**LONG, "stream": True}) as events:
                next(events.iter_text())
        else:
            leave(address, LONG)
        wait_for_left(address, 1)
        assert post(address, SAYS).status_code == 200
    traces = list(map(Trace.model_validate_json, stored))
    assert engine.steps[0] < 500 and engine.steps[1] == 3
    assert [(len(trace.text), trace.finish_reason, trace.input) for trace in traces] == [
        (engine.steps[0], "length", {}), (3, "stop", {"message": "hello"}),
    ]  # fmt: skip


def test_a_turn_with_tools_whose_caller_left_counts_for_nothing() -> None:
    tools = Calls(names=("look",))
    served = Served(1, "sft", Quick(), None, 400)
    request = Request(served, ChatRequest("a", [], ""), Sampling(calls=tools))
    whole = Completion.of_text("", "<tool_call>")
    assert request.answered("champion", [whole]).calls is tools
    request.leave()
    cut_off = whole.model_copy(update={"finish_reason": "length"})
    assert request.answered("champion", [cut_off]).calls is None  # as in a conversation of the caller's own


def test_a_request_whose_caller_left_before_its_turn_is_not_asked(
    run_server: RunServer, follow: Callable[..., Follower]
) -> None:
    engine = Steps(looks=False)
    with run_server(follow(opened=lambda _: engine)) as address:
        leave(address, LONG)
        leave(address, SAYS)
        wait_for_left(address, 2)
        engine.looks = True
        assert post(address, SAYS).status_code == 200
    assert len(engine.steps) == 2


def test_a_server_whose_engine_does_not_end_in_time_is_not_ready(
    run_server: RunServer, follow: Callable[..., Follower]
) -> None:
    engine = Steps(looks=False)
    with run_server(follow(opened=lambda _: engine), params=ServingParams(timeout_s=0.2)) as address:
        assert post(address, LONG).status_code == 504
        reply = httpx.get(f"{address}/readyz")
        assert reply.status_code == 503 and "expected answers within 0.2 s, found a request at work" in reply.text
        engine.looks = True
        wait_until(lambda: httpx.get(f"{address}/readyz").status_code == 200, 10)


def test_a_server_that_ends_does_not_wait_for_the_shadow(
    run_server: RunServer, follow: Callable[..., Follower], tmp_path: Path
) -> None:
    engine = Steps()
    shadow, champion = follow(lambda: 2, lambda _: engine), follow(opened=lambda _: Quick())
    stored = list[str]()
    journal = Journal("triage", SCHEMA, Outlet(tmp_path, lambda _, lines: stored.extend(lines), every_s=60))
    params = ServingParams(routing=RoutingParams(shadow_share=1))
    with run_server(champion, shadow=shadow, params=params, journal=journal) as address:
        wait_until(lambda: shadow.served, 10)
        assert post(address, LONG).status_code == 200
        wait_until(lambda: engine.steps, 10)
    assert engine.steps[0] < 900
    assert [trace.input for trace in map(Trace.model_validate_json, stored) if trace.version == 2] == [{}]


class Quick:
    """Answers at once."""

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        return [Completion.of_text(request.example_id, "x") for request in requests]


@pytest.mark.parametrize("stops", [("abc", "b"), ("c", "bc"), ("d", "xab"), ("abcde", "z")])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_what_is_streamed_up_to_a_stop_is_what_is_recorded(stops: tuple[str, ...], size: int) -> None:
    text, heard = "xabcd", list[str]()
    take = Stopping(lambda _, piece: heard.append(piece), stops)
    for at in range(0, len(text), size):
        take(0, text[at : at + size])
    recorded = cut(Completion.of_text("", text), stops).text
    assert recorded.startswith("".join(heard))
    assert recorded == "".join(heard) or not any(stop in text for stop in stops)


@pytest.mark.parametrize("ends", ["1", '{"a"', '{"a": 1}}\n</tool_call>'])
def test_a_call_that_was_not_made_whole_does_not_end_in_tool_calls(ends: str) -> None:
    turn = Completion.of_text("", '<tool_call>{"name": "ping", "arguments": ' + ends)
    reply, reason = ChatReply("triage", calling=True), "tool_calls" if ends.endswith(">") else "stop"
    assert reply.body([turn])["choices"][0]["finish_reason"] == reason
    reply.text(0, turn.text)
    assert f'"finish_reason": "{reason}"' in reply.ends([turn])


def test_tokens_are_counted_and_computed_up_to_the_stop(run_server: RunServer) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {
        "type": "array", "minItems": 300, "items": {"type": "integer", "minimum": 0, "maximum": 9}}}}  # fmt: skip
    with run_server() as address:
        reply = post(address, {**SAYS, "max_tokens": 200, "stop": [","], "response_format": form}).json()
    assert reply["choices"][0]["finish_reason"] == "stop" and "," not in reply["choices"][0]["message"]["content"]
    assert reply["usage"]["completion_tokens"] < 20
