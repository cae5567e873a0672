from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from components.methods.grpo.trainer import RolloutTrainer, cropped, distinct_rows, merged_advantages
from components.models import open_model
from components.training.memory import recomputed
from components.training.task import seed_of


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


def gradient(trainer: Any, *micro_batches: dict[str, Any]) -> torch.Tensor:
    trainer.current_gradient_accumulation_steps = len(micro_batches)
    trainer.model.train()
    trainer.model.zero_grad()
    for inputs in micro_batches:
        trainer._compute_loss(trainer.model, inputs).backward()
    return torch.cat([weight.grad.flatten() for weight in trainer.model.parameters() if weight.grad is not None])


@pytest.fixture
def build(model_folder: Callable[..., Path], tmp_path: Path) -> Callable[..., Any]:
    """A trainer of a kind on an architecture, whose steps have six rollouts in some micro-batches."""
    from datasets import Dataset
    from trl import GRPOConfig

    def make(kind: type[Any], architecture: str, micro_batches: int = 1) -> Any:
        model, tokenizer = open_model(model_folder(architecture))
        settings = GRPOConfig(
            output_dir=str(tmp_path), per_device_train_batch_size=6 // micro_batches, num_generations=3, use_cpu=True,
            gradient_accumulation_steps=micro_batches, bf16=False, report_to="none", temperature=0.8,
            **recomputed(False),
        )  # fmt: skip
        trainer = kind(
            model=model, reward_funcs=lambda completions, **_: [0.0] * len(completions), args=settings,
            train_dataset=Dataset.from_dict({"prompt": ["a", "b"]}), processing_class=tokenizer,
        )  # fmt: skip
        trainer.measure, trainer._drawn_entropy = (lambda step: False), 0.0
        return trainer

    return make


@pytest.mark.parametrize("architecture", ["Lfm2", "Llama"])
def test_the_gradient_is_the_one_that_trl_computes_on_all_rollouts(
    architecture: str, build: Callable[..., Any]
) -> None:
    from trl import GRPOTrainer

    ours, theirs = build(RolloutTrainer, architecture), build(GRPOTrainer, architecture)
    torch.testing.assert_close(gradient(ours, batch()), gradient(theirs, batch()), rtol=1e-4, atol=1e-6)


def test_equal_rollouts_in_different_micro_batches_are_computed_once(build: Callable[..., Any]) -> None:
    from trl import GRPOTrainer

    whole = batch()
    order = torch.tensor([0, 3, 4, 1, 2, 5])  # rows 0 and 1 are equal
    ids = torch.cat([whole["prompt_ids"], whole["completion_ids"]], dim=1)
    merged = {**whole, "advantages": merged_advantages(ids, whole["advantages"])}
    assert merged["advantages"].tolist() == pytest.approx([1.4, 0.0, -1.4, 0.0, 0.0, 0.0])
    halves = [
        {name: value[part] if value.dim() else value for name, value in merged.items()}
        for part in (order[:3], order[3:])
    ]
    split = gradient(build(RolloutTrainer, "Lfm2", micro_batches=2), *halves)
    torch.testing.assert_close(split, gradient(build(GRPOTrainer, "Lfm2"), whole), rtol=1e-4, atol=1e-6)


def with_tools(inputs: dict[str, Any], said: int) -> dict[str, Any]:
    """The same rollouts, each with two tokens of a tool's behind its first, and a turn behind them."""
    ids = inputs["completion_ids"]
    heard = torch.full((6, 2), said)
    zeros, ones = torch.zeros(6, 2, dtype=torch.long), torch.ones(6, 1, dtype=torch.long)
    return {
        **inputs,
        "completion_ids": torch.cat([ids[:, :1], heard, ids[:, 1:]], 1),
        "completion_mask": torch.cat([ones, ones, ones, inputs["completion_mask"][:, 1:]], 1),
        "tool_mask": torch.cat([ones, zeros, torch.ones_like(ids[:, 1:])], 1),
    }


def test_the_gradient_with_tools_is_the_one_that_trl_computes(build: Callable[..., Any]) -> None:
    from trl import GRPOTrainer

    ours, theirs = build(RolloutTrainer, "Lfm2"), build(GRPOTrainer, "Lfm2")
    whole = with_tools(batch(), 20)
    torch.testing.assert_close(gradient(ours, whole), gradient(theirs, whole), rtol=1e-4, atol=1e-6)
    unmasked = {name: value for name, value in whole.items() if name != "tool_mask"}
    assert not torch.allclose(gradient(ours, whole), gradient(ours, unmasked), rtol=1e-2)


def test_a_tool_s_result_gets_no_gradient_whatever_it_says(build: Callable[..., Any]) -> None:
    trainer = build(RolloutTrainer, "Lfm2")
    kept: list[torch.Tensor] = []

    def keep(module: Any, inputs: Any, logits: torch.Tensor) -> None:
        logits.retain_grad()
        kept.append(logits)

    trainer.model.get_output_embeddings().register_forward_hook(keep)
    for said in (20, 30):
        gradient(trainer, with_tools(batch(), said))
        slope = kept.pop().grad
        assert slope is not None
        on_tokens = slope.abs().sum(-1)  # (rows, tokens): of the logits that predict each token, and the next
        assert on_tokens.shape[1] == 6  # five tokens, two of them the tool's, and the one after the last
        assert (on_tokens[:, 1:3] == 0).all() and (on_tokens[:, [0, 3]] > 0).all()


def test_turns_of_one_step_draw_with_different_seeds_and_the_first_as_ever(build: Callable[..., Any]) -> None:
    trainer = build(RolloutTrainer, "Lfm2")
    first, second = trainer.step_seed(), trainer.step_seed()
    assert first == seed_of(trainer.args.seed, 1, 0) != second
    trainer.state.global_step = 1
    assert trainer.step_seed() == seed_of(trainer.args.seed, 2, 0)
