"""`kto`: a model trained on single answers that were rated good or bad.

Kahneman-Tversky optimisation (Ethayarajh et al. 2024, arXiv 2402.01306) by TRL: for thumbs from production, which rate
one answer and never compare two.
"""

import logging
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field

from components.data.opinions import THUMBS
from components.errors import TrainingError
from components.methods.contract import Made
from components.methods.feedback import learnable
from components.methods.job import Job
from components.methods.preferring import PreferringParams, configuration, encoded_answers, shared
from components.methods.samples import Sampled, drawing_seconds, scored_samples, short_enough
from components.methods.trained import made_of
from components.params import Settings
from components.prompts import Prompt
from components.records import Example, Makes, Need, Thumb
from components.tracking import Tracker
from components.training import Trained, TrainingTask

NAMES = {
    "loss": "loss", "kl": "kl", "rewards/chosen": "good_reward", "rewards/rejected": "bad_reward",
    "rewards/margins": "margin", "dev_score": "dev_score",
}  # fmt: skip
log = logging.getLogger(__name__)


class KtoParams(PreferringParams):
    """Where thumbs come from, and how they are trained on."""

    thumbs: Literal["feedback", "scored"] = Field(
        default="feedback",
        description="What people said of single answers (data/<workload>/thumbs.jsonl and what retraining harvested), "
        "or drawn answers by whether they pass the scorer.",
    )
    most_uneven: float = Field(
        default=20.0,
        ge=1,
        description="Good answers for each bad one, or the other way round; beyond it nothing is trained.",
    )
    loss: Literal["kto", "apo_zero_unpaired"] = Field(
        default="kto", description="The second compares only with the starting model, without the batch's KL."
    )
    batch_answers: int = Field(default=16, ge=2)
    device_batch_answers: int = Field(default=16, ge=2, description="The KL is estimated within it.")


@dataclass(frozen=True)
class Answer:
    """One answer to an example, and whether it was good; `cut` says that it is only an answer's beginning."""

    example: Example
    text: str
    good: bool
    cut: bool = False


class Kto:
    """Trains the model that it starts from towards good answers and away from bad ones."""

    label: ClassVar[str] = "Thumbs (KTO)"
    makes: ClassVar[Makes] = "model"
    params: ClassVar[type[Settings]] = KtoParams

    def needs(self, params: Any) -> frozenset[Need]:
        return frozenset({"reward"} if params.thumbs == "scored" else {"preferences", "novelty"})

    def make(self, job: Job, params: KtoParams, tracker: Tracker) -> Made:
        sampled = scored_samples(job, params) if params.thumbs == "scored" else []
        told = answers_of(job, params, sampled)
        short = short_enough(job, [(answer.example, answer.text) for answer in told], params.max_tokens)
        answers = [answer for answer, fits in zip(told, short, strict=True) if fits]
        good = refuse_uneven(answers, params)
        log.info("%s: %s good and %s bad answers.", job.rung, f"{good:,}", f"{len(answers) - good:,}")
        trained = train_kto(job.task(params.dev_examples), params, answers, tracker)
        made = made_of(job, trained, params.dev_examples, drawing_seconds(sampled))
        made.metrics.update(good=float(good), bad=float(len(answers) - good), too_long=float(len(told) - len(answers)))
        return made


def answers_of(job: Job, params: KtoParams, sampled: Sequence[Sampled] = ()) -> list[Answer]:
    """The answers to train on with their thumbs, of feedback or of samples, in a seeded order."""
    if params.thumbs == "feedback":
        thumbs = learnable(job, job.feedback(THUMBS, Thumb))
        answers = [Answer(example, thumb.text, thumb.good) for example, thumb in thumbs]
    else:
        by_id = {example.id: example for example in job.train}
        answers = [
            Answer(by_id[prompt.example_id], text, good, cut)
            for prompt in sampled
            for good, cut, texts in (
                (True, False, prompt.passed),
                (False, False, prompt.failed),
                (False, True, prompt.cut),
            )
            for text in texts
        ]
    random.Random(job.seed).shuffle(answers)
    return answers


