"""What a caller asks for in its own way: it spoils no other's answer, and counts neither for nor against a version."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openai
import pytest

from components.engines import ChatRequest, Sampling
from components.errors import EngineError
from components.opening import ClassifierEngine
from components.params import LabellingParams, RoutingParams, ServingParams
from components.records import Completion, Example, Message, Trace, Usage
from components.registry import Version
from components.serving import Follower, Journal, Outlet, Served, Server
from monitoring.labelling import drawn
from monitoring.lake import ALWAYS, Lake
from monitoring.windows import Stream, current_window
from tests.components.serving.conftest import running
from tests.components.serving.test_app import SCHEMA, ask
from tests.flows.conftest import wait_until

RunServer = Callable[..., Any]
VALID = '{"intent": "refund", "late": true}'
TOOLS: Any = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]


class Reads:
    """A classifier of two columns."""

    columns = ("subject", "body")

    def predict(self, examples: Sequence[Example]) -> list[Completion]:
        return [Completion.of_text(example.id, example.input["subject"]) for example in examples]


def classifier() -> ClassifierEngine:
    reads: Any = Reads()
    return ClassifierEngine(reads)


def asked(name: str, content: str) -> ChatRequest:
    return ChatRequest(name, [Message(role="user", content=content)])


def test_a_message_that_a_classifier_cannot_read_spoils_no_other_request_of_its_batch() -> None:
    batch = [asked(name, json.dumps({"subject": name, "body": "b"})) for name in "ab"]
    answers = classifier().generate([batch[0], asked("bad", "my machine is broken"), batch[1]], Sampling(n=2))
    assert [answer.text for answer in answers] == ["a", "a", "", "", "b", "b"]
    assert [answer.example_id for answer in answers if answer.error] == ["bad", "bad"]
    assert answers[2].error == "expected a JSON object with subject, body as user message"


def test_a_conversation_that_a_classifier_cannot_read_is_its_callers_fault() -> None:
    follower = Follower(
        lambda: Version(1, "linear", "classifier", "", Path()),
        lambda version: Served(1, "linear", classifier(), None, 16, inputs=Reads.columns), every_s=0.1,
    )  # fmt: skip
    turns: Any = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "my machine is broken"}]
    with running(Server("triage", follower)) as address:
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
        with pytest.raises(openai.BadRequestError, match="expected a JSON object with subject, body"):
            client.chat.completions.create(model="triage", messages=turns)


class Obeys:
    """An engine that gives the form that is asked for, up to a limit of four tokens of text."""

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        if sampling.answer_schema is not None and "not" in sampling.answer_schema:
            raise EngineError("expected a schema that can be held to")
        text = VALID if sampling.answer_schema in (None, {"type": "object"}, SCHEMA) else '{"mood": "angry"}'
        cut, usage = sampling.max_new_tokens < 4, Usage(input_tokens=3, output_tokens=4)
        return [
            Completion(
                example_id=request.example_id, text=text[:4] if cut else text, usage=usage, latency_ms=1.0,
                finish_reason="length" if cut else "stop",
            )
            for request in requests
        ]  # fmt: skip


def form(schema: dict[str, Any]) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}}


MOOD = form({"type": "object", "properties": {"mood": {"type": "string"}}})
USUAL: list[dict[str, Any]] = [
    {},
    form(SCHEMA),
    {"response_format": {"type": "json_object"}},
    {"max_tokens": 11},
    {"temperature": 0.7},
]
OWN: list[dict[str, Any]] = [MOOD, form({"not": {}}), {"stop": ","}, {"max_tokens": 3}]


def test_answers_in_a_callers_own_form_count_neither_for_nor_against_a_version(
    run_server: RunServer, follow: Callable[..., Follower], tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake")
    journal = Journal("triage", SCHEMA, Outlet(tmp_path / "spool", lake.store, every_s=60))
    with run_server(follow(lambda: 1, lambda _: Obeys()), journal=journal) as address:
        for extra in USUAL:
            ask(address, **extra)
        for extra in OWN:
            try:
                ask(address, **extra)
            except openai.BadRequestError:
                assert extra == form({"not": {}})
    traces = lake.read(Trace, "triage")
    assert [bool(trace.input) for trace in traces] == [True] * len(USUAL) + [False] * len(OWN)
    assert [valid for _, valid in lake.outcomes("triage", 1, ALWAYS)] == [True] * len(USUAL)
    window = current_window(Stream(lake, "triage", 1, LabellingParams(share=1)), ALWAYS, 100)
    assert [row.valid for row in window.observations] == [True] * len(USUAL)
    assert len(drawn(lake, "triage", 1.0, ALWAYS)) == len(USUAL)


class Calls(Obeys):
    """One that may call tools."""

    calls_tools = True

    def stream(self, requests: list[ChatRequest], sampling: Sampling, listeners: Any) -> list[Completion]:
        return self.generate(requests, sampling)


def test_the_champion_answers_what_the_canary_cannot_take(
    run_server: RunServer, follow: Callable[..., Follower], tmp_path: Path
) -> None:
    champion, canary = follow(lambda: 1, lambda _: Calls()), follow(lambda: 2, lambda _: Obeys())
    lake = Lake(tmp_path / "lake")
    journal = Journal("triage", SCHEMA, Outlet(tmp_path / "spool", lake.store, every_s=60))
    params = ServingParams(routing=RoutingParams(canary_share=1.0))
    with run_server(champion, canary=canary, params=params, journal=journal) as address:
        wait_until(lambda: canary.served, most_s=20)
        ask(address)
        ask(address, tools=TOOLS)
        with pytest.raises(openai.BadRequestError, match="expected response_format"):
            ask(address, response_format={"type": "json_schema"})  # which neither can take
    assert [(trace.version, trace.route) for trace in lake.read(Trace, "triage")] == [(2, "canary"), (1, "champion")]
