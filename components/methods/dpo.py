"""`dpo`: a model trained on pairs of a better and a worse answer to the same prompt.

Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290) by TRL; for noisy labels with a loss that
expects a share of the pairs to be swapped (robust DPO, Chowdhury et al. 2024, arXiv 2403.00409).
"""

import logging
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field

from components.data.opinions import PREFERENCES
from components.errors import TrainingError
from components.methods.contract import Made
from components.methods.feedback import learnable
from components.methods.job import Job
from components.methods.preferring import PreferringParams, configuration, encoded_answers, shared
from components.methods.samples import Sampled, drawing_seconds, scored_samples, short_enough
from components.methods.trained import made_of
from components.params import Settings
from components.prompts import Prompt
from components.records import Example, Makes, Need, Preference
from components.tracking import Tracker
from components.training import Trained, TrainingTask

NAMES = {
    "loss": "loss", "rewards/accuracies": "preferred_share", "rewards/margins": "margin", "dev_score": "dev_score",
}  # fmt: skip
MOST_NOISE = 0.5  # from here on a loss for swapped pairs learns the worse answers
log = logging.getLogger(__name__)


class DpoParams(PreferringParams):
    """Where pairs come from, and how they are trained on."""

    pairs: Literal["scored", "feedback"] = Field(
        default="scored",
        description="Drawn answers that pass the scorer against those that fail, or what people preferred and "
        "corrected: data/<workload>/preferences.jsonl and what retraining harvested.",
    )
    pairs_per_prompt: int = Field(default=1, ge=1)
    loss: Literal["sigmoid", "robust"] = "sigmoid"
    label_noise: float | None = Field(
        default=None, ge=0, lt=MOST_NOISE, description="For `robust`: share of swapped pairs; None: the label audit's."
    )
    batch_pairs: int = Field(default=16, ge=1)
    device_batch_pairs: int = Field(default=16, ge=1)


@dataclass(frozen=True)
class Pair:
    """A better and a worse answer to one example; `cut` says that the worse one is only an answer's beginning."""

    example: Example
    chosen: str
    rejected: str
    cut: bool = False


class Dpo:
    """Trains the model that it starts from to prefer the better answers."""

    label: ClassVar[str] = "Preferences (DPO)"
    makes: ClassVar[Makes] = "model"
    params: ClassVar[type[Settings]] = DpoParams

    def needs(self, params: Any) -> frozenset[Need]:
        return frozenset({"reward"} if params.pairs == "scored" else {"preferences", "novelty"})

    def make(self, job: Job, params: DpoParams, tracker: Tracker) -> Made:
        noise = noise_of(job, params)
        sampled = scored_samples(job, params) if params.pairs == "scored" else []
        told = pairs_of(job, params, sampled)
        better, worse = (
            short_enough(job, [(pair.example, getattr(pair, side)) for pair in told], params.max_tokens)
            for side in ("chosen", "rejected")
        )
        pairs = [pair for pair, *fits in zip(told, better, worse, strict=True) if all(fits)]
        if len(pairs) < params.batch_pairs:
            raise TrainingError(f"expected at least {params.batch_pairs} pairs (batch_pairs), found {len(pairs):,}")
        log.info("%s: %s pairs.", job.rung, f"{len(pairs):,}")
        trained = train_dpo(job.task(params.dev_examples), params, pairs, noise, tracker)
        made = made_of(job, trained, params.dev_examples, drawing_seconds(sampled))
        made.metrics.update(pairs=float(len(pairs)), label_noise=noise, too_long=float(len(told) - len(pairs)))
        return made


def noise_of(job: Job, params: DpoParams) -> float:
    """The share of swapped pairs that the loss expects.

    Raises:
        TrainingError: The label audit expects half of the demonstrations or more to be wrong: a loss for so much noise
            would learn the worse answers.
    """
    if params.loss != "robust":
        return 0.0
    noise = (job.label_noise or 0.0) if params.label_noise is None else params.label_noise
    if noise >= MOST_NOISE:
        raise TrainingError(
            f"expected less than {MOST_NOISE:.0%} of the demonstrations to be wrong for `loss: robust`, found "
            f"{noise:.0%} by the label audit; mend them, or set label_noise to the share of swapped pairs"
        )
    return noise


