"""The workload's scorers for stages, opened once in a process."""

import json
from collections.abc import Sequence
from functools import lru_cache

from components.evaluation import Scores, by_example
from components.params import AgentParams, ScorerParams
from components.records import Completion, Example
from components.scorers import Failures, Scorer, build, score_all, scores_of
from components.stages.run import Run


def scorer(run: Run) -> Scorer:
    """The workload's scorer."""
    return _of(run, run.workload.scorer)


def sealed_scorer(run: Run) -> Scorer | None:
    """The scorer that watches RL and never rewards it; None if the workload has none."""
    params = run.workload.sealed_scorer
    return None if params is None else _of(run, params)


def _of(run: Run, params: ScorerParams) -> Scorer:
    agent = run.workload.agent
    told = None if agent is None else agent.model_dump_json()
    return _opened(params.model_dump_json(), json.dumps(run.workload.output), told)


@lru_cache(maxsize=8)  # databases, sandboxes and connections stay open while the process lasts
def _opened(params: str, schema: str, agent: str | None) -> Scorer:
    known = None if agent is None else AgentParams.model_validate_json(agent)
    return build(ScorerParams.model_validate_json(params), json.loads(schema), known)


def score(run: Run, examples: Sequence[Example], completions: Sequence[Completion]) -> Scores:
    """Example id → score, in the order of the examples; those that the scorer fails on are left out.

    Raises:
        ScorerError: It fails on more than `scorer.max_failed_share`.
    """
    answers = by_example(examples, completions)
    outcomes = score_all(scorer(run), [(example, answers[example.id]) for example in examples])
    Failures(run.workload.scorer.max_failed_share).add(outcomes)
    return scores_of([example.id for example in examples], outcomes)
