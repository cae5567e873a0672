"""An agent written with the official client against a server that runs, beside the loop that rolls tries out."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openai
import pytest

from components.engines import Calls, Engine, Sampling
from components.engines.transformers_engine import Continuation, Continued, TransformersEngine
from components.params import Limits
from components.records import Example, Tool
from components.registry import Version
from components.scorers import build
from components.scorers.protocol import score_all
from components.serving import Follower, Served, Server
from components.tasks import (
    EnginePolicy,
    EnvironmentSpec,
    Replay,
    Rolled,
    completion_of,
    open_environment,
    roll,
    start_of,
)
from components.workloads.desk import Desk, cases, demonstrated
from tests.components.serving.conftest import running
from tests.components.workloads.desk_settings import PROMPT, WORKLOAD
from tests.flows.conftest import ROOT

SPEC = open_environment("components.workloads.desk:Desk")
TURN_TOKENS = 96


class Agent:
    """As users write one: it asks, carries out calls, and asks again."""

    def __init__(self, address: str, tools: Sequence[Tool], turns: int = 12, **asked: Any) -> None:
        self._client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
        self.last = ""  # the id of the last answer
        self._turns = turns
        self._asked: dict[str, Any] = {**asked, "tools": [tool.openai for tool in tools]}

    def solve(self, example: Example) -> tuple[list[Any], list[tuple[int, int]], dict[str, Any]]:
        """The messages of a try, the tokens read and written at each turn, and the state that is left."""
        desk = Desk()
        desk.reset(**example.input, **example.evidence)
        messages: list[Any] = [message.openai for message in PROMPT.messages(example)]
        tokens: list[tuple[int, int]] = []
        while len(tokens) < self._turns:
            reply = self._client.chat.completions.create(
                model="desk", messages=messages, max_tokens=TURN_TOKENS, **self._asked
            )
            assert reply.usage is not None
            tokens.append((reply.usage.prompt_tokens, reply.usage.completion_tokens))
            message, self.last = reply.choices[0].message, reply.id
            messages.append(message.model_dump(exclude_none=True))
            if reply.choices[0].finish_reason == "length":
                break
            for call in message.tool_calls or ():
                messages.append({"role": "tool", "tool_call_id": call.id, "content": called(desk, call.function)})
            if not message.tool_calls:
                said = desk._user(messages)
                if said is None:
                    break
                messages.append({"role": "user", "content": said})
        return messages, tokens, desk._state()


def called(desk: Desk, function: Any) -> str:
    try:
        return str(getattr(desk, function.name)(**json.loads(function.arguments)))
    except (LookupError, ValueError) as error:
        return json.dumps({"error": f"{type(error).__name__}: {error}"})


def served(engine: Engine) -> Server:
    version = Version(1, "sft", "model", "desk", Path())
    follower = Follower(lambda: version, lambda _: Served(1, "sft", engine, PROMPT, TURN_TOKENS), every_s=1)
    return Server("desk", follower)


def flat(messages: Sequence[Any]) -> list[Any]:
    """Messages without the ids of calls, and a text for null."""
    return [
        (message["role"], message.get("content") or "", [call["function"] for call in message.get("tool_calls") or ()])
        for message in messages
    ]


def tokens_of(rolled: Rolled) -> list[tuple[int, int]]:
    """The tokens read and written at each turn of the loop's."""
    dialogue, tokens = rolled.dialogue, list[tuple[int, int]]()
    edges = [0, *dialogue.mask, 0]
    for at in range(1, len(edges)):
        if edges[at] > edges[at - 1]:
            tokens.append((dialogue.prompt_tokens + at - 1, edges.index(0, at) - at))
    return tokens


class Held:
    """A local engine whose continuations are held to calls, as a server's turns are."""

    calls_tools = True

    def __init__(self, engine: TransformersEngine, calls: Calls) -> None:
        self.tokenizer, self.ends, self.chat, self.context = (
            engine.tokenizer, engine.ends, engine.chat, engine.context
        )  # fmt: skip
        self._engine, self._calls = engine, calls

    def extend(self, asked: Sequence[Continuation], sampling: Sampling) -> list[Continued]:
        held = {"calls": self._calls, "answer_schema": ANSWERS}
        return self._engine.extend(asked, sampling.model_copy(update=held))


PATTERNS = {"order_id": "^W[0-9]{4}$", "email": "^[a-z]{3}@mail[.]example$", "address": "^[A-Z][a-z]{3}$"}


