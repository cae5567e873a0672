"""`weighted_sft`: SFT on logged answers, each as heavy as it scored above what is usual for its kind.

Advantage-weighted regression (Peng et al. 2019, arXiv 1910.00177) for logs of production, where nothing can be drawn
anew: w = min(exp((score - usual) / temperature), most_weight). Before it, the effective sample size of the weights
says whether the logs can tell at all; after it, off-policy evaluation says what the model would have scored on them,
where the logs have the probabilities that they were drawn with.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from components.data.opinions import LOGS
from components.errors import TrainingError
from components.evaluation.off_policy import Limits, OffPolicy, off_policy
from components.methods.contract import Made
from components.methods.feedback import learnable
from components.methods.job import Job
from components.methods.sft.settings import SftParams
from components.methods.sft.training import train_sft
from components.methods.trained import made_of
from components.params import Settings
from components.records import Example, Logged, Makes, Need
from components.tracking import Tracker

PRIOR = 5.0  # answers by which the usual score of a kind is drawn to that of all
Scored = tuple[Example, Logged]
log = logging.getLogger(__name__)


class WeightedSftParams(SftParams):
    """What logged answers weigh, when logs can tell, and SFT's settings for the training."""

    temperature: float = Field(default=0.3, gt=0, description="Of scores: the lower, the more the best ones count.")
    most_weight: float = Field(default=10.0, ge=1)
    usual_by: str | None = Field(
        default=None, description="An input column or slice by whose values scores are usual; None: all are one kind."
    )
    least_effective: float = Field(
        default=0.05, gt=0, le=1, description="Effective sample size as a share of all answers, below which logs "
        "cannot tell and nothing is trained.",
    )  # fmt: skip
    least_answers: int = Field(default=30, ge=2, description="And as a number of answers.")
    clip: float = Field(default=50.0, ge=1, description="Most that one answer counts in the off-policy evaluation.")


class WeightedSft:
    """Trains the model that it starts from on logged answers, the better ones more."""

    label: ClassVar[str] = "Logs (weighted SFT)"
    makes: ClassVar[Makes] = "model"
    params: ClassVar[type[Settings]] = WeightedSftParams
    inherits: ClassVar[str] = "sft"

    def needs(self, params: Any) -> frozenset[Need]:
        return frozenset({"preferences", "novelty"})

    def make(self, job: Job, params: WeightedSftParams, tracker: Tracker) -> Made:
        logged = learnable(job, job.feedback(LOGS, Logged))
        tilts = tilts_of(logged, params)
        promised = telling(logged, tilts, params)
        log.info("%s: %s logged answers say as much as %.0f.", job.rung, f"{len(logged):,}", promised.effective)
        train = [
            example.model_copy(update={"id": f"{example.id}~{at}", "demonstration": one.text})
            for at, (example, one) in enumerate(logged)
        ]
        settings = params.part(SftParams)
        settings = settings.model_copy(update={"packed_tokens": None})  # of rows that weigh alike
        task = job.task(params.dev_examples, train)
        made = made_of(job, train_sft(task, settings, tracker, weights_of(tilts)), params.dev_examples)
        made.metrics.update(
            logged=float(len(logged)),
            logged_score=sum(one.score for _, one in logged) / len(logged),
            effective=promised.effective,
            **_told("weighted", promised),
            **self._off_policy(job, params, logged),
        )
        return made

    def _off_policy(self, job: Job, params: WeightedSftParams, logged: Sequence[Scored]) -> dict[str, float]:
        """What the model would have scored on logs whose probabilities are known, and the one that it started from."""
        from components.training.likelihood import log_likelihoods

        drawn = [(example, one) for example, one in logged if one.log_probability is not None]
        if len(drawn) < params.least_answers:
            log.info("%s: %s logged answers have the probability that they were drawn with.", job.rung, len(drawn))
            return {}
        answers, found = [(example, one.text) for example, one in drawn], dict[str, float]()
        for name, folder in (("start", job.model), ("off_policy", job.out)):
            chances = log_likelihoods(folder, job.prompt, answers)
            ratios = [new - (one.log_probability or 0.0) for new, (_, one) in zip(chances, drawn, strict=True)]
            value = off_policy([one.score for _, one in drawn], ratios, _limits(params, params.clip))
            if value.silent:
                log.warning("%s: logs cannot tell what %s scores: %s.", job.rung, folder, value.silent)
            found |= {**_told(name, value), f"{name}_tells": float(not value.silent)}
        return found


def tilts_of(logged: Sequence[Scored], params: WeightedSftParams) -> list[float]:
    """The logarithm of each answer's weight: how far its score is above the usual one of its kind, in temperatures."""
    kinds = [_kind(example, params.usual_by) for example, _ in logged]
    scores: dict[str, list[float]] = defaultdict(list)
    for kind, (_, one) in zip(kinds, logged, strict=True):
        scores[kind].append(one.score)
    overall = sum(one.score for _, one in logged) / max(1, len(logged))
    usual = {kind: (sum(own) + PRIOR * overall) / (len(own) + PRIOR) for kind, own in scores.items()}
    most = math.log(params.most_weight)
    return [
        min(most, (one.score - usual[kind]) / params.temperature) for kind, (_, one) in zip(kinds, logged, strict=True)
    ]


def telling(logged: Sequence[Scored], tilts: Sequence[float], params: WeightedSftParams) -> OffPolicy:
    """What the policy that the weights lean to would score, by the logs.

    Raises:
        TrainingError: The logs cannot tell: too few, all scored alike, or too few of them carry the weight.
    """
    scores = [one.score for _, one in logged]
    if len(scores) < max(params.least_answers, params.batch_examples):
        raise TrainingError(
            f"expected at least {max(params.least_answers, params.batch_examples)} logged answers with a score, found "
            f"{len(scores):,}"
        )
    if max(scores) - min(scores) < 1e-9:
        raise TrainingError(f"logs cannot tell: all {len(scores):,} answers scored {scores[0]:g}, so none is better")
    found = off_policy(scores, tilts, _limits(params, math.inf))
    if found.silent:
        raise TrainingError(f"logs cannot tell: {found.silent}")
    return found


def weights_of(tilts: Sequence[float]) -> list[float]:
    """Factors on the loss, of mean 1."""
    raw = [math.exp(tilt) for tilt in tilts]
    mean = sum(raw) / len(raw)
    return [one / mean for one in raw]


def _limits(params: WeightedSftParams, clip: float) -> Limits:
    return Limits(clip, params.least_effective, params.least_answers)


def _kind(example: Example, by: str | None) -> str:
    return "" if by is None else example.input.get(by) or example.slices.get(by, "")


def _told(name: str, found: OffPolicy) -> dict[str, float]:
    value = found.value
    return {f"{name}_score": value.value, f"{name}_low": value.low, f"{name}_high": value.high}
