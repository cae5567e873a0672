from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from components.models import open_model
from components.training.grpo_trainer import RolloutTrainer, cropped, distinct_rows


def test_equal_rows_are_one_and_their_advantages_add_up() -> None:
    ids = torch.tensor([[1, 2], [3, 4], [1, 2], [5, 6], [3, 4]])
    rows, advantages = distinct_rows(ids, torch.tensor([0.5, -1.0, 0.5, 0.0, 0.25]))
    assert dict(zip(rows.tolist(), advantages.tolist(), strict=True)) == {0: 1.0, 1: -0.75}


def test_without_any_advantage_one_row_is_left() -> None:
    rows, advantages = distinct_rows(torch.tensor([[1], [2]]), torch.zeros(2))
    assert (rows.tolist(), advantages.tolist()) == ([0], [0.0])


def test_columns_of_padding_are_cut() -> None:
    inputs = {
        "prompt_ids": torch.tensor([[0, 0, 7], [0, 5, 6]]),
        "prompt_mask": torch.tensor([[0, 0, 1], [0, 1, 1]]),
        "completion_ids": torch.tensor([[8, 9, 0], [8, 0, 0]]),
        "completion_mask": torch.tensor([[1, 1, 0], [1, 0, 0]]),
    }
    cut = cropped(inputs)
    assert cut["prompt_ids"].tolist() == [[0, 7], [5, 6]]
    assert cut["completion_ids"].tolist() == [[8, 9], [8, 0]]


def batch() -> dict[str, Any]:
    """Six rollouts of two prompts: repeated ones, and some without advantage."""
    completions = torch.tensor([[4, 5, 258], [4, 5, 258], [6, 258, 256], [9, 258, 256], [9, 258, 256], [9, 258, 256]])
    prompts = torch.tensor([[256, 10, 11]] * 3 + [[12, 13, 14]] * 3)
    return {
        "prompt_ids": prompts,
        "prompt_mask": (prompts != 256).long(),
        "completion_ids": completions,
        "completion_mask": (completions != 256).long(),
        "advantages": torch.tensor([0.7, 0.7, -1.4, 0.0, 0.0, 0.0]),
        "num_items_in_batch": torch.tensor(14),
    }


def gradient(trainer: Any) -> torch.Tensor:
    trainer.current_gradient_accumulation_steps = 1
    trainer.model.train()
    trainer.model.zero_grad()
    trainer._compute_loss(trainer.model, batch()).backward()
    return torch.cat([weight.grad.flatten() for weight in trainer.model.parameters() if weight.grad is not None])


@pytest.mark.parametrize("architecture", ["Lfm2", "Llama"])
def test_the_gradient_is_the_one_that_trl_computes_on_all_rollouts(
    architecture: str, model_folder: Callable[..., Path], tmp_path: Path
) -> None:
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    def build(kind: type[Any]) -> Any:
        model, tokenizer = open_model(model_folder(architecture))
        settings = GRPOConfig(
            output_dir=str(tmp_path), per_device_train_batch_size=6, num_generations=3, use_cpu=True, bf16=False,
            report_to="none", temperature=0.8, activation_checkpointing=False,
        )  # fmt: skip
        return kind(
            model=model, reward_funcs=lambda completions, **_: [0.0] * len(completions), args=settings,
            train_dataset=Dataset.from_dict({"prompt": ["a", "b"]}), processing_class=tokenizer,
        )  # fmt: skip

    ours = build(RolloutTrainer)
    ours.measure, ours._drawn_entropy = (lambda step: False), 0.0
    torch.testing.assert_close(gradient(ours), gradient(build(GRPOTrainer)), rtol=1e-4, atol=1e-6)
