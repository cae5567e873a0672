"""`on_policy_distillation`: a model trained on its own answers, towards a teacher's distribution of each next token.

It needs inputs and a teacher whose weights are available; it needs neither demonstrations nor a scorer. A teacher with
another vocabulary is compared where its tokens and the student's end together (`gold`).
"""

import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field

from components.errors import DataError
from components.methods.contract import Made
from components.methods.job import Job
from components.methods.teachers import (
    ProfileTeacher,
    RungTeacher,
    TeacherSession,
    folder_of,
    prompt_of_teacher,
    require_better,
)
from components.methods.trained import made_of
from components.models import folder_digest, open_model
from components.params import LoraParams, Settings
from components.prompts import Prompt
from components.records import Makes, Need
from components.tracking import Tracker
from components.training import Sample, Trained, TrainingTask
from components.training.launch import once
from components.training.memory import recomputed

NAMES = {
    "loss": "divergence", "entropy": "entropy", "completions/mean_length": "completion_tokens",
    "completions/clipped_ratio": "clipped_share", "dev_score": "dev_score",
}  # fmt: skip


class DistillingParams(Settings):
    """On-policy distillation, whoever teaches."""

    lora: LoraParams | None = None
    steps: int = Field(default=100, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    prompts_per_step: int = Field(default=32, ge=1, description="Each is answered once.")
    device_batch_prompts: int = Field(default=32, ge=1)
    temperature: float = Field(default=1.0, gt=0, description="Of the answers, and of both distributions.")
    beta: float = Field(
        default=1.0, ge=0, le=1,
        description="1: reverse KL, which seeks the teacher's modes; 0: forward KL; between: Jensen-Shannon.",
    )  # fmt: skip
    max_new_tokens: int | None = Field(default=None, ge=1, description="None: the profile's engine's.")
    warmup_share: float = Field(default=0.05, ge=0, le=1)
    evaluations: int = Field(default=8, ge=1)
    patience: int = Field(default=3, ge=1)
    dev_examples: int = Field(default=500, ge=1)
    gradient_checkpointing: bool = False
    teacher_dev: int = Field(default=300, ge=1, description="Dev examples on which teacher and pupil are compared.")
    least_gain: float = Field(
        default=0.0, ge=-1, lt=1,
        description="Share of dev by which the teacher must be better than its pupil, at the interval's lower end.",
    )  # fmt: skip


class OnPolicyDistillationParams(DistillingParams):
    """Who teaches, and how."""

    teacher: Annotated[RungTeacher | ProfileTeacher, Field(discriminator="kind")]


class OnPolicyDistillation:
    """Trains the model that it starts from on its own answers, towards a teacher's distributions."""

    label: ClassVar[str] = "Distilled (on-policy)"
    makes: ClassVar[Makes] = "model"
    params: ClassVar[type[Settings]] = OnPolicyDistillationParams

    def needs(self, params: Any) -> frozenset[Need]:
        return frozenset({"teacher"})

    def make(self, job: Job, params: OnPolicyDistillationParams, tracker: Tracker) -> Made:
        return distilled(job, params, params.teacher, tracker)


@dataclass(frozen=True)
class TeacherModel:
    """The model whose distributions are learnt, the prompt that it reads, and whether its tokens are the student's."""

    folder: Path
    prompt: Prompt
    same_tokens: bool = True


def distilled(job: Job, params: DistillingParams, teacher: RungTeacher | ProfileTeacher, tracker: Tracker) -> Made:
    """Check that the teacher may teach, then train.

    Raises:
        TrainingError: The teacher is no model, is not surely better than its pupil, or its tokens cannot be compared.
    """
    folder = folder_of(job, teacher)
    teacher_model = TeacherModel(folder, prompt_of_teacher(job, teacher), same_vocabulary(job.model, folder))
    session = TeacherSession(job, teacher)
    once(lambda: require_better(session, params.teacher_dev, params.least_gain))
    tokens = params.max_new_tokens or job.profile.engine.max_new_tokens
    task = job.task(params.dev_examples)
    trained = train_distilled(
        task, params.model_copy(update={"max_new_tokens": tokens}), teacher_model, tracker, job.sample()
    )
    made = made_of(job, trained, params.dev_examples)
    return session.bill.added_to(made)


def same_vocabulary(student: Path, teacher: Path) -> bool:
    """Whether both have the same tokens by the same numbers.

    Raises:
        TrainingError: They have not, and the tokens of one are no sequences of bytes.
    """
    from transformers import AutoConfig, AutoTokenizer

    tokenizers = [AutoTokenizer.from_pretrained(folder) for folder in (student, teacher)]
    widths = [AutoConfig.from_pretrained(folder).get_text_config().vocab_size for folder in (student, teacher)]
    if tokenizers[0].get_vocab() == tokenizers[1].get_vocab() and widths[0] == widths[1]:
        return True
    from components.methods.gold import require_bytes

    for tokenizer in tokenizers:
        require_bytes(tokenizer)
    return False


def train_distilled(
    task: TrainingTask, params: DistillingParams, teacher: TeacherModel, tracker: Tracker, sample: Sample
) -> Trained:
    """Train a model towards a teacher's distributions, and write the best weights by dev score to `task.out`.

    Step 0 is scored too: where nothing is better, the result is the starting model.

    Raises:
        DataError: No examples.
        TrainingError: `task.work` belongs to another training, or the loss is not finite.
    """
    from components.training.checkpoints import claim
    from components.training.precision import Compute
    from components.training.run import Job as Training
    from components.training.run import finish, starting_model

    if not task.train:
        raise DataError("expected at least one input to train on, found none")
    compute = Compute.choose(task.precision)
    opened = starting_model(task, params.lora, compute)
    claim(task.work, task.identity(params, folder_digest(teacher.folder), teacher.prompt.version))
    trainer, plan = _trainer(task, params, opened, teacher, compute)
    trainer.sample = sample
    return finish(Training(task, trainer, plan, NAMES, params.prompts_per_step), tracker, compute)


def _trainer(
    task: TrainingTask, params: DistillingParams, opened: tuple[Any, Any], teacher: TeacherModel, compute: Any
) -> Any:
    """(trainer, plan): TRL's trainer before its first step, and when dev is scored."""
    from trl import DistillationConfig

    from components.methods.distilling import Distiller
    from components.methods.gold import OtherVocabularyDistiller
    from components.training.dev import Plan
    from components.training.run import accumulation, adapter, shared_settings

    model, tokenizer = opened
    device_batch = min(params.device_batch_prompts, params.prompts_per_step)
    names = "prompts_per_step over device_batch_prompts"
    rows = scheduled(len(task.train), params.steps * params.prompts_per_step, task.seed)
    teacher_model, teacher_tokenizer = open_model(teacher.folder)
    teacher_model = teacher_model.to(device=model.device, dtype=model.dtype).requires_grad_(False)
    trainer = (Distiller if teacher.same_tokens else OtherVocabularyDistiller)(
        model=model,
        teacher_model=teacher_model if teacher.same_tokens else None,
        args=DistillationConfig(
            **shared_settings(task, compute),
            max_steps=params.steps,
            per_device_train_batch_size=device_batch,
            gradient_accumulation_steps=accumulation(params.prompts_per_step, device_batch, compute, names),
            learning_rate=params.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=math.ceil(params.warmup_share * params.steps),
            max_completion_length=params.max_new_tokens,
            temperature=params.temperature,
            beta=params.beta,
            **recomputed(params.gradient_checkpointing),
            logging_steps=1,
            shuffle_dataset=False,
        ),
        train_dataset=_dataset(task, rows),
        processing_class=tokenizer,
        peft_config=adapter(params.lora),
    )
    if isinstance(trainer, OtherVocabularyDistiller):
        trainer.learn_from(
            teacher_model, teacher_tokenizer, teacher_prompts(task, teacher_tokenizer, teacher.prompt, rows)
        )
    elif teacher.prompt.version != task.prompt.version:
        trainer.teacher_prompts = teacher_prompts(task, tokenizer, teacher.prompt, rows)
    return trainer, Plan.spread(params.steps, params.evaluations, params.patience, first=True)


def scheduled(n: int, prompts: int, seed: int) -> list[int]:
    """Indices of `n` examples in training order: passes over all of them, each shuffled."""
    rng, order = random.Random(seed), list[int]()
    while len(order) < prompts:
        order += rng.sample(range(n), n)
    return order[:prompts]


def _dataset(task: TrainingTask, rows: list[int]) -> Any:
    """One row for each prompt of each step, in training order."""
    from datasets import Dataset

    from components.methods.distilling import ROW

    turns = {row: [turn.model_dump() for turn in task.prompt.messages(task.train[row])] for row in set(rows)}
    return Dataset.from_dict({"prompt": [turns[row] for row in rows], ROW: rows})


def teacher_prompts(task: TrainingTask, tokenizer: Any, prompt: Prompt, rows: list[int]) -> dict[int, list[int]]:
    """Row → the teacher's prompt for this example, in the teacher's tokens."""
    from components.training.encode import encode_prompts

    chosen = sorted(set(rows))
    prompts = encode_prompts(tokenizer, [prompt.messages(task.train[row]) for row in chosen])
    return dict(zip(chosen, prompts, strict=True))
