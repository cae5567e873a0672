"""Tries at an agent's workload outside of a climb: one shown, and the scorer on trial."""

from dataclasses import replace
from pathlib import Path

from components.data.sources import generated, input_columns
from components.engines import open_engine
from components.errors import ConfigError
from components.evaluation.agent_exploits import agents_without_work, passed_share
from components.opening import PROMPT_FILE
from components.params import AgentParams, EngineParams, GeneratedSource, Workload, load
from components.prompts import Prompt, load_prompt
from components.records import Example, Interval, Message, Record, Score, Trajectory
from components.scorers import build
from components.scorers.protocol import Outcome, score_all
from components.stages.run import PROMPTS, WORKLOADS
from components.tasks import (
    EnginePolicy,
    Policy,
    Replay,
    call_text,
    completion_of,
    demonstrated,
    open_environment,
    roll,
    start_of,
)

BATCH_TOKENS = 8192


class Played(Record):
    """A try and what it is worth; `failure` says why the scorer could not decide."""

    trajectory: Trajectory
    score: Score | None
    failure: str = ""


def played(name: str, case: int, seed: int, model: Path | None) -> Played:
    """A try at one case: by a model, greedily, or by the case's demonstration where there is none.

    A model with a prompt beside it, as rungs leave them, is asked with that one, others with the workload's best told.

    Raises:
        ConfigError: There is no such workload, or it is no agent's.
        EngineError: The folder holds no model that opens, or one whose template knows no tools.
    """
    workload, agent = _workload(name)
    example = _cases(workload, case + 1, seed)[case]
    spec, prompt = open_environment(agent.environment), _prompt(workload, model)
    policy: Policy = Replay({example.id: turns_of(demonstrated(example))})
    if model is not None:
        policy = EnginePolicy(open_engine(EngineParams(batch_tokens=BATCH_TOKENS), model))
    (rolled,) = roll(spec, policy, [start_of(example, prompt.messages(example))], agent.limits)
    scorer = build(workload.scorer, workload.output)
    outcome: Outcome = score_all(scorer, [(example, completion_of(rolled.trajectory))])[0]
    if isinstance(outcome, Score):
        return Played(trajectory=rolled.trajectory, score=outcome)
    return Played(trajectory=rolled.trajectory, score=None, failure=str(outcome))


def certified(name: str, cases: int, seed: int) -> dict[str, Interval]:
    """The share of cases that each agent without work passes.

    Raises:
        ConfigError: There is no such workload, or it is no agent's.
    """
    workload, agent = _workload(name)
    spec, scorer = open_environment(agent.environment), build(workload.scorer, workload.output)
    prompt = _prompt(workload, None)
    asked: list[tuple[Example, list[Message]]] = [
        (example, prompt.messages(example)) for example in _cases(workload, cases, seed)
    ]
    agents = agents_without_work(agent.hand_over, agent.user_turns)
    return {name: passed_share(spec, policy, asked, scorer) for name, policy in agents.items()}


def turns_of(trajectory: Trajectory) -> list[str]:
    """The assistant's turns of a try, with calls as models write them."""
    return [
        message.content + "".join(call_text(call.name, call.arguments) for call in message.tool_calls)
        for message in trajectory.messages
        if message.role == "assistant"
    ]


def _cases(workload: Workload, n: int, seed: int) -> list[Example]:
    """So many tasks of a seed."""
    assert isinstance(workload.source, GeneratedSource)
    return list(generated(workload, workload.source.model_copy(update={"seed": seed}), n))


def _prompt(workload: Workload, model: Path | None) -> Prompt:
    """The prompt beside a model, or the last of the workload's, which says most."""
    columns = input_columns(workload)
    if model is not None and (model / f"{PROMPT_FILE}.md").is_file():
        return replace(load_prompt(model, PROMPT_FILE, columns), name=workload.trained_prompt)
    return load_prompt(PROMPTS / workload.name, workload.prompts[-1], columns)


def _workload(name: str) -> tuple[Workload, AgentParams]:
    known = {path.stem: load(path, Workload) for path in sorted(WORKLOADS.glob("*.yaml"))}
    agents = {key: (one, one.agent) for key, one in known.items() if one.agent is not None}
    if name not in agents:
        raise ConfigError(
            f"expected a workload with a section `agent` ({', '.join(agents)}), found {name} ({WORKLOADS})"
        )
    return agents[name]
