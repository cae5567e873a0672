"""LFM2's short convolutions in a form whose gradient is fast on CPUs."""

from collections.abc import Generator
from contextlib import contextmanager

from torch import Tensor, nn


@contextmanager
def fused_convolutions() -> Generator[None]:
    """Let LFM2 compute its short convolutions as sums of shifted products.

    Equal to the reference up to rounding. PyTorch's float32 gradient of a depthwise convolution takes 0.3 s a layer on
    8,192 tokens and two cores, more than the rest of the step together; in bfloat16 it is fast as it is.
    """
    from transformers.models.lfm2 import modeling_lfm2

    reference = modeling_lfm2.causal_conv1d_fn
    modeling_lfm2.causal_conv1d_fn = shifted_convolution
    try:
        yield
    finally:
        modeling_lfm2.causal_conv1d_fn = reference


def shifted_convolution(states: Tensor, weight: Tensor, bias: Tensor | None = None, **_: object) -> Tensor:
    """Causal depthwise convolution of (B, C, T) states with (C, K) weights."""
    width, length = weight.shape[-1], states.shape[-1]
    padded = nn.functional.pad(states, (width - 1, 0))
    total = weight[:, 0, None] * padded[:, :, :length]
    for k in range(1, width):
        total = total + weight[:, k, None] * padded[:, :, k : k + length]
    return total if bias is None else total + bias[:, None]
