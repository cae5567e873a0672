"""What methods share that learn from better and worse answers: settings, rows, and part of TRL's configuration.

Their loss compares likelihoods with the starting model's, which are computed once, before the first step.
"""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from components.methods.samples import SamplingParams
from components.params import LoraParams
from components.training.memory import recomputed

ROWS = "rows"  # a folder beside the checkpoints


class PreferringParams(SamplingParams):
    """How far and how long the model moves."""

    lora: LoraParams | None = None
    beta: float = Field(default=0.1, gt=0, description="Lower values let the model move further from where it starts.")
    epochs: float = Field(default=1.0, gt=0)
    learning_rate: float = Field(default=5e-6, gt=0)
    warmup_share: float = Field(default=0.1, ge=0, le=1)
    evaluations: int = Field(default=4, ge=1)
    patience: int = Field(default=3, ge=1)
    dev_examples: int = Field(default=500, ge=1)
    max_tokens: int | None = Field(
        default=None, ge=32, description="Of a prompt and an answer to it; longer ones are left out. None: no limit."
    )
    gradient_checkpointing: bool = False


def encoded_answers(tokenizer: Any, answers: Sequence[tuple[str, bool]]) -> list[list[int]]:
    """Token ids of (answer, whether it was cut), in order; only those that were not cut have the end token.

    A cut answer never ended: with an end token a model would learn from it not to end such answers.

    Raises:
        TrainingError: The tokenizer has no end token.
    """
    from components.training.encode import encode_answers

    ids = encode_answers(tokenizer, [text for text, _ in answers])
    return [row[:-1] if cut else row for row, (_, cut) in zip(ids, answers, strict=True)]


def configuration(params: PreferringParams, steps: int) -> dict[str, Any]:
    """The arguments of TRL's configuration that these settings decide."""
    from components.training.dev import LOG_POINTS

    return {
        "max_steps": steps,
        "learning_rate": params.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": math.ceil(params.warmup_share * steps),
        "beta": params.beta,
        "max_length": None,
        "precompute_ref_log_probs": True,
        "logging_steps": max(1, steps // LOG_POINTS),
        **recomputed(params.gradient_checkpointing),
    }


def shared(rows: dict[str, Any], work: Path, compute: Any) -> Any:
    """Rows as a dataset, which several processes read from the same files.

    Beside these files TRL's main process writes the starting model's likelihoods, and the others look for them there.
    Without files each process would look in a temporary folder of its own.
    """
    from datasets import Dataset, load_from_disk

    dataset, state = Dataset.from_dict(rows), compute.state()
    if state.num_processes == 1:
        return dataset
    if state.is_main_process:
        shutil.rmtree(work / ROWS, ignore_errors=True)
        dataset.save_to_disk(work / ROWS)
    state.wait_for_everyone()
    return load_from_disk(work / ROWS, keep_in_memory=False)
