"""The device and the precision of a training.

Master weights are float32 if all weights are trained; with LoRA, frozen weights stay as stored, unless products in that
are slow. `auto` computes matrix products in bfloat16 if the hardware does: on CPUs with AVX-512 BF16 a training step of
a 5 M-parameter LFM2 took 0.52 of the float32 time (one core, 32 examples of 220 tokens).
"""

from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from components.models import computes_bf16, fused_convolutions
from components.params import Precision

MOST_WAIT = timedelta(days=1)  # for the main process, which may draw or ask for hours before the first step


@dataclass(frozen=True)
class Compute:
    """The kind of device, and whether products are computed in bfloat16 under autocast."""

    cpu: bool
    bf16: bool

    @classmethod
    def choose(cls, precision: Precision) -> "Compute":
        """The best that this machine offers for `auto`; `fp32` and `bf16` are used as given."""
        import torch

        return cls(not torch.cuda.is_available(), precision == "bf16" or (precision == "auto" and computes_bf16()))

    def state(self) -> Any:
        """Accelerate's process state; without the kind of device, it sees no other processes on a CPU."""
        from accelerate import PartialState

        return PartialState(cpu=self.cpu, timeout=MOST_WAIT)

    @contextmanager
    def repeatable(self) -> Generator[None]:
        """Make sums reproducible: on CPUs, threads otherwise add up gradients of indexing in any order."""
        import torch

        if not self.cpu:  # on a GPU it would cost speed and need CUBLAS_WORKSPACE_CONFIG from the start
            yield
            return
        before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
        settings: Any = torch.utils.deterministic
        filled = settings.fill_uninitialized_memory  # a slow debugging aid
        torch.use_deterministic_algorithms(True, warn_only=True)
        settings.fill_uninitialized_memory = False
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])
            settings.fill_uninitialized_memory = filled

    @contextmanager
    def sound_attention(self) -> Generator[None]:
        """Leave cuDNN's attention out: on an H100 or H200 its gradient is undefined for some padded batches.

        So it is in torch 2.11 to 2.13 (pytorch issue 196678): for masked rows of 64 tokens more than a multiple of 128,
        where a token attends to nothing, as padding does, or to scores below -88. Other kernels take its place.
        """
        import torch

        attention: Any = torch.backends.cuda
        before = attention.cudnn_sdp_enabled()
        attention.enable_cudnn_sdp(False)
        try:
            yield
        finally:
            attention.enable_cudnn_sdp(before)

    @contextmanager
    def fast_convolutions(self) -> Generator[None]:
        """Avoid the slow gradient of short convolutions, which only float32 on a CPU has."""
        with fused_convolutions() if self.cpu and not self.bf16 else nullcontext():
            yield


@contextmanager
def without_autocast(model: Any) -> Generator[None]:
    """Let a model wrapped by accelerate compute in its stored precision, as every engine will.

    Accelerate wraps `forward` in autocast, which would convert all weights again for every generated token.
    """
    wrapped, plain = model.__dict__.get("forward"), model.__dict__.get("_original_forward")
    if plain is None:
        yield
        return
    model.forward = plain
    try:
        yield
    finally:
        model.forward = wrapped
