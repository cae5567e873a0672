"""Supervised fine-tuning on demonstrations: answers, or tries of an agent."""

import math
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from components.errors import ConfigError
from components.methods.sft.settings import SftParams
from components.records import Trajectory
from components.tracking import Tracker
from components.training.checkpoints import claim
from components.training.encode import Encoded, EncodedTry, encode_examples, encode_trajectories
from components.training.memory import recomputed
from components.training.precision import Compute
from components.training.run import Job, accumulation, adapter, finish, shared_settings, starting_model
from components.training.sharding import ASKED
from components.training.task import Trained, TrainingTask

NAMES = {"loss": "loss", "dev_score": "dev_score", "learning_rate": "learning_rate"}


def train_sft(
    task: TrainingTask, params: SftParams, tracker: Tracker, weights: Sequence[float] | None = None
) -> Trained:
    """Train a model on the demonstrations of its task, and write the best weights by dev score to `task.out`.

    An interrupted training resumes from the last checkpoint in `task.work` and ends with the same weights. `weights`
    are factors on each example's loss, with mean 1.

    Raises:
        DataError: No examples, or one that is too long.
        EngineError: `task.model` is no model folder.
        TrainingError: `task.work` belongs to another training, or the loss is not finite.
    """
    compute = Compute.choose(task.precision)
    model, tokenizer = starting_model(task, params.lora, compute)
    encoded = encode_examples(tokenizer, task.prompt, task.train, params.max_tokens)
    claim(task.work, task.identity(params, *map(repr, weights or ())))
    return finish(sft_job(task, params, (model, tokenizer), encoded, compute, weights), tracker, compute)


def train_sft_on_tries(
    task: TrainingTask, params: SftParams, trajectories: Sequence[Trajectory], tracker: Tracker
) -> Trained:
    """As `train_sft`, on trajectories instead of the task's examples: only the assistant's tokens are in the loss.

    Raises:
        DataError: No trajectory, or one that is too long or calls tools without their schemas.
        EngineError: `task.model` is no model folder, or its template cannot render a trajectory.
        TrainingError: `task.work` belongs to another training, or the loss is not finite.
    """
    compute = Compute.choose(task.precision)
    model, tokenizer = starting_model(task, params.lora, compute)
    encoded = encode_trajectories(tokenizer, trajectories, params.max_tokens)
    claim(task.work, task.identity(params, *(trajectory.model_dump_json() for trajectory in trajectories)))
    return finish(sft_job(task, params, (model, tokenizer), encoded, compute), tracker, compute)


def sft_job(  # noqa: PLR0913, PLR0917 - what a trainer is made of are six things
    task: TrainingTask,
    params: SftParams,
    opened: tuple[Any, Any],
    encoded: Sequence[Encoded | EncodedTry],
    compute: Compute,
    weights: Sequence[float] | None = None,
) -> Job:
    """The trainer of these settings, before its first step.

    Raises:
        ConfigError: Settings do not fit together, or not this model.
    """
    from datasets import Dataset
    from trl import SFTConfig

    from components.methods.sft.trainer import AnswerTrainer
    from components.training.batches import WEIGHT, collate
    from components.training.dev import LOG_POINTS, Plan
    from components.training.packing import Packing, refuse_changed_logits

    if params.optimiser == "muon" and os.environ.get(ASKED) == "true":
        raise ConfigError("sft.optimiser: expected adamw where weights are shared out (launcher.strategy), found muon")
    device_batch = min(params.device_batch_examples, params.batch_examples)
    several = accumulation(params.batch_examples, device_batch, compute, "sft.batch_examples")
    packing = None
    if weights is not None and params.packed_tokens is not None:
        raise ConfigError("packed_tokens is for examples of equal weight, found weights")
    if params.packed_tokens is not None:
        if compute.state().num_processes > 1:
            raise ConfigError("sft.packed_tokens is for one process, found several (launcher.processes)")
        refuse_changed_logits(opened[0], encoded[0].input_ids)
        packing = Packing.plan(encoded, max(params.packed_tokens, params.max_tokens), params.batch_examples, task.seed)
    several, rows = packing.divided(device_batch) if packing else (several, device_batch)
    a_step = packing.rows if packing else params.batch_examples
    steps = math.ceil(params.epochs * math.ceil((packing.epoch_rows if packing else len(encoded)) / a_step))
    settings = SFTConfig(
        **shared_settings(task, compute),
        max_steps=steps,
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=several,
        learning_rate=params.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=math.ceil(params.warmup_share * steps),
        weight_decay=params.weight_decay,
        **recomputed(params.gradient_checkpointing),
        logging_steps=max(1, steps // LOG_POINTS),
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
    )
    model, tokenizer = opened
    columns = {
        "input_ids": [example.input_ids for example in encoded],
        "labels": [example.labels for example in encoded],
    }
    if weights is not None:
        columns |= {WEIGHT: list(weights)}
    trainer = AnswerTrainer(
        model=model,
        args=settings,
        data_collator=partial(collate, pad=tokenizer.pad_token_id),
        train_dataset=Dataset.from_dict(columns),
        processing_class=tokenizer,
        peft_config=adapter(params.lora),
    )
    trainer.muon, trainer.packing = params.optimiser == "muon", packing
    plan = Plan.spread(steps, params.evaluations, params.patience)
    return Job(task, trainer, plan, NAMES, len(encoded) * params.epochs / steps)
