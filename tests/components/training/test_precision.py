"""Sums that come out the same in every run, and kernels whose gradients are defined."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from components import models
from components.engines import embedding
from components.params import LoraParams
from components.training import TrainingTask
from components.training.precision import Compute
from components.training.run import starting_model


def test_gradients_of_indexing_are_added_up_in_one_order_whatever_the_threads_do() -> None:
    threads, settings = torch.get_num_threads(), cast("Any", torch.utils.deterministic)
    torch.set_num_threads(4)
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(400_000, generator=generator)
    places = torch.randint(0, 64, (400_000,), generator=generator)
    try:
        with Compute(cpu=True, bf16=False).repeatable():
            sums = [torch.zeros(64).index_put((places,), values, accumulate=True) for _ in range(5)]
            assert not settings.fill_uninitialized_memory
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(sums[0], other) for other in sums)
    assert not torch.are_deterministic_algorithms_enabled()  # as it was
    assert settings.fill_uninitialized_memory


def test_a_training_goes_without_cudnn_s_attention_and_leaves_the_setting_as_it_was() -> None:
    for before in (True, False):
        torch.backends.cuda.enable_cudnn_sdp(before)
        with Compute(cpu=False, bf16=True).sound_attention():
            assert not torch.backends.cuda.cudnn_sdp_enabled()
        assert torch.backends.cuda.cudnn_sdp_enabled() is before
    torch.backends.cuda.enable_cudnn_sdp(True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="of a CPU's precision")
@pytest.mark.parametrize(("fast", "computed"), [(True, torch.bfloat16), (False, torch.float32)])
def test_weights_of_16_bits_are_widened_where_their_products_are_slow(
    make_task: Callable[..., TrainingTask],
    model_folder: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    fast: bool,
    computed: torch.dtype,
) -> None:
    monkeypatch.setattr(models, "computes_bf16", lambda: fast)
    task, lora = make_task(model=model_folder("Qwen3", bf16=True)), LoraParams(rank=2, alpha=4)
    assert starting_model(task, lora, Compute.choose("auto"))[0].dtype == computed
    assert starting_model(task, None, Compute.choose("auto"))[0].dtype == torch.float32

    bodies, means = list[Any](), embedding._means
    monkeypatch.setattr(embedding, "_means", lambda body, tokens: bodies.append(body) or means(body, tokens))
    embedding.embed(task.model, ["a text"])
    assert bodies[0].dtype == computed
