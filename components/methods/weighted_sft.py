"""`weighted_sft`: SFT on logged answers, each weighted by how far it scored above what is usual for its kind.

Advantage-weighted regression (Peng et al. 2019, arXiv 1910.00177) for production logs, where no new answers can be
drawn: w = min(exp((score - usual) / temperature), most_weight). Before training, the effective sample size of the
weights says whether the logs are informative enough; after it, off-policy evaluation estimates what the model would
have scored on them, where the logs have the probabilities that answers were drawn with.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from pydantic import Field

from components.data.opinions import LOGS
from components.errors import ConfigError, TrainingError
from components.evaluation.off_policy import Limits, OffPolicy, off_policy
from components.methods.contract import Made
from components.methods.feedback import learnable
from components.methods.job import Job
from components.methods.samples import short_enough
from components.methods.sft.settings import SftParams
from components.methods.sft.training import train_sft
from components.methods.trained import made_of
from components.params import Settings
from components.records import Example, Logged, Makes, Need
from components.tracking import Tracker
from components.training.launch import once

PRIOR = 5.0  # answers' worth of shrinkage of a kind's usual score towards the overall mean
Scored = tuple[Example, Logged]
log = logging.getLogger(__name__)


class WeightedSftParams(SftParams):
    """How logged answers are weighted, how informative logs must be, and SFT's settings for the training."""

    temperature: float = Field(
        default=0.3, gt=0, description="In units of the score: lower values favour the best more."
    )
    most_weight: float = Field(default=10.0, ge=1)
    usual_by: str | None = Field(
        default=None, description="An input column or slice whose value is an answer's kind; None: all are one kind."
    )
    least_effective: float = Field(
        default=0.05, gt=0, le=1, description="Least effective sample size, as a share of all answers; below it "
        "nothing is trained.",
    )  # fmt: skip
    least_answers: int = Field(default=30, ge=2, description="Least effective sample size, as a number of answers.")
    clip: float = Field(default=50.0, ge=1, description="Largest weight of one answer in the off-policy evaluation.")


class WeightedSft:
    """Trains the model that it starts from on logged answers, with more weight on better ones."""

    label: ClassVar[str] = "Logs (weighted SFT)"
    makes: ClassVar[Makes] = "model"
    params: ClassVar[type[Settings]] = WeightedSftParams
    inherits: ClassVar[str] = "sft"

    def needs(self, params: Any) -> frozenset[Need]:
        return frozenset({"preferences", "novelty"})

    def make(self, job: Job, params: WeightedSftParams, tracker: Tracker) -> Made:
        told = learnable(job, job.feedback(LOGS, Logged))
        short = short_enough(job, [(example, answer.text) for example, answer in told], params.max_tokens)
        logged = [pair for pair, fits in zip(told, short, strict=True) if fits]
        log_weights = log_weights_of(logged, params)
        estimate = require_informative(logged, log_weights, params)
        log.info("%s: %s logged answers say as much as %.0f.", job.rung, f"{len(logged):,}", estimate.effective)
        train = [
            example.model_copy(update={"id": f"{example.id}~{at}", "demonstration": answer.text})
            for at, (example, answer) in enumerate(logged)
        ]
        settings = params.part(SftParams)
        settings = settings.model_copy(update={"packed_tokens": None})  # of rows that weigh alike
        task = job.task(params.dev_examples, train)
        made = made_of(job, train_sft(task, settings, tracker, weights_of(log_weights)), params.dev_examples)
        made.metrics.update(
            logged=float(len(logged)),
            too_long=float(len(told) - len(logged)),
            logged_score=sum(answer.score for _, answer in logged) / len(logged),
            effective=estimate.effective,
            **_interval_metrics("weighted", estimate),
            **self._off_policy(job, params, logged),
        )
        return made

    def _off_policy(self, job: Job, params: WeightedSftParams, logged: Sequence[Scored]) -> dict[str, float]:
        """Estimated scores of the starting and the trained model, on logged answers with known probabilities."""
        from components.training.likelihood import log_likelihoods

        drawn = [(example, answer) for example, answer in logged if answer.log_probability is not None]
        if len(drawn) < params.least_answers:
            log.info("%s: %s logged answers have the probability that they were drawn with.", job.rung, len(drawn))
            return {}
        pairs, metrics = [(example, answer.text) for example, answer in drawn], dict[str, float]()
        for name, folder in (("start", job.model), ("off_policy", job.out)):
            chances = once(partial(log_likelihoods, folder, job.prompt, pairs, job.profile.model.precision))
            ratios = [new - (answer.log_probability or 0.0) for new, (_, answer) in zip(chances, drawn, strict=True)]
            value = off_policy([answer.score for _, answer in drawn], ratios, _limits(params, params.clip))
            if value.silent:
                log.warning("%s: logs do not show what %s scores: %s.", job.rung, folder, value.silent)
            metrics |= {**_interval_metrics(name, value), f"{name}_tells": float(not value.silent)}
        return metrics


