import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from components.models import open_model
from components.training.sampling import Sampling, draw_completions, draw_many

COLD = Sampling(n=2, temperature=1e-4, max_new_tokens=40, stops=(258,), pad=256)
PROMPTS = [[5, 9, 40, 7, 2], [12, 8], [3, 3, 3, 100, 101, 102, 103, 104]]


@pytest.mark.parametrize("architecture", ["Lfm2", "Qwen3", "Llama"])
def test_cold_sampling_is_what_transformers_generates_greedily(
    architecture: str, model_folder: Callable[..., Path]
) -> None:
    model, _ = open_model(model_folder(architecture))
    drawn = draw_completions(model, PROMPTS, COLD).completions
    for index, prompt in enumerate(PROMPTS):
        alone = model.generate(
            torch.tensor([prompt]), max_new_tokens=40, do_sample=False, eos_token_id=258, pad_token_id=256
        )[0, len(prompt) :].tolist()
        assert drawn[2 * index] == alone
        assert drawn[2 * index + 1] == alone


def test_completions_end_with_a_stop_token_and_ended_rows_leave_the_others_alone(
    model_folder: Callable[..., Path],
) -> None:
    model, _ = open_model(model_folder())
    drawn = draw_completions(model, PROMPTS, COLD).completions
    first = {tuple(row): row[7] for row in drawn}[tuple(drawn[0])]
    stopped = draw_completions(model, PROMPTS, replace(COLD, stops=(first,))).completions
    for whole, cut in zip(drawn, stopped, strict=True):
        assert cut == (whole[: whole.index(first) + 1] if first in whole else whole)


def test_the_entropy_of_a_model_that_knows_nothing_is_that_of_the_uniform_distribution(
    model_folder: Callable[..., Path],
) -> None:
    model, _ = open_model(model_folder())
    torch.nn.init.zeros_(model.lm_head.weight)
    hot = replace(COLD, temperature=1.0, max_new_tokens=3, stops=())
    assert math.isclose(draw_completions(model, PROMPTS, hot).entropy, math.log(264), rel_tol=1e-5)


def test_many_prompts_come_back_in_their_order(model_folder: Callable[..., Path]) -> None:
    model, _ = open_model(model_folder())
    groups = draw_many(model, PROMPTS, COLD, batch=2)
    assert [completion for group in groups for completion in group] == draw_completions(
        model, PROMPTS, COLD
    ).completions


def test_draws_follow_the_distribution(model_folder: Callable[..., Path]) -> None:
    model, _ = open_model(model_folder())
    torch.manual_seed(0)
    once = replace(COLD, n=4000, temperature=0.05, max_new_tokens=1)
    drawn = torch.tensor([row[0] for row in draw_completions(model, PROMPTS[:1], once).completions])
    with torch.no_grad():
        p = (model(torch.tensor(PROMPTS[:1])).logits[0, -1] / 0.05).softmax(-1)
    counts: Any = torch.bincount(drawn, minlength=264) / 4000
    assert float((counts - p).abs().max()) < 5 * math.sqrt(0.25 / 4000)  # five standard errors