def pairs_of(job: Job, params: DpoParams, sampled: Sequence[Sampled] = ()) -> list[Pair]:
    """The pairs to train on, of feedback or of samples, in a seeded order."""
    if params.pairs == "feedback":
        preferences = learnable(job, job.feedback(PREFERENCES, Preference))
        pairs = [Pair(example, preference.chosen, preference.rejected) for example, preference in preferences]
    else:
        pairs = scored_pairs(job.train, sampled, params.pairs_per_prompt)
    random.Random(job.seed).shuffle(pairs)
    return pairs


def scored_pairs(train: Sequence[Example], sampled: Sequence[Sampled], most: int) -> list[Pair]:
    """Pairs of a right and a wrong answer for each prompt that has both, the most frequent first and cut ones last."""
    by_id = {example.id: example for example in train}
    worse = [[*((text, False) for text in prompt.failed), *((text, True) for text in prompt.cut)] for prompt in sampled]
    return [
        Pair(by_id[prompt.example_id], chosen, rejected, cut)
        for prompt, wrong in zip(sampled, worse, strict=True)
        for chosen, (rejected, cut) in zip(_cycled(prompt.passed, most), wrong, strict=False)
    ]


def _cycled(texts: Sequence[str], most: int) -> list[str]:
    return [texts[at % len(texts)] for at in range(most)] if texts else []


def train_dpo(task: TrainingTask, params: DpoParams, pairs: Sequence[Pair], noise: float, tracker: Tracker) -> Trained:
    """Train a model on pairs, and write the best weights by dev score to `task.out`.

    Step 0 is scored too: where nothing is better, the result is the starting model.

    Raises:
        TrainingError: `task.work` belongs to another training, or the loss is not finite.
    """
    from components.training.checkpoints import claim
    from components.training.precision import Compute
    from components.training.run import Job as Training
    from components.training.run import finish, starting_model

    compute = Compute.choose(task.precision)
    model, tokenizer = starting_model(task, params.lora, compute)
    data = (f"{pair.example.model_dump_json()} {pair.chosen} {pair.rejected} {pair.cut}" for pair in pairs)
    claim(task.work, task.identity(params, f"label noise {noise}", *data))
    rows, started = encoded(tokenizer, task.prompt, pairs), time.monotonic()
    trainer, plan = _trainer(task, params, (model, tokenizer), (rows, noise), compute)
    prepared = time.monotonic() - started
    return finish(Training(task, trainer, plan, NAMES, params.batch_pairs, prepared), tracker, compute)


def encoded(tokenizer: Any, prompt: Prompt, pairs: Sequence[Pair]) -> dict[str, list[list[int]]]:
    """Token ids of prompts and both answers, exactly as SFT encodes and engines generate them."""
    from components.training.encode import encode_prompts

    return {
        "prompt_ids": encode_prompts(tokenizer, [prompt.messages(pair.example) for pair in pairs]),
        "chosen_ids": encoded_answers(tokenizer, [(pair.chosen, False) for pair in pairs]),
        "rejected_ids": encoded_answers(tokenizer, [(pair.rejected, pair.cut) for pair in pairs]),
    }


def _trainer(
    task: TrainingTask, params: DpoParams, opened: tuple[Any, Any], data: tuple[dict[str, Any], float], compute: Any
) -> tuple[Any, Any]:
    """(trainer, plan): TRL's trainer before its first step, and when dev is scored."""
    from trl import DPOConfig, DPOTrainer

    from components.training.dev import Plan
    from components.training.guard import Guarded
    from components.training.run import accumulation, adapter, shared_settings

    class PairTrainer(Guarded, DPOTrainer):
        """DPO on rows that are already token ids."""

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

    (rows, noise), robust = data, params.loss == "robust"
    device_batch = min(params.device_batch_pairs, params.batch_pairs)
    steps = math.ceil(params.epochs * len(rows["prompt_ids"]) / params.batch_pairs)
    trainer = PairTrainer(
        model=opened[0],
        args=DPOConfig(
            **shared_settings(task, compute),
            **configuration(params, steps),
            per_device_train_batch_size=device_batch,
            gradient_accumulation_steps=accumulation(params.batch_pairs, device_batch, compute, "dpo.batch_pairs"),
            loss_type=["robust" if robust else "sigmoid"],
            label_smoothing=noise if robust else 0.0,
        ),
        train_dataset=shared(rows, task.work, compute),
        processing_class=opened[1],
        peft_config=adapter(params.lora),
    )
    return trainer, Plan.spread(steps, params.evaluations, params.patience, first=True)
