"""Records what judges took during a stage, and in the processes that it launched: verdicts, tokens and money."""

import json
import logging
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from components.errors import ConfigError
from components.scorers.judge import JudgeScorer
from components.scorers.verdicts import Spent, spent_by_model
from components.stages.run import Run
from components.tracking import Tracker

WORKERS = "GRADUS_JUDGED"  # the folder in which a stage's workers leave what judges took in them
log = logging.getLogger(__name__)


@contextmanager
def workers_spending() -> Generator[Path]:
    """A folder for what judges take in the processes that a stage launches."""
    with TemporaryDirectory() as folder:
        os.environ[WORKERS] = folder
        yield Path(folder)


def leave_spent() -> None:
    """Leave what judges took in this process to the stage that launched it."""
    content = {model: vars(spent) for model, spent in spent_by_model().items()}
    path = Path(os.environ[WORKERS]) / f"{os.environ.get('RANK', '0')}.json"
    path.parent.mkdir(parents=True, exist_ok=True)  # where the launcher is on another machine
    path.write_text(json.dumps(content), encoding="utf-8")


def tell_judge(run: Run, tracker: Tracker, workers: Path | None = None) -> float:
    """Record what judges took in this process and in its workers.

    Returns US dollars at list prices, 0 for a model without a price.
    """
    spent = spent_by_model()
    for path in sorted(workers.glob("*.json")) if workers else ():
        for model, counts in json.loads(path.read_text(encoding="utf-8")).items():
            spent[model] = _added(spent.get(model, Spent()), Spent(**counts))
    if not spent:
        return 0.0
    cost = sum(_usd(run, model, spent_on) for model, spent_on in spent.items())
    numbers = {
        "judge/verdicts": sum(spent_on.asked for spent_on in spent.values()),
        "judge/remembered": sum(spent_on.remembered for spent_on in spent.values()),
        "judge/input_tokens": sum(spent_on.input_tokens for spent_on in spent.values()),
        "judge/output_tokens": sum(spent_on.output_tokens for spent_on in spent.values()),
        "judge/usd": cost,
    }
    tracker.metrics({name: float(value) for name, value in numbers.items()})
    verdicts, remembered = numbers["judge/verdicts"], numbers["judge/remembered"]
    log.info("The judge gave %s verdicts for $%.4f; %s were remembered.", f"{verdicts:,}", cost, f"{remembered:,}")
    return cost


def _added(one: Spent, other: Spent) -> Spent:
    return Spent(**{name: value + vars(other)[name] for name, value in vars(one).items()})


def judge_of(run: Run) -> JudgeScorer:
    """The workload's judge alone, for production.

    Raises:
        ConfigError: The workload has no judge, or its rubric is missing.
    """
    if run.workload.scorer.judge is None:
        raise ConfigError(f"expected a section `scorer.judge`, found none ({run.workload.name})")
    return JudgeScorer(run.workload.scorer.judge)


def judge_usd(run: Run, judge: JudgeScorer) -> float:
    """The cost of one judge's verdicts, in US dollars."""
    return sum(_usd(run, judge.params.model, spent) for spent in judge.spent)


def _usd(run: Run, model: str, spent: Spent) -> float:
    price = run.prices.models.get(model)
    if price is None:
        log.warning("The judge %s has no price in params/prices.yaml; it counts as free.", model)
        return 0.0
    return price.usd(spent.input_tokens, spent.output_tokens)