def refuse_uneven(answers: Sequence[Answer], params: KtoParams) -> int:
    """Return how many answers are good.

    Raises:
        TrainingError: There are fewer answers than a batch has, or too few good or bad ones.
    """
    good = sum(answer.good for answer in answers)
    bad = len(answers) - good
    if len(answers) < params.batch_answers:
        raise TrainingError(f"expected at least {params.batch_answers} answers (batch_answers), found {len(answers):,}")
    if min(good, bad) * params.most_uneven < max(good, bad):
        raise TrainingError(
            f"expected good and bad answers, at most {params.most_uneven:g} of one kind for one of the other "
            f"(most_uneven), found {good:,} good and {bad:,} bad ones"
        )
    return good


def train_kto(task: TrainingTask, params: KtoParams, answers: Sequence[Answer], tracker: Tracker) -> Trained:
    """Train a model on answers with thumbs, and write the best weights by dev score to `task.out`.

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
    data = (f"{answer.example.model_dump_json()} {answer.good} {answer.text} {answer.cut}" for answer in answers)
    claim(task.work, task.identity(params, *data))
    rows, started = encoded(tokenizer, task.prompt, answers), time.monotonic()
    trainer, plan = _trainer(task, params, (model, tokenizer), rows, compute)
    prepared = time.monotonic() - started
    return finish(Training(task, trainer, plan, NAMES, params.batch_answers, prepared), tracker, compute)


def encoded(tokenizer: Any, prompt: Prompt, answers: Sequence[Answer]) -> dict[str, list[Any]]:
    """Token ids of prompts and answers, as engines generate them, and another prompt's answer to each for the KL."""
    from components.training.encode import encode_prompts

    ids = encoded_answers(tokenizer, [(answer.text, answer.cut) for answer in answers])
    return {
        "prompt_ids": encode_prompts(tokenizer, [prompt.messages(answer.example) for answer in answers]),
        "completion_ids": ids,
        "KL_completion_ids": ids[-1:] + ids[:-1],
        "label": [answer.good for answer in answers],
    }


def balanced(labels: Sequence[bool]) -> tuple[float, float]:
    """Weights of good and of bad answers that balance both kinds; the more frequent kind has weight 1."""
    good = sum(labels)
    bad = len(labels) - good
    return max(1.0, bad / good), max(1.0, good / bad)


def _trainer(
    task: TrainingTask, params: KtoParams, opened: tuple[Any, Any], rows: dict[str, list[Any]], compute: Any
) -> tuple[Any, Any]:
    """(trainer, plan): TRL's trainer before its first step, and when dev is scored."""
    from trl import KTOConfig, KTOTrainer

    from components.training.dev import Plan
    from components.training.guard import Guarded
    from components.training.run import accumulation, adapter, shared_settings

    class ThumbTrainer(Guarded, KTOTrainer):
        """KTO on rows that are already token ids."""

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset if self.calculate_KL else dataset.remove_columns("KL_completion_ids")

    device_batch = min(params.device_batch_answers, params.batch_answers)
    steps = math.ceil(params.epochs * len(rows["label"]) / params.batch_answers)
    good_weight, bad_weight = balanced(rows["label"])
    trainer = ThumbTrainer(
        model=opened[0],
        args=KTOConfig(
            **shared_settings(task, compute),
            **configuration(params, steps),
            per_device_train_batch_size=device_batch,
            gradient_accumulation_steps=accumulation(params.batch_answers, device_batch, compute, "kto.batch_answers"),
            loss_type=params.loss,
            desirable_weight=good_weight,
            undesirable_weight=bad_weight,
        ),
        train_dataset=shared(rows, task.work, compute),
        processing_class=opened[1],
        peft_config=adapter(params.lora),
    )
    return trainer, Plan.spread(steps, params.evaluations, params.patience, first=True)
