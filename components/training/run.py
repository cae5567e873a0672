"""A training, from its task to its result folder, with any trainer.

Decides the order: claim the work folder, resume from its last checkpoint, train, publish the best weights.
"""

import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from components.errors import ConfigError, TrainingError
from components.models import open_model, widened
from components.params import LoraParams
from components.tracking import Tracker
from components.training.checkpoints import abandon, best_folder, last_checkpoint, publish, read_state
from components.training.hacking_watch import Look, watched
from components.training.precision import Compute, without_autocast
from components.training.sharding import gathered, is_shared_out
from components.training.task import ScoreDev, Trained, TrainingTask

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A trainer and its task.

    `items` is the mean number of examples or rollouts per step, `prepared` the seconds of work before the first.
    """

    task: TrainingTask
    trainer: Any
    plan: Any
    names: Mapping[str, str]
    items: float
    prepared: float = 0.0


def finish(job: Job, tracker: Tracker, compute: Compute) -> Trained:
    """Train, or resume, until the plan is completed, and publish the best weights.

    Raises:
        TrainingError: The loss is not finite; then no checkpoint is left, with which other settings would be refused.
    """
    from transformers import PrinterCallback

    from components.training.dev import BestOnDev, Hooks, Report, dev_scores, stops_early

    trainer, work = job.trainer, job.task.work
    checkpoint = last_checkpoint(work)
    history: list[dict[str, Any]] = (read_state(checkpoint) or {})["log_history"] if checkpoint else []
    done = {step for step, _ in dev_scores(history)}
    if max(job.plan.steps) in done or stops_early(history, job.plan.patience):
        log.info("The training in %s had already finished; its best weights are published again.", work)
    else:
        score = synchronised(trainer, job.task.score_dev)
        hooks = Hooks(score, partial(keep_weights, trainer), work, job.task.hacking)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(BestOnDev(job.plan, hooks))
        trainer.add_callback(Report(job.names, tracker))
        with compute.repeatable(), compute.sound_attention(), compute.fast_convolutions(), only_training_bar():
            try:
                trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            except TrainingError:
                abandon(work)
                raise
        history = trainer.state.log_history
    return _publish(job, history)


def _publish(job: Job, history: list[dict[str, Any]]) -> Trained:
    """Write the result folder, in the main process only, and return the training's record."""
    from components.training.dev import best_step, curves_of, dev_scores, training_seconds

    scores, step = dev_scores(history), best_step(history)
    if job.trainer.is_world_process_zero():
        publish(job.task.model, best_folder(job.task.work, step), job.task.out)
    job.trainer.accelerator.wait_for_everyone()
    steps, seconds = scores[-1][0], training_seconds(history)
    return Trained(
        best_step=step,
        dev_score=dict(scores)[step],
        steps=steps,
        seconds=seconds,
        prepared=job.prepared,
        examples_per_second=job.items * steps / seconds if seconds else 0.0,
        curves=curves_of(history, job.names),
        watch=watched(history),
    )


@contextmanager
def only_training_bar() -> Generator[None]:
    """Hide transformers' progress bars for files, which would interrupt the training's own."""
    from transformers.utils import logging as library

    shown = library.is_progress_bar_enabled()
    library.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            library.enable_progress_bar()


def keep_weights(trainer: Any, folder: Path) -> None:
    """Write the weights as they are to a folder, whole, though they may be shared out; called on every process."""
    if is_shared_out(trainer.model):
        whole = trainer.accelerator.get_state_dict(trainer.model)
        if trainer.args.should_save:  # others have gathered nothing, and older versions of transformers would write it
            trainer._save(str(folder), state_dict=whole)
    else:
        trainer.save_model(str(folder), _internal_call=True)


def synchronised(trainer: Any, score_dev: ScoreDev) -> Callable[[], float | Look]:
    """A function for the dev score of the current weights; all processes get the main one's, so all stop together."""
    from accelerate.utils import broadcast_object_list
    from trl.models import unwrap_model_for_generation

    def score() -> float | Look:
        import torch

        with unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model:
            training = model.training
            with torch.no_grad(), gathered(model), without_autocast(model):
                scores = [score_dev(model.eval(), trainer.processing_class)]
            model.train(training)
        return broadcast_object_list(scores)[0]

    return score


def starting_model(task: TrainingTask, lora: LoraParams | None, compute: Compute) -> tuple[Any, Any]:
    """(model, tokenizer) on this process's device: in float32 if all weights are trained, else as stored where fast.

    Raises:
        EngineError: The folder is not a loadable model.
        TrainingError: The tokenizer has neither an end nor a padding token, or the model has a table of positions.
    """
    from components.training.batches import refuse_shifted

    model, tokenizer = open_model(task.model)
    refuse_shifted(model)
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise TrainingError(f"expected an end or padding token in the tokenizer, found none ({task.model})")
        tokenizer.pad_token = tokenizer.eos_token
    return (widened(model) if lora else model.float()).to(compute.state().device).train(), tokenizer


def adapter(lora: LoraParams | None) -> Any:
    """The PEFT configuration for these settings, None if all weights are trained."""
    if lora is None:
        return None
    from peft import LoraConfig

    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    return LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets, task_type="CAUSAL_LM"
    )


def accumulation(items: int, per_device: int, compute: Compute, names: str) -> int:
    """The number of micro-batches per optimiser step on each process.

    Raises:
        ConfigError: The step's items do not divide evenly over processes and micro-batches.
    """
    processes: int = compute.state().num_processes
    if items % (per_device * processes):
        raise ConfigError(f"{names} must divide evenly, found {items} over {per_device} on {processes} processes")
    return items // (per_device * processes)


def shared_settings(task: TrainingTask, compute: Compute) -> dict[str, Any]:
    """Trainer settings for all methods: this package handles checkpoints and reporting itself."""
    return {
        "output_dir": str(task.work),
        "seed": task.seed,
        "use_cpu": compute.cpu,
        "bf16": compute.bf16,
        "save_strategy": "no",
        "save_total_limit": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "logging_nan_inf_filter": False,
        "ddp_find_unused_parameters": False,
        "dataloader_pin_memory": not compute.cpu,
    }