def short(tool: Tool) -> Tool:
    """A tool whose arguments a model of random weights can end."""
    fields: dict[str, Any] = {
        name: {"enum": [1, 22.5]}
        if name == "amount"
        else field | ({"pattern": PATTERNS[name]} if name in PATTERNS else {})
        for name, field in tool.parameters["properties"].items()
    }
    return tool.model_copy(update={"parameters": {**tool.parameters, "properties": fields}})


ANSWERS: dict[str, Any] = {"enum": ["Which order?", "Done for W1000.", "No."]}
FORM = {"type": "json_schema", "json_schema": {"name": "answer", "schema": ANSWERS}}


@pytest.mark.parametrize(("choice", "ends"), [("required", "max_turns"), ("none", "completed")])
def test_an_agent_against_the_server_says_what_the_loop_says_token_for_token(
    engine: Any, choice: str, ends: str
) -> None:
    (example,) = cases(1, 7)
    spec = EnvironmentSpec(Desk, tuple(map(short, SPEC.tools)))
    names = tuple(tool.name for tool in spec.tools)
    calling: dict[str, Any] = {"names": names, "least": 1, "most": 1} if choice == "required" else {"most": 0}
    held = Held(engine, Calls(tools=spec.tools, **calling))
    limits = Limits(turns=5, turn_tokens=TURN_TOKENS, trajectory_tokens=4096)
    (rolled,) = roll(spec, EnginePolicy(held), [start_of(example, PROMPT.messages(example))], limits)
    assert (rolled.trajectory.stop_reason, rolled.trajectory.tool_errors) == (ends, 0)
    with running(served(engine)) as address:
        asked = {"tool_choice": choice, "parallel_tool_calls": False, "response_format": FORM}
        messages, tokens, state = Agent(address, spec.tools, 5, **asked).solve(example)
    assert flat(messages) == flat([message.openai for message in rolled.trajectory.messages])
    assert tokens == tokens_of(rolled)
    assert state == rolled.trajectory.final_state


def learnt_by_heart(folder: Path, examples: Sequence[Example]) -> None:
    """Nano after some steps on nothing but the demonstrations of these cases."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from components.training.encode import encode_trajectories

    starts = [start_of(example, PROMPT.messages(example)) for example in examples]
    tries = [rolled.trajectory for rolled in roll(SPEC, Replay(demonstrated(examples)), starts, Limits())]
    nano = ROOT / "models" / "nano"
    tokenizer: Any = AutoTokenizer.from_pretrained(nano)
    model: Any = AutoModelForCausalLM.from_pretrained(nano, dtype=torch.float32)
    rows = encode_trajectories(tokenizer, tries, 2048)
    longest = max(len(row.ids) for row in rows)
    ids = torch.tensor([[*row.input_ids, *[0] * (longest - len(row.ids))] for row in rows])
    labels = torch.tensor([[*row.labels, *[-100] * (longest - len(row.ids))] for row in rows])
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.0)
    for _ in range(60):
        loss = model(input_ids=ids, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if loss.item() < 0.02:
            break
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.mark.slow
def test_nano_solves_cases_of_the_desk_for_an_agent_as_in_the_loop(tmp_path: Path) -> None:
    right = [
        example
        for example in cases(40, 7)
        if example.slices["demonstration"] == "right" and example.slices["intent"] != "status"
    ]
    examples = [next(example for example in right if example.slices["end"] == end) for end in ("act", "refuse")]
    learnt_by_heart(tmp_path / "model", examples)
    engine = TransformersEngine.open(tmp_path / "model", 8192, "fp32")
    starts = [start_of(example, PROMPT.messages(example)) for example in examples]
    tries = roll(SPEC, EnginePolicy(engine), starts, Limits(turn_tokens=TURN_TOKENS))  # free, as models are trained
    scorer = build(WORKLOAD.scorer, WORKLOAD.output)
    scores = score_all(
        scorer, [(example, completion_of(rolled.trajectory)) for example, rolled in zip(examples, tries, strict=True)]
    )
    assert [getattr(score, "passed", score) for score in scores] == [True] * 2
    with running(served(engine)) as address:
        for example, rolled in zip(examples, tries, strict=True):
            messages, tokens, state = Agent(address, SPEC.tools).solve(example)
            assert flat(messages) == flat([message.openai for message in rolled.trajectory.messages])
            assert tokens == tokens_of(rolled)
            assert state == rolled.trajectory.final_state
