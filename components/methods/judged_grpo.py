"""`judged_grpo`: GRPO rewarded by a judge: by the places of a group's answers, or by marks.

For tasks whose right answer no rule can tell. Before, the judge has to prefer what people prefer, on pairs of theirs;
meanwhile the sealed scorer watches: where what the judge likes rises and the sealed score falls, training stops.
"""

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from components.data.opinions import PREFERENCES
from components.errors import ScorerError, TrainingError
from components.methods.contract import Made
from components.methods.grpo.settings import GrpoParams
from components.methods.grpo.training import train_rl
from components.methods.job import Job
from components.methods.judged_rewards import Gate, Judging, agreement, reward_by
from components.methods.trained import made_of
from components.params import JudgeParams, Settings
from components.records import Example, Interval, Makes, Need, Preference, Score
from components.scorers import score_all
from components.scorers.judge import JudgeScorer
from components.scorers.ranking import RankingJudge
from components.tracking import Tracker
from components.training import Look

UNLIKE_PEOPLE = (
    "expected a judge that surely prefers what people prefer in at least {least:.0%} of pairs (least_agreement), found "
    "{value:.0%} of {n:,}, surely {low:.0%}"
)
log = logging.getLogger(__name__)


class JudgedGrpoParams(GrpoParams):
    """Who judges and how, what has to pass before, how the judge is certified, and GRPO's settings."""

    judge: JudgeParams
    how: Literal["ranking", "rubric"] = Field(
        default="ranking", description="One ranking of a group's answers, or a mark for each."
    )
    gate: Gate = Field(default="schema", description="What does not pass is worth 0 and not shown to the judge.")
    scorer_weight: float = Field(default=0.0, ge=0, lt=1, description="Of the workload's scorer beside the judge.")
    pairs: int = Field(default=200, ge=1, description="Of people's preferences that the judge is tried on, at most.")
    least_pairs: int = Field(default=50, ge=1)
    least_agreement: float = Field(default=0.75, gt=0.5, le=1, description="By the lower end of the interval.")


class JudgedGrpo:
    """GRPO on what a judge prefers."""

    label: ClassVar[str] = "RL (judge)"
    makes: ClassVar[Makes] = "model"
    params: ClassVar[type[Settings]] = JudgedGrpoParams
    inherits: ClassVar[str] = "grpo"

    def needs(self, params: Any) -> frozenset[Need]:
        return frozenset({"reward", "preferences"})

    def make(self, job: Job, params: JudgedGrpoParams, tracker: Tracker) -> Made:
        if job.sealed_scorer is None:
            raise TrainingError("expected a sealed_scorer that watches what the judge rewards, found none")
        judge = RankingJudge(params.judge) if params.how == "ranking" else JudgeScorer(params.judge)
        agreed = certified(job, params, judge)
        by = Judging(judge, params.gate, params.scorer_weight)
        dev = job.dev_sample(params.dev_examples)
        task = replace(job.task(params.dev_examples), score_dev=watched(job, by, dev))
        # A probe would have the judge mark thousands of answers; where two of a group differ, their places do.
        unprobed = params.part(GrpoParams).model_copy(update={"probe_prompts": 0})
        trained = train_rl(task, unprobed, reward_by(job, by, tracker), tracker, job.sample())
        made = made_of(job, trained, params.dev_examples)
        made.metrics.update(judge_agreement=agreed.value, judge_agreement_low=agreed.low)
        return made


def certified(job: Job, params: JudgedGrpoParams, judge: RankingJudge | JudgeScorer) -> Interval:
    """How often the judge prefers what people prefer.

    Raises:
        ScorerError: It decides on none.
        TrainingError: Too few pairs, or too little agreement.
    """
    by_id = {example.id: example for example in job.train}
    pairs = job.feedback(PREFERENCES, Preference)
    distinct = {pair.model_dump_json(): pair for pair in pairs if pair.example_id in by_id}.values()
    known = [(by_id[pair.example_id], pair) for pair in distinct]
    tried = random.Random(job.seed).sample(known, min(params.pairs, len(known)))
    if len(tried) < params.least_pairs:
        raise TrainingError(
            f"expected at least {params.least_pairs} pairs of people's preferences on train to try the judge on "
            f"(least_pairs), found {len(tried)} ({', '.join(map(str, job.feedback_files[PREFERENCES]))})"
        )
    found, n = agreement(judge, tried)
    log.info("%s: the judge prefers what people prefer in %.0f %% of %s pairs.", job.rung, 100 * found.value, n)
    if n < params.least_pairs or found.low < params.least_agreement:
        known_as = {"least": params.least_agreement, "value": found.value, "low": found.low, "n": n}
        raise TrainingError(UNLIKE_PEOPLE.format(**known_as))
    return found


def watched(job: Job, by: Judging, dev: Sequence[Example]) -> Callable[[Any, Any], Look]:
    """A look at a model in training: right answers by the scorer, and what judge and sealed scorer think of each.

    A ranking needs somebody to be ranked with: the answer that the starting model gave.
    """
    assert job.sealed_scorer is not None
    sealed_scorer, ids = job.sealed_scorer, [example.id for example in dev]
    first: list[str] = []
    if isinstance(by.judge, RankingJudge):
        first = [one.text for one in job.open_model(job.model).answer(dev, job.seed).completions]

    def look(model: Any, tokenizer: Any) -> Look:
        answers = job.opened_over(model, tokenizer).answer(dev, job.seed).completions
        pairs = list(zip(dev, answers, strict=True))
        right = [one.passed for one in job.outcomes(pairs) if isinstance(one, Score)]
        return Look(
            score=sum(right) / max(1, len(right)),
            trained=liked(job, by, dev, [one.text for one in answers], first),
            sealed=[one.value if isinstance(one, Score) else None for one in score_all(sealed_scorer, pairs)],
            answers=[one.text for one in answers],
            ids=ids,
            groups=[example.group for example in dev],
        )

    return look


def liked(
    job: Job, by: Judging, dev: Sequence[Example], texts: Sequence[str], first: Sequence[str]
) -> list[float | None]:
    """What the judge makes of each answer: its mark, or its place beside the first one, halfway where equal."""
    if isinstance(by.judge, JudgeScorer):
        return [_value(one) for one in by.outcomes(job, dev, texts)]
    twice = by.outcomes(job, [*dev, *dev], [*texts, *first])
    found: list[float | None] = []
    for at in range(len(dev)):
        value = _value(twice[at])
        if value and texts[at] == first[at]:  # ranked as one, and so both have the best place
            value -= 0.25 * (1 - by.scorer_weight)
        found.append(value)
    return found


def _value(one: Score | ScorerError) -> float | None:
    return one.value if isinstance(one, Score) else None
