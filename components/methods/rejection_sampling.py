"""`rejection_sampling`: SFT on the model's own answers that pass the scorer.

Against wrong demonstrations: a model imitates their errors only in part, and the scorer keeps only its right answers
(RFT, Yuan et al. 2023, arXiv 2308.01825; ReST-EM, Singh et al. 2023, arXiv 2312.06585).
"""

import logging
import random
from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from components.errors import TrainingError
from components.methods.contract import Made
from components.methods.job import Job
from components.methods.samples import Sampled, SamplingParams, drawing_seconds, fitting, scored_samples
from components.methods.sft import train_on
from components.methods.sft.settings import SftParams
from components.methods.trained import made_of
from components.params import Settings
from components.records import Example, Makes, Need
from components.tasks import is_clean
from components.tracking import Tracker

log = logging.getLogger(__name__)


class RejectionSamplingParams(SftParams, SamplingParams):
    """Sampling, and SFT's settings for training on the answers that passed."""

    most_kept: int = Field(default=1, ge=1, description="Distinct right answers to one prompt that are trained on.")
    easy_share: float = Field(
        default=0.5, ge=0, le=1,
        description="Share of the always rightly answered prompts that is trained on, so that nothing is unlearned.",
    )  # fmt: skip


class RejectionSampling:
    """Trains the model that it starts from on its own right answers."""

    label: ClassVar[str] = "Rejection sampling"
    makes: ClassVar[Makes] = "model"
    params: ClassVar[type[Settings]] = RejectionSamplingParams
    inherits: ClassVar[str] = "sft"
    acts: ClassVar[bool] = True

    def needs(self, params: Any) -> frozenset[Need]:
        return frozenset({"reward"})

    def make(self, job: Job, params: RejectionSamplingParams, tracker: Tracker) -> Made:
        sampled = scored_samples(job, params)
        if job.workload.agent is not None:
            sampled = [only_clean(prompt) for prompt in sampled]
        right = accepted(job.train, sampled, params, job.seed)
        kept = fitting(job, right, params.max_tokens)
        if not kept:
            raise TrainingError(
                f"expected answers that end, pass the scorer and have at most {params.max_tokens:,} tokens with their "
                f"prompt (max_tokens), found none of {len(sampled):,} prompts' answers"
            )
        log.info("%s: %s answers to %s prompts are trained on.", job.rung, f"{len(kept):,}", f"{len(sampled):,}")
        trained = train_on(job, kept, params.part(SftParams), tracker)
        made = made_of(job, trained, params.dev_examples, drawing_seconds(sampled))
        made.metrics.update(
            kept=float(len(kept)),
            too_long=float(len(right) - len(kept)),
            solved_share=sum(bool(prompt.passed) for prompt in sampled) / len(sampled),
        )
        return made


def only_clean(sampled: Sampled) -> Sampled:
    """An agent's tries, without those that pass although one of their calls failed."""
    kept = [
        at
        for at, (text, score) in enumerate(zip(sampled.texts, sampled.scores, strict=True))
        if score is None or not score.passed or is_clean(text)
    ]
    return sampled.model_copy(
        update={
            name: tuple(getattr(sampled, name)[at] for at in kept) for name in ("texts", "finish_reasons", "scores")
        }
    )


def accepted(
    train: Sequence[Example], sampled: Sequence[Sampled], params: RejectionSamplingParams, seed: int
) -> list[Example]:
    """Train examples with the model's right answers as demonstrations; one that was cut is none.

    Prompts that were never answered right are left out; of those that always were, a seeded `easy_share` stays.
    """
    rng, by_id = random.Random(seed), {example.id: example for example in train}
    kept: list[Example] = []
    for prompt in sampled:
        always = all(score is None or score.passed for score in prompt.scores)
        if not prompt.passed or (always and rng.random() >= params.easy_share):
            continue
        example = by_id[prompt.example_id]
        for at, text in enumerate(prompt.passed[: params.most_kept]):
            name = example.id if at == 0 else f"{example.id}~{at}"
            kept.append(example.model_copy(update={"id": name, "demonstration": text}))
    return kept
