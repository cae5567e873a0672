"""What a judge took during a stage: verdicts, tokens and money, told to the record of runs."""

import logging

from components.errors import ConfigError
from components.scorers import Scorer
from components.scorers.judge import JudgeScorer
from components.scorers.weighted import WeightedScorer
from components.stages.answers import scorer, sealed_scorer
from components.stages.run import Run
from components.tracking import Tracker

log = logging.getLogger(__name__)


def tell_judge(run: Run, tracker: Tracker) -> float:
    """Record what the workload's judges took in this process; returns US dollars, 0 for a judge without a price."""
    asked = [run.workload.scorer, run.workload.sealed_scorer]
    if not any(params is not None and "judge" in params.weighted for params in asked):
        return 0.0
    found = [judge for one in (scorer(run), sealed_scorer(run)) if one is not None for judge in judges(one)]
    spent = [one for judge in found for one in judge.spent]
    cost = sum(judge_usd(run, judge) for judge in found)
    numbers = {
        "judge/verdicts": sum(one.asked for one in spent),
        "judge/remembered": sum(one.remembered for one in spent),
        "judge/input_tokens": sum(one.input_tokens for one in spent),
        "judge/output_tokens": sum(one.output_tokens for one in spent),
        "judge/usd": cost,
    }
    tracker.metrics({name: float(value) for name, value in numbers.items()})
    verdicts, remembered = numbers["judge/verdicts"], numbers["judge/remembered"]
    log.info("The judge gave %s verdicts for $%.4f; %s were remembered.", f"{verdicts:,}", cost, f"{remembered:,}")
    return cost


def judges(scorer: Scorer) -> list[JudgeScorer]:
    """The judges among the scorers of a weighted one."""
    members = scorer.members.values() if isinstance(scorer, WeightedScorer) else (scorer,)
    return [one for one in members if isinstance(one, JudgeScorer)]


def judge_of(run: Run) -> JudgeScorer:
    """The workload's judge alone, for production.

    Raises:
        ConfigError: The workload has none, or its rubric is missing.
    """
    if run.workload.scorer.judge is None:
        raise ConfigError(f"expected a section `scorer.judge`, found none ({run.workload.name})")
    return JudgeScorer(run.workload.scorer.judge)


def judge_usd(run: Run, judge: JudgeScorer) -> float:
    """What a judge's tokens cost at list price."""
    price = run.prices.models.get(judge.params.model)
    if price is None:
        log.warning("The judge %s has no price in params/prices.yaml; it counts as free.", judge.params.model)
        return 0.0
    return sum(price.usd(one.input_tokens, one.output_tokens) for one in judge.spent)
