"""`judged_grpo`: GRPO rewarded by a judge, by its ranking of a group's answers or by its marks.

For tasks where no rule can tell whether an answer is right. The judge must first agree with people's preferences. While
training, the sealed scorer watches: if the judge's reward rises and the sealed score falls, training stops.
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
from components.methods.feedback import named
from components.methods.grpo.settings import GrpoParams
from components.methods.grpo.training import train_rl
from components.methods.job import NOT_COUNTED, Job
from components.methods.judged_rewards import Gate, Judging, agreement, reward_by
from components.methods.trained import made_of
from components.params import JudgeParams, Settings
from components.records import Example, Interval, Makes, Need, Preference, Score
from components.scorers import Failures
from components.scorers.judge import JudgeScorer, rubric_of
from components.scorers.ranking import RankingJudge
from components.tracking import Tracker
from components.training import Look
from components.training.launch import is_main, once

UNLIKE_PEOPLE = (
    "expected a judge that surely prefers what people prefer in at least {least:.0%} of pairs (least_agreement), found "
    "{value:.0%} of {n:,}, surely {low:.0%}"
)
log = logging.getLogger(__name__)


class JudgedGrpoParams(GrpoParams):
    """Who judges and how, the gate before it, how the judge is certified, and GRPO's settings."""

    judge: JudgeParams
    how: Literal["ranking", "rubric"] = Field(
        default="ranking", description="One ranking of a group's answers, or a mark for each."
    )
    gate: Gate = Field(
        default="schema", description="An answer that does not pass is worth 0 and is not shown to the judge."
    )
    scorer_weight: float = Field(
        default=0.0, ge=0, lt=1, description="The workload's scorer's; the judge's is the rest."
    )
    pairs: int = Field(default=200, ge=1, description="People's preferences that the judge is tried on, at most.")
    least_pairs: int = Field(default=50, ge=1)
    least_agreement: float = Field(default=0.75, gt=0.5, lt=1, description="Compared with the interval's lower end.")


class JudgedGrpo:
    """GRPO towards what a judge prefers."""

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
        agreed = once(lambda: certified(job, params, judge))
        by = Judging(judge, params.gate, params.scorer_weight)
        dev = job.dev_sample(params.dev_examples)
        rewarded_by = "\n".join((job.rewarded_by, params.model_dump_json(), rubric_of(params.judge)))
        task = replace(job.task(params.dev_examples), score_dev=watched(job, by, dev), rewarded_by=rewarded_by)
        # A probe would have the judge rate thousands of answers; different answers in a group rank differently anyway.
        unprobed = params.part(GrpoParams).model_copy(update={"probe_prompts": 0})
        trained = train_rl(task, unprobed, reward_by(job, by, tracker), tracker, job.sample())
        made = made_of(job, trained, params.dev_examples)
        made.metrics.update(judge_agreement=agreed.value, judge_agreement_low=agreed.low)
        return made


def certified(job: Job, params: JudgedGrpoParams, judge: RankingJudge | JudgeScorer) -> Interval:
    """How often the judge agrees with people's preferences.

    Raises:
        ScorerError: It decides on no pair.
        TrainingError: There are too few pairs, or it agrees too rarely.
    """
    by_id = {example.id: example for example in job.train}
    pairs = job.feedback(PREFERENCES, Preference)
    distinct = {pair.model_dump_json(): pair for pair in pairs}.values()
    known = [(example, pair) for pair in distinct if (example := named(pair, by_id)) is not None]
    tried = random.Random(job.seed).sample(known, min(params.pairs, len(known)))
    if len(tried) < params.least_pairs:
        raise TrainingError(
            f"expected at least {params.least_pairs} pairs of people's preferences on train to try the judge on "
            f"(least_pairs), found {len(tried)} ({', '.join(map(str, job.feedback_files[PREFERENCES]))})"
        )
    agreed, n = agreement(judge, tried)
    log.info("%s: the judge prefers what people prefer in %.0f %% of %s pairs.", job.rung, 100 * agreed.value, n)
    if n < params.least_pairs or agreed.low < params.least_agreement:
        known_as = {"least": params.least_agreement, "value": agreed.value, "low": agreed.low, "n": n}
        raise TrainingError(UNLIKE_PEOPLE.format(**known_as))
    return agreed


def watched(job: Job, by: Judging, dev: Sequence[Example]) -> Callable[[Any, Any], Look]:
    """Looks at a model in training: the share of right answers, and the judge's and sealed scorer's value of each.

    A ranking judge compares each answer with the starting model's.
    """
    first: list[str] = []
    if isinstance(by.judge, RankingJudge):
        first = once(lambda: [given.text for given in job.open_model(job.model).answer(dev, job.seed).completions])

    def look(model: Any, tokenizer: Any) -> Look:
        answers = job.opened_over(model, tokenizer).answer(dev, job.seed).completions
        if not is_main():
            return Look(NOT_COUNTED)
        return job.look_at(dev, answers, judged_values(job, by, dev, [answer.text for answer in answers], first))

    return look


def judged_values(
    job: Job, by: Judging, dev: Sequence[Example], texts: Sequence[str], first: Sequence[str]
) -> list[float | None]:
    """The judge's value of each answer: its mark, or its rank against the first answer, halfway if they are equal.

    Raises:
        ScorerError: The judge fails on more than `scorer.max_failed_share`.
    """
    ranked = isinstance(by.judge, RankingJudge)
    outcomes = by.outcomes(job, [*dev, *dev], [*texts, *first]) if ranked else by.outcomes(job, dev, texts)
    Failures(job.workload.scorer.max_failed_share).add(outcomes)
    values = [_value(outcome) for outcome in outcomes[: len(dev)]]
    if not ranked:
        return values
    # Equal texts are ranked as one, so both come first.
    return [
        value - 0.25 * (1 - by.scorer_weight) if value and text == was else value
        for value, text, was in zip(values, texts, first, strict=True)
    ]


def _value(outcome: Score | ScorerError) -> float | None:
    return outcome.value if isinstance(outcome, Score) else None
