"""Tries at embedded workloads of agents: one shown, and the scorer on trial."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.errors import ConfigError
from components.evaluation.agent_exploits import agents_without_work, passed_share
from components.params import Limits
from components.records import Interval, Record, Score, Trajectory
from components.scorers import build
from components.scorers.protocol import Outcome, score_all
from components.tasks import EnginePolicy, Policy, Replay, completion_of, open_environment, roll, start_of

# Name → module with what `components.workloads.desk` has.
WORKLOADS = {"desk": "components.workloads.desk"}
BATCH_TOKENS = 8192
_SCHEMA: Mapping[str, Any] = {"type": "object", "properties": {"answer": {"type": "string"}}}


class Played(Record):
    """A try and what it is worth; `failure` says why the scorer could not decide."""

    trajectory: Trajectory
    score: Score | None
    failure: str = ""


def played(name: str, case: int, seed: int, model: Path | None) -> Played:
    """A try at one case: by a model, greedily, or by the case's demonstration where there is none.

    Raises:
        ConfigError: There is no such workload.
        EngineError: The folder holds no model that opens, or one whose template knows no tools.
    """
    workload = _workload(name)
    example = workload.generate(case + 1, seed)[case]
    params = workload.scorer_params()
    spec = open_environment(params.trajectory.environment)
    policy: Policy = Replay(workload.demonstrated([example]))
    if model is not None:
        from components.engines.transformers_engine import TransformersEngine

        policy = EnginePolicy(TransformersEngine.open(model, BATCH_TOKENS))
    (rolled,) = roll(spec, policy, [start_of(example, workload.PROMPT.messages(example))], Limits())
    outcome: Outcome = score_all(build(params, _SCHEMA), [(example, completion_of(rolled.trajectory))])[0]
    if isinstance(outcome, Score):
        return Played(trajectory=rolled.trajectory, score=outcome)
    return Played(trajectory=rolled.trajectory, score=None, failure=str(outcome))


def certified(name: str, cases: int, seed: int) -> dict[str, Interval]:
    """The share of cases that each agent without work passes.

    Raises:
        ConfigError: There is no such workload.
    """
    workload = _workload(name)
    params = workload.scorer_params()
    spec, scorer = open_environment(params.trajectory.environment), build(params, _SCHEMA)
    asked = [(example, workload.PROMPT.messages(example)) for example in workload.generate(cases, seed)]
    agents = agents_without_work(workload.HAND_OVER, workload.USER_TURNS)
    return {agent: passed_share(spec, policy, asked, scorer) for agent, policy in agents.items()}


def _workload(name: str) -> Any:
    if name not in WORKLOADS:
        raise ConfigError(f"expected a workload of agents ({', '.join(WORKLOADS)}), found {name}")
    return importlib.import_module(WORKLOADS[name])