def log_weights_of(logged: Sequence[Scored], params: WeightedSftParams) -> list[float]:
    """Each answer's log weight: its score minus its kind's usual score, divided by the temperature.

    Raises:
        ConfigError: `usual_by` names no input column and no slice of these answers.
    """
    kinds = _kinds([example for example, _ in logged], params.usual_by)
    scores: dict[str, list[float]] = defaultdict(list)
    for kind, (_, logged_answer) in zip(kinds, logged, strict=True):
        scores[kind].append(logged_answer.score)
    overall = sum(logged_answer.score for _, logged_answer in logged) / max(1, len(logged))
    usual = {kind: (sum(own) + PRIOR * overall) / (len(own) + PRIOR) for kind, own in scores.items()}
    most = math.log(params.most_weight)
    return [
        min(most, (logged_answer.score - usual[kind]) / params.temperature)
        for kind, (_, logged_answer) in zip(kinds, logged, strict=True)
    ]


def require_informative(logged: Sequence[Scored], log_weights: Sequence[float], params: WeightedSftParams) -> OffPolicy:
    """The estimated score of the policy that the weights favour.

    Raises:
        TrainingError: The logs are not informative: too few, all with the same score, or too few carry the weight.
    """
    scores = [answer.score for _, answer in logged]
    if len(scores) < max(params.least_answers, params.batch_examples):
        raise TrainingError(
            f"expected at least {max(params.least_answers, params.batch_examples)} logged answers with a score, found "
            f"{len(scores):,}"
        )
    if max(scores) - min(scores) < 1e-9:
        raise TrainingError(
            f"logs are inconclusive: all {len(scores):,} answers scored {scores[0]:g}, so none is better"
        )
    estimate = off_policy(scores, log_weights, _limits(params, math.inf))
    if estimate.silent:
        raise TrainingError(f"logs are inconclusive: {estimate.silent}")
    return estimate


def weights_of(log_weights: Sequence[float]) -> list[float]:
    """Factors on each answer's loss, with mean 1."""
    raw = [math.exp(log_weight) for log_weight in log_weights]
    mean = sum(raw) / len(raw)
    return [weight / mean for weight in raw]


def _limits(params: WeightedSftParams, clip: float) -> Limits:
    return Limits(clip, params.least_effective, params.least_answers)


def _kinds(examples: Sequence[Example], by: str | None) -> list[str]:
    """The value of an input column or slice of each example, "" where it has none.

    Raises:
        ConfigError: None has it.
    """
    if by is None or not examples:
        return [""] * len(examples)
    values = [{**example.slices, **example.input} for example in examples]
    if not any(by in own for own in values):
        known = sorted({name for own in values for name in own})
        raise ConfigError(
            f"weighted_sft.usual_by: expected an input column or a slice of logged answers ({', '.join(known)}), found "
            f"{by}"
        )
    return [own.get(by, "") for own in values]


def _interval_metrics(name: str, estimate: OffPolicy) -> dict[str, float]:
    value = estimate.value
    return {f"{name}_score": value.value, f"{name}_low": value.low, f"{name}_high": value.high}
