"""Stages for agents: the names of tries, their price, and how the gate compares them."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from components.engines.chat import Chat
from components.engines.transformers_engine import Continued
from components.errors import ConfigError, EngineError, ScorerError
from components.opening import Opened
from components.records import Completion, Example, Message, Score, Tool, ToolCall, Trajectory, Usage
from components.stages.advise import advise_run
from components.stages.agents import certified
from components.stages.climb import contender
from components.stages.evaluate import characters
from components.stages.graph import nodes
from components.stages.run import Run
from components.tasks import attempted
from components.tracking import NullTracker
from components.workloads.desk import cases
from tests.components.workloads.desk_settings import SHORT as PROMPT
from tests.components.workloads.desk_settings import WORKLOAD as DESK

ROOT = Path(__file__).resolve().parents[3]


class Curt:
    """An engine that always gives one answer, and notes how it was sampled."""

    calls_tools = True

    def __init__(self) -> None:
        from transformers import AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(ROOT / "models/nano")
        self.chat, self.context, self.ends = Chat(self.tokenizer), 2048, frozenset([self.tokenizer.eos_token_id])
        self.drawn: list[tuple[str, int, float]] = []

    def extend(self, asked: Any, sampling: Any) -> list[Continued]:
        self.drawn += [(each.name, each.sample, sampling.temperature) for each in asked]
        ids = [*self.tokenizer("Done.", add_special_tokens=False)["input_ids"], *self.ends]
        return [Continued(ids, [0.0] * len(ids), "stop", 1.0) for _ in asked]


@pytest.fixture(scope="module")
def curt() -> Curt:
    return Curt()


def opened(engine: Any) -> Opened:
    return Opened(engine, ("message",), 96, PROMPT, agent=DESK.agent)


def test_each_trial_of_a_task_is_a_try_of_its_own_drawn_as_the_settings_say(curt: Curt) -> None:
    examples = cases(2, 5)
    curt.drawn.clear()
    answers = opened(curt).attempt(examples, seed=1, trials=3).completions
    assert [answer.example_id for answer in answers] == [each.id for each in attempted(examples, 3)]
    tries = [answer.trajectory for answer in answers]
    assert [(attempt.example_id, attempt.trial) for attempt in tries if attempt] == [
        (e.id, t) for e in examples for t in range(3)
    ]
    assert {(sample, temperature) for _, sample, temperature in curt.drawn} == {(t, 0.7) for t in range(3)}
    assert {answer.text for answer in answers} == {"Done."} and {answer.finish_reason for answer in answers} == {"stop"}


def test_an_answer_of_an_agent_is_one_greedy_try_and_a_single_trial_has_the_task_s_name(curt: Curt) -> None:
    examples = cases(2, 5)
    curt.drawn.clear()
    answers = opened(curt).answer(examples, seed=1).completions
    assert {temperature for *_, temperature in curt.drawn} == {0.0}
    assert [answer.example_id for answer in answers] == [example.id for example in examples]
    single = opened(curt).attempt(examples, seed=1, trials=1).completions
    assert [each.example_id for each in single] == [example.id for example in examples]


def test_an_api_as_agent_is_refused() -> None:
    with pytest.raises(EngineError, match="expected an agent to be a model of this process"):
        opened(SimpleNamespace()).answer(cases(1, 5), seed=1)


def test_each_turn_of_a_priced_try_is_sent_the_tools_and_all_that_stands_before_it() -> None:
    tool = Tool(name="ring", parameters={})
    call = ToolCall(id="call_0", name="ring", arguments="{}")
    messages = (
        Message(role="user", content="12345"),
        Message(role="assistant", content="", tool_calls=(call,)),
        Message(role="tool", content="123", tool_call_id="call_0"),
        Message(role="assistant", content="1234567"),
    )
    usage = Usage(input_tokens=0, output_tokens=0)
    attempt = Trajectory(
        id="a#0", example_id="a", messages=messages, tools=(tool,), stop_reason="completed", usage=usage
    )
    tools = len(tool.model_dump_json())
    assert characters(attempt) == ((tools + 5) + (tools + 5 + 6 + 3), 6 + 7)


def test_the_gate_distinguishes_undecided_tries_by_their_whole_trajectories(curt: Curt) -> None:
    from components.records import Judged

    (answer,) = opened(curt).answer(cases(1, 5), seed=1).completions
    reported = contender(
        "sft", [answer], [Judged(example_id=answer.example_id, valid=True, score=None, failure="away")]
    )
    assert reported.undecided == {answer.example_id: answer.given} and answer.given != answer.text


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(ROOT)
    return Run.of("desk", "nano")


def test_a_first_look_tries_each_task_once_and_a_climb_as_often_as_is_set(run: Run) -> None:
    assert DESK.agent is not None
    assert (run.trials, Run.of("desk", "nano", "quick").trials) == (DESK.agent.trials, 1)
    assert Run.of("triage", "nano").trials == 1


def test_advice_refuses_agents(run: Run) -> None:
    with pytest.raises(ConfigError, match=r"found an agent's \(desk\)"):
        advise_run(run, NullTracker(), run.advice)


def test_a_tool_that_no_environment_has_is_refused_before_anything_runs(run: Run) -> None:
    agent = DESK.agent
    assert agent is not None
    from dataclasses import replace

    wrong = replace(run, workload=DESK.model_copy(update={"agent": agent.model_copy(update={"hand_over": "fly"})}))
    with pytest.raises(ConfigError, match=r"agent\.hand_over: expected one of cancel_order, .*, found fly"):
        wrong.refuse_agent()


def test_a_stage_depends_on_the_files_that_an_mcp_server_s_command_names() -> None:
    run, server = Run.load("desk-nano-quick"), "tests/components/tasks/mcp_server.py"
    assert run.workload.agent is not None
    agent = run.workload.agent.model_copy(update={"environment": f"mcp:/usr/bin/env python {server} 9000"})
    served = replace(run, workload=run.workload.model_copy(update={"agent": agent}))
    answers = next(node for node in nodes(served) if node.name.startswith("answer-"))
    assert {server, "components/tasks"} <= set(answers.deps)
    assert not [dep for dep in answers.deps if dep.startswith("/") or "9000" in dep]


class Doubtful:
    """A scorer that notes how tries ended, and fails."""

    ended: ClassVar[list[str]] = []

    def __init__(self, schema: Any) -> None: ...

    def score(self, example: Example, completion: Completion) -> Score:
        assert completion.trajectory is not None
        self.ended.append(completion.trajectory.stop_reason)
        raise ScorerError("away")


def test_agents_without_work_are_tried_within_the_workload_s_limits_and_by_a_scorer_that_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = (ROOT / "params/workloads/desk.yaml").read_text(encoding="utf-8")
    scorer = "scorer:\n  weighted: {tests.components.stages.test_agents:Doubtful: 1.0}\n"
    short = settings.replace("turns: 10", "turns: 1").replace("scorer:\n  weighted: {final", f"{scorer}  # {{final", 1)
    (tmp_path / "desk.yaml").write_text(short, encoding="utf-8")
    monkeypatch.setattr("components.stages.agents.WORKLOADS", tmp_path)
    with pytest.raises(ScorerError, match="fails on at most"):
        certified("desk", 3, 0)
    assert Doubtful.ended == ["max_turns"] * 3
