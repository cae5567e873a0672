"""Sums that come out the same in every run, and kernels whose gradients are defined."""

from typing import Any, cast

import torch

from components.training.precision import Compute


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
