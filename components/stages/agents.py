"""An agent's tries outside of a climb: one to look at, and those of the scorer's certificate."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from components.data.sources import generated, input_columns
from components.engines import open_engine
from components.errors import ConfigError
from components.evaluation.certificate import Exploit
from components.evaluation.certify import Clerk
from components.evaluation.certify_tries import TryTrial, tricks
from components.opening import PROMPT_FILE
from components.params import AgentParams, EngineParams, GeneratedSource, Workload, load_named
from components.prompts import Prompt, load_prompt
from components.records import Example, Record, Score, Trajectory
from components.scorers import Failures, Outcome, Pair, build, score_all
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
    """A try and its score; `failure` says why there is no score."""

    trajectory: Trajectory
    score: Score | None
    failure: str = ""


def played(name: str, case: int, seed: int, model: Path | None) -> Played:
    """A try at one case: by a model, greedily, or without one by replaying the case's demonstration.

    A model folder with a prompt in it, such as a rung's, is asked with that prompt, others with the workload's last.

    Raises:
        ConfigError: There is no such workload, or it is no agent's.
        EngineError: The folder holds no model that opens, or its chat template does not support tools.
    """
    workload, agent = _workload(name)
    example = _cases(workload, case + 1, seed)[case]
    spec, prompt = open_environment(agent.environment), _prompt(workload, model)
    policy: Policy = Replay({example.id: turns_of(demonstrated(example))})
    if model is not None:
        policy = EnginePolicy(open_engine(EngineParams(batch_tokens=BATCH_TOKENS), model))
    (rolled,) = roll(spec, policy, [start_of(example, prompt.messages(example))], agent.limits)
    scorer = build(workload.scorer, workload.output, agent)
    outcome = score_all(scorer, [(example, completion_of(rolled.trajectory))])[0]
    if isinstance(outcome, Score):
        return Played(trajectory=rolled.trajectory, score=outcome)
    return Played(trajectory=rolled.trajectory, score=None, failure=str(outcome))


def certified(name: str, cases: int, seed: int) -> dict[str, Exploit]:
    """What each agent that does no work earns, and the share of cases that it passes, as in the certificate.

    Raises:
        ConfigError: There is no such workload, or it is no agent's.
        ScorerError: The scorer fails on more than `scorer.max_failed_share`.
    """
    workload, agent = _workload(name)
    scorer, failures = build(workload.scorer, workload.output, agent), Failures(workload.scorer.max_failed_share)

    def judge(pairs: Sequence[Pair]) -> list[Outcome]:
        outcomes = score_all(scorer, pairs)
        failures.add(outcomes)
        return outcomes

    trial = TryTrial(name, agent, _cases(workload, cases, seed), _prompt(workload, None).messages, probes=cases)
    return tricks(trial, Clerk(judge))


def turns_of(trajectory: Trajectory) -> list[str]:
    """The assistant's turns of a try, with calls in the models' format."""
    return [
        message.content + "".join(call_text(call.name, call.arguments) for call in message.tool_calls)
        for message in trajectory.messages
        if message.role == "assistant"
    ]


def _cases(workload: Workload, n: int, seed: int) -> list[Example]:
    """The first `n` tasks of a seed."""
    assert isinstance(workload.source, GeneratedSource)
    return list(generated(workload, workload.source.model_copy(update={"seed": seed}), n))


def _prompt(workload: Workload, model: Path | None) -> Prompt:
    """The prompt in the model's folder, or the workload's last one, which is the most detailed."""
    columns = input_columns(workload)
    if model is not None and (model / f"{PROMPT_FILE}.md").is_file():
        return replace(load_prompt(model, PROMPT_FILE, columns), name=workload.trained_prompt)
    return load_prompt(PROMPTS / workload.name, workload.prompts[-1], columns)


def _workload(name: str) -> tuple[Workload, AgentParams]:
    path = WORKLOADS / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in WORKLOADS.glob("*.yaml")))
        raise ConfigError(f"expected one of {known}, found {name} ({WORKLOADS})")
    workload = load_named(path, Workload)
    if workload.agent is None:
        raise ConfigError(f"expected a workload with a section `agent`, found none ({path})")
    return workload, workload.agent
