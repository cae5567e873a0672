"""Canary, shadow and fallback: the trace says who answered, and the caller gets one answer."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.data.shares import falls_in
from components.engines import ChatRequest, Sampling
from components.errors import RegistryError, UnreachableError
from components.params import ApiParams, FallbackParams, RoutingParams, ServingParams
from components.prompts import Prompt
from components.records import Completion, Trace, Usage
from components.registry import Version
from components.serving import Follower, Journal, Outlet, Served, Server
from components.serving.protocol import ChatCompletionRequest
from components.serving.request import Request
from components.serving.routing import canary_answers
from tests.components.serving.conftest import PROMPT
from tests.components.serving.test_app import HELLO, SCHEMA, ask
from tests.flows.conftest import wait_until

VALID = '{"intent": "refund", "late": true}'
SECOND = FallbackParams(model="second", prompt="short", api=ApiParams(key_variable=None), min_confidence=0.9)
UNSURE = ServingParams(routing=RoutingParams(fallback=SECOND))
RunServer = Callable[..., Any]


@dataclass
class Says:
    """An engine with one answer."""

    text: str
    error: str | None = None
    asked: list[str] = field(default_factory=list[str])
    confidence: float | None = None

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        self.asked += [request.messages[-1].content for request in requests]
        usage = Usage(input_tokens=3, output_tokens=2)
        return [
            Completion(
                example_id=request.example_id, text=self.text, usage=usage, latency_ms=1.0, error=self.error,
                finish_reason="error" if self.error else "stop", confidence=self.confidence,
            )
            for request in requests
            for _ in range(sampling.n)
        ]  # fmt: skip


class Written:
    """A journal whose store is a list."""

    def __init__(self, folder: Path) -> None:
        self.lines = list[str]()
        self.journal = Journal(
            "triage", SCHEMA, Outlet(folder, lambda segment, lines: self.lines.extend(lines), every_s=60)
        )

    @property
    def traces(self) -> list[Trace]:
        return [Trace.model_validate_json(line) for line in self.lines]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return Written(tmp_path)


def routed(**shares: Any) -> ServingParams:
    return ServingParams(routing=RoutingParams(**shares))


def text_of(reply: Any) -> str:
    return reply.choices[0].message.content


def test_a_name_is_drawn_the_same_each_time_and_routes_draw_independently() -> None:
    names = [f"chatcmpl-{number}" for number in range(4000)]
    canary, shadow = ([falls_in(0.25, route, name) for name in names] for route in ("canary", "shadow"))
    assert canary == [falls_in(0.25, "canary", name) for name in names]
    assert 0.22 < sum(canary) / 4000 < 0.28  # four standard errors
    assert 0.04 < sum(a and b for a, b in zip(canary, shadow, strict=True)) / 4000 < 0.085
    assert not any(falls_in(0.0, "canary", name) for name in names)
    assert all(falls_in(1.0, "canary", name) for name in names)


def test_the_canary_answers_its_share_and_the_champion_the_rest(
    run_server: RunServer, follow: Callable[..., Follower], written: Written
) -> None:
    canary = follow(lambda: 2, lambda _: Says("canary"))
    champion = follow(lambda: 1, lambda _: Says("champion"))
    with run_server(champion, canary=canary, params=routed(canary_share=0.5), journal=written.journal) as address:
        while canary.served is None:
            pass
        answers, users = dict[str, str](), dict[str, set[str]]()
        for number in range(40):
            reply, user = ask(address, user=f"u{number % 20}"), f"u{number % 20}"
            answers[reply.id] = text_of(reply)
            users.setdefault(user, set()).add(text_of(reply))
    assert set(answers.values()) == {"canary", "champion"}
    assert {trace.id: trace.text for trace in written.traces} == answers
    assert all(
        (trace.route, trace.version) == (trace.text, 2 if trace.text == "canary" else 1) for trace in written.traces
    )
    assert all(len(texts) == 1 for texts in users.values())  # a customer stays with one version
    customers = {trace.customer: trace.text for trace in written.traces}
    assert len(customers) == 20
    assert all(canary_answers(0.5, 2, name) == (text == "canary") for name, text in customers.items())


def test_requests_are_drawn_where_one_key_asks_for_all(
    run_server: RunServer, follow: Callable[..., Follower], written: Written
) -> None:
    canary, champion = follow(lambda: 2, lambda _: Says("canary")), follow(lambda: 1, lambda _: Says("champion"))
    settings = routed(canary_share=0.5, unit="request")
    with run_server(champion, canary=canary, params=settings, journal=written.journal) as address:
        while canary.served is None:
            pass
        answers = {text_of(ask(address)) for _ in range(40)}
    assert answers == {"canary", "champion"}
    assert len({trace.customer for trace in written.traces}) == 1


class Fails(Says):
    """An engine that breaks down."""

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        raise RuntimeError("out of memory")


class Hangs(Says):
    """An engine that takes its time."""

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        time.sleep(0.5)
        return super().generate(requests, sampling)


class Away(Says):
    """An engine elsewhere that is not there."""

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        raise UnreachableError("connection refused by db-7")


class Joins(Says):
    """An engine that answers several callers at once."""

    at_once = 4


@dataclass
class Stuck(Joins):
    """One that answers once it may."""

    go: threading.Event = field(default_factory=threading.Event)

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        assert self.go.wait(20)
        return super().generate(requests, sampling)


def priced(engine: Says, usd: float) -> Follower:
    """A follower of one version, whose answers cost something."""
    version = Version(1, "grpo", "model", "short", Path())
    served = Served(1, "grpo", engine, PROMPT, 12, price=lambda _: usd)
    return Follower(lambda: version, lambda _: served, every_s=60)


@pytest.mark.parametrize(
    ("engine", "why"),
    [
        (Fails("x"), "the server failed"), (Hangs("x"), "no answer within 0.1 s"),
        (Says("", error="too long a prompt"), "too long a prompt"),
    ],
)  # fmt: skip
def test_a_version_that_does_not_answer_leaves_a_trace_that_is_not_valid(
    run_server: RunServer, follow: Callable[..., Follower], written: Written, engine: Says, why: str
) -> None:
    from openai import APIStatusError

    params = ServingParams(timeout_s=0.1)
    champion = follow(opened=lambda _: engine)
    with (
        run_server(champion, params=params, journal=written.journal) as address,
        pytest.raises(APIStatusError),
    ):
        ask(address, user="u")
    [trace] = written.traces
    assert (trace.failed, trace.valid, trace.version, trace.route) == (True, False, 1, "champion")
    assert trace.text.startswith(why) and trace.customer
    assert trace.input == {"message": "hello"}  # so that it may be drawn as any other
    assert trace.messages[-1].content == "Ticket: hello"


def test_a_failure_costs_nothing_and_an_answer_what_it_costs(run_server: RunServer, written: Written) -> None:
    from openai import InternalServerError

    champion = priced(Says(VALID), 0.5)
    with run_server(champion, journal=written.journal) as address:
        ask(address)
        assert champion.served is not None
        champion.served.engine.generate = Away("").generate  # type: ignore[method-assign]
        with pytest.raises(InternalServerError):
            ask(address)
    assert [(trace.failed, trace.cost_usd) for trace in written.traces] == [(False, 0.5), (True, 0.0)]


def test_what_an_engine_says_of_its_own_failure_is_no_callers_business(
    run_server: RunServer, follow: Callable[..., Follower], written: Written
) -> None:
    with run_server(follow(opened=lambda _: Away("")), journal=written.journal) as address:
        body = {"model": "triage", "messages": HELLO}
        reply = httpx.post(f"{address}/v1/chat/completions", json=body, timeout=30)
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert "db-7" not in reply.text and reply.json()["error"]["type"] == "server_error"
    assert [trace.text for trace in written.traces] == ["connection refused by db-7"]


def test_who_gets_no_answer_in_time_is_told_to_come_again(
    run_server: RunServer, follow: Callable[..., Follower]
) -> None:
    with run_server(follow(opened=lambda _: Hangs("x")), params=ServingParams(timeout_s=0.1)) as address:
        body = {"model": "triage", "messages": HELLO}
        reply = httpx.post(f"{address}/v1/chat/completions", json=body, timeout=30)
    assert (reply.status_code, reply.headers["retry-after"]) == (504, "1")


def test_a_canary_whose_engine_hangs_holds_up_no_other_version(
    run_server: RunServer, follow: Callable[..., Follower], written: Written
) -> None:
    hangs = Stuck("canary")
    canary, champion = follow(lambda: 2, lambda _: hangs), follow(lambda: 1, lambda _: Joins("champion"))
    params = ServingParams(timeout_s=2, routing=RoutingParams(canary_share=0.5, unit="request"))
    body = {"model": "triage", "messages": HELLO}
    with run_server(champion, canary=canary, params=params, journal=written.journal) as address:
        wait_until(lambda: canary.served, most_s=20)
        url = f"{address}/v1/chat/completions"
        with ThreadPoolExecutor(24) as pool:  # of whom about twelve ask the canary, which has room for four
            replies = [pool.submit(httpx.post, url, json=body, timeout=30) for _ in range(24)]
            statuses = {reply.result().status_code for reply in replies}
        hangs.go.set()
    assert statuses == {200, 504}
    assert {(trace.route, trace.failed) for trace in written.traces} == {("champion", False), ("canary", True)}


def test_a_message_that_lacks_an_input_is_no_failure_of_a_version(
    run_server: RunServer, follow: Callable[..., Follower], written: Written
) -> None:
    from openai import BadRequestError

    prompt = Prompt("two", "Say it.", "{channel}: {message}")
    champion = Follower(
        lambda: Version(1, "grpo", "model", "two", Path()), lambda _: Served(1, "grpo", Says(VALID), prompt, 12),
        every_s=60,
    )  # fmt: skip
    with run_server(champion, journal=written.journal) as address, pytest.raises(BadRequestError):
        ask(address, '{"message": "Where?"}')
    assert written.traces == []


def test_the_shadow_answers_unseen(run_server: RunServer, follow: Callable[..., Follower], written: Written) -> None:
    shadow = follow(lambda: 2, lambda _: Says("shadow"))
    champion = follow(lambda: 1, lambda _: Says(VALID))
    with run_server(champion, shadow=shadow, params=routed(shadow_share=1), journal=written.journal) as address:
        while shadow.served is None:
            pass
        reply = ask(address)
    assert text_of(reply) == VALID
    stored = {trace.id: (trace.route, trace.text, trace.returned, trace.valid) for trace in written.traces}
    assert stored == {
        reply.id: ("champion", VALID, True, True),
        f"{reply.id}~shadow": ("shadow", "shadow", False, False),
    }


def test_the_shadows_answer_ends_at_the_callers_stops_and_its_failure_is_recorded(
    run_server: RunServer, follow: Callable[..., Follower], written: Written
) -> None:
    engines: list[Says] = [Says("shadow END more"), Fails("")]
    shadow, champion = follow(lambda: 2, lambda _: engines[0]), follow(lambda: 1, lambda _: Says(VALID))
    with run_server(champion, shadow=shadow, params=routed(shadow_share=1), journal=written.journal) as address:
        wait_until(lambda: shadow.served, most_s=20)
        first = ask(address, stop=["END"])
        wait_until(lambda: engines[0].asked, most_s=20)
        assert shadow.served is not None
        shadow.served.engine.generate = engines[1].generate  # type: ignore[method-assign]
        second = ask(address)
    stored = {trace.id: (trace.text, trace.failed, trace.returned) for trace in written.traces}
    assert stored == {
        first.id: (VALID, False, True),
        f"{first.id}~shadow": ("shadow ", False, False),
        second.id: (VALID, False, True),
        f"{second.id}~shadow": ("the server failed; its log says why", True, False),
    }


def test_the_shadow_is_not_asked_while_a_caller_waits(written: Written) -> None:
    hangs = Stuck("champion")
    champion, shadow = Served(1, "grpo", hangs, PROMPT, 12), priced(Says("shadow"), 0)
    shadow.served = Served(2, "grpo", Says("shadow"), PROMPT, 12)
    server = Server("triage", priced(hangs, 0), routed(shadow_share=1), journal=written.journal, shadow=shadow)
    asked = ChatCompletionRequest.model_validate({"model": "triage", "messages": HELLO})

    def waits(name: str) -> Request:
        request = server._request(champion, name, asked, "")
        server.batchers.submit(request, [champion])
        return request

    requests = list[Request]()
    for number in range(4):
        requests.append(waits(str(number)))
        wait_until(requests[-1].done.running, most_s=20)
    requests.append(waits("one more than it has room for"))
    assert server.batchers.waiting == 1
    held = server._for_shadow("x", asked, "")
    hangs.go.set()
    assert [len(request.done.result(20)) for request in requests] == [1] * 5
    assert held is None
    free = server._for_shadow("x", asked, "")
    assert free is not None and free.spare and free.served.version == 2
    server.batchers.close()


def test_an_answer_that_breaks_the_schema_is_replaced_by_the_second_models(
    run_server: RunServer, follow: Callable[..., Follower], written: Written
) -> None:
    second = Says(VALID)
    fallback = Served(0, "api", second, PROMPT, 64, SCHEMA)
    with run_server(follow(opened=lambda _: Says("no JSON")), fallback=fallback, journal=written.journal) as address:
        reply = ask(address, "Where is it?")
        free = ask(address, "Say hello.", response_format={"type": "text"})
    assert (text_of(reply), text_of(free), second.asked) == (VALID, "no JSON", ["Ticket: Where is it?"])
    stored = {trace.id: (trace.route, trace.returned, trace.valid) for trace in written.traces}
    assert stored == {
        f"{reply.id}~champion": ("champion", False, False),
        reply.id: ("fallback", True, True),
        free.id: ("champion", True, False),
    }


def test_valid_answers_ask_no_second_model_and_one_that_fails_leaves_the_first_answer(
    run_server: RunServer, follow: Callable[..., Follower], written: Written
) -> None:
    second = Says("", error="out of order")
    fallback = Served(0, "api", second, PROMPT, 64, SCHEMA)
    answers = [VALID, "no JSON"]
    champion = follow(opened=lambda _: Says(answers[0]))
    with run_server(champion, fallback=fallback, journal=written.journal) as address:
        assert text_of(ask(address)) == VALID and second.asked == []
        assert champion.served is not None
        champion.served.engine.text = answers[1]  # type: ignore[attr-defined]
        assert text_of(ask(address)) == "no JSON" and len(second.asked) == 1
    assert [trace.route for trace in written.traces] == ["champion", "champion"]


@pytest.mark.parametrize("first", [Away(""), Stuck(VALID)])
def test_the_second_model_answers_where_the_first_is_away_and_the_failure_still_counts(
    run_server: RunServer, written: Written, first: Says
) -> None:
    fallback = Served(0, "api", Joins(VALID), PROMPT, 64, SCHEMA, price=lambda _: 2.0)
    settings: dict[str, Any] = {"params": ServingParams(timeout_s=1), "journal": written.journal}
    with run_server(priced(first, 0.5), fallback=fallback, **settings) as address:
        reply = ask(address)
        if isinstance(first, Stuck):
            first.go.set()
    assert text_of(reply) == VALID
    stored = {trace.id: (trace.route, trace.returned, trace.failed, trace.cost_usd) for trace in written.traces}
    assert stored == {
        f"{reply.id}~champion": ("champion", False, True, 0.0),
        reply.id: ("fallback", True, False, 2.0),
    }


def test_where_both_models_are_away_the_caller_is_told_so_and_the_first_ones_failure_is_the_answers(
    run_server: RunServer, follow: Callable[..., Follower], written: Written
) -> None:
    fallback = Served(0, "api", Away(""), PROMPT, 64, SCHEMA)
    body = {"model": "triage", "messages": HELLO}
    with run_server(follow(opened=lambda _: Away("")), fallback=fallback, journal=written.journal) as address:
        reply = httpx.post(f"{address}/v1/chat/completions", json=body, timeout=30)
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "unavailable")
    assert [(trace.route, trace.returned, trace.failed) for trace in written.traces] == [("champion", True, True)]


def test_a_request_that_is_to_blame_itself_asks_no_second_model(
    run_server: RunServer, follow: Callable[..., Follower], written: Written
) -> None:
    second = Joins(VALID)
    fallback = Served(0, "api", second, PROMPT, 64, SCHEMA)
    body = {"model": "triage", "messages": HELLO}
    champion = follow(opened=lambda _: Says("", error="too long a prompt"))
    with run_server(champion, fallback=fallback, journal=written.journal) as address:
        reply = httpx.post(f"{address}/v1/chat/completions", json=body, timeout=30)
    assert reply.status_code == 400 and second.asked == []
    assert [(trace.route, trace.failed) for trace in written.traces] == [("champion", True)]


@pytest.mark.parametrize(("confidence", "asks"), [(0.95, False), (0.9, False), (0.4, True), (None, False)])
def test_an_answer_that_the_first_model_is_not_sure_of_is_replaced_and_both_are_paid(
    run_server: RunServer, follow: Callable[..., Follower], written: Written, confidence: float | None, asks: bool
) -> None:
    unsure, other = Says(VALID, confidence=confidence), VALID.replace("true", "false")
    champion = Follower(
        lambda: Version(1, "grpo", "model", "short", Path()),
        lambda _: Served(1, "grpo", unsure, PROMPT, 12, price=lambda usage: 0.5),
        every_s=60,
    )
    fallback = Served(0, "api", Says(other), PROMPT, 64, SCHEMA, price=lambda usage: 2.0)
    with run_server(champion, fallback=fallback, params=UNSURE, journal=written.journal) as address:
        reply = ask(address)
    stored = {trace.id: (trace.text, trace.returned, trace.cost_usd, trace.confidence) for trace in written.traces}
    first = (VALID, not asks, 0.5, confidence)
    assert text_of(reply) == (other if asks else VALID)
    assert stored == (
        {f"{reply.id}~champion": first, reply.id: (other, True, 2.0, None)} if asks else {reply.id: first}
    )


def test_an_unsure_answer_that_obeys_the_schema_is_kept_where_the_second_one_breaks_it(
    run_server: RunServer, follow: Callable[..., Follower], written: Written
) -> None:
    champion = follow(opened=lambda _: Says(VALID, confidence=0.1))
    fallback = Served(0, "api", Says("no JSON"), PROMPT, 64, SCHEMA)
    with run_server(champion, fallback=fallback, params=UNSURE, journal=written.journal) as address:
        reply = ask(address)
    stored = {trace.id: (trace.route, trace.returned) for trace in written.traces}
    assert text_of(reply) == VALID
    assert stored == {reply.id: ("champion", True), f"{reply.id}~fallback": ("fallback", False)}


def test_without_a_canary_that_is_ready_the_champion_answers_all(
    run_server: RunServer, follow: Callable[..., Follower]
) -> None:
    from components.errors import RegistryError

    def none() -> int:
        raise RegistryError("expected a model at models:/triage@canary, found none")

    with run_server(canary=follow(none), params=routed(canary_share=1.0)) as address:
        reply = ask(address)
    assert reply.choices[0].message.content is not None


def test_a_withdrawn_canary_stops_answering_and_one_whose_registry_is_away_does_not() -> None:
    version: list[Version | Exception | None] = [
        Version(2, "grpo", "model", "short", Path()),
        RegistryError("away"),
        None,
    ]

    def find() -> Version | None:
        answer = version[0] if len(version) == 1 else version.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    served: list[int | None] = []
    canary = Follower(find, lambda newest: Served(newest.number, newest.method, Says(VALID), PROMPT, 12), every_s=0.01)
    canary.start()
    ends = time.monotonic() + 20
    while canary.served is not None or not served or len(version) > 1:
        served.append(canary.served.version if canary.served else None)
        assert time.monotonic() < ends
        time.sleep(0.001)
    canary.close()
    assert 2 in served
