"""From requests of an agent to trajectories: a server, its journal, its lake, and the commands that read it."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from transformers import AutoTokenizer
from typer.testing import CliRunner

from components.data.trajectories import read_trajectories
from components.engines.transformers_engine import TransformersEngine
from components.records import Message, ToolCall, Trace, Usage
from components.serving import Journal, Outlet
from components.training.encode import encode_trajectories
from flows.cli import app
from monitoring.lake import Lake
from tests.components.serving.conftest import running
from tests.components.serving.test_agents import FORM, SPEC, Agent, served, short
from tests.flows.conftest import ROOT, save_tiny_model, wait_until

run = CliRunner().invoke


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def lake(folder: Path) -> Iterator[Lake]:
    """What two conversations with a running server left: one that its agent scored, one that was given up."""
    from components.workloads.desk import cases

    save_tiny_model(folder / "model")
    lake = Lake(folder / "state" / "lake")
    server = served(TransformersEngine.open(folder / "model", 8192, "fp32"))
    outlet = Outlet(folder / "state" / "spool", lake.store, every_s=0.05)
    server.journal = Journal("desk", {"type": "object"}, outlet)
    tools = tuple(map(short, SPEC.tools))
    with running(server) as address:
        asked: dict[str, Any] = {"parallel_tool_calls": False, "response_format": FORM}
        first, second = cases(2, 7)
        Agent(address, tools, 5, tool_choice="required", **asked).solve(first)
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
        agent = Agent(address, tools, tool_choice="none", user="second", **asked)
        agent.solve(second)
        body = {"id": agent.last, "score": 1.0}
        client.post("/feedback", body=body, cast_to=object)
        wait_until(lambda: len(lake.read(Trace, "desk")) == 9)
    yield lake


def test_conversations_of_the_server_become_tries_that_can_be_trained_on(
    lake: Lake, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    reported = run(app, ["agent", "harvest", "desk", "--to", "tries.jsonl"])
    assert reported.exit_code == 0, reported.output
    assert "2 of 2 conversations with 9 turns of desk: tries.jsonl" in reported.output
    called, talked = sorted(read_trajectories(Path("tries.jsonl")), key=lambda each: -each.tool_calls)
    assert (called.turns, called.tool_calls, called.stop_reason, called.reward) == (5, 4, "imported", None)
    assert (talked.turns, talked.tool_calls, talked.stop_reason, talked.reward) == (4, 0, "completed", 1.0)
    assert {tool.name for tool in called.tools} == {tool.name for tool in SPEC.tools}
    assert "@mail.example" not in json.dumps([each.model_dump() for each in (called, talked)])
    tokenizer: Any = AutoTokenizer.from_pretrained(ROOT / "models" / "nano")
    for row, trajectory in zip(encode_trajectories(tokenizer, [called, talked], 4096), (called, talked), strict=True):
        trained = tokenizer.decode([id for id, own in zip(row.ids, row.sampled, strict=True) if own])
        assert trained.count("<|im_end|>") == trajectory.turns
    assert run(app, ["agent", "harvest", "desk", "--to", "right.jsonl", "--least", "1"]).exit_code == 0
    assert [trajectory.reward for trajectory in read_trajectories(Path("right.jsonl"))] == [1.0]


def test_a_conversation_without_its_tools_schemas_is_left_out_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    called = Message(role="assistant", content="", tool_calls=(ToolCall(id="x", name="look", arguments="{}"),))
    trace = Trace(
        id="chatcmpl-7", at=time.time() - 5, workload="desk", version=1, method="sft", text="It is sent.",
        messages=(Message(role="user", content="?"), called, Message(role="tool", content="3", tool_call_id="x")),
        finish_reason="stop", usage=Usage(input_tokens=1, output_tokens=1), latency_ms=1.0, valid=True,
    )  # fmt: skip
    Lake(tmp_path / "state" / "lake").store("s", [trace.model_dump_json()])
    reported = run(app, ["agent", "harvest", "desk", "--to", "tries.jsonl"])
    assert "found none of 'look' (chatcmpl-7#0)" in re.sub(r"\s+", " ", reported.output)
    assert "0 of 1 conversations" in reported.output and Path("tries.jsonl").read_text(encoding="utf-8") == ""
