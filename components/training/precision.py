"""On what device and in what precision a training computes.

Master weights are float32 where all weights are trained; under LoRA the frozen ones stay as stored. `auto` computes
matrix products in bfloat16 where the hardware does: on CPUs with AVX-512 BF16 a training step of a 5 M-parameter LFM2
took 0.52 of the float32 time (one core, 32 examples of 220 tokens).
"""

from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from components.models import computes_bf16, fused_convolutions
from components.params import Precision


@dataclass(frozen=True)
class Compute:
    """The device kind, and whether products are computed in bfloat16 under autocast."""

    cpu: bool
    bf16: bool

    @classmethod
    def choose(cls, precision: Precision) -> "Compute":
        """What this machine offers; `fp32` and `bf16` are taken at their word."""
        import torch

        return cls(not torch.cuda.is_available(), precision == "bf16" or (precision == "auto" and computes_bf16()))

    def state(self) -> Any:
        """Accelerate's view of the processes; asked without the kind of device, it finds no others on a CPU."""
        from accelerate import PartialState

        return PartialState(cpu=self.cpu)

    @contextmanager
    def repeatable(self) -> Generator[None]:
        """The same sums in every run: on CPUs, gradients of indexing are else added up by whichever thread is first."""
        import torch

        if not self.cpu:  # where it costs speed, and needs CUBLAS_WORKSPACE_CONFIG from the start
            yield
            return
        before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
        settings: Any = torch.utils.deterministic
        filled = settings.fill_uninitialized_memory  # a help for debugging, and slow
        torch.use_deterministic_algorithms(True, warn_only=True)
        settings.fill_uninitialized_memory = False
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])
            settings.fill_uninitialized_memory = filled

    @contextmanager
    def fast_convolutions(self) -> Generator[None]:
        """Short convolutions without their slow gradient, which only float32 on a CPU has."""
        with fused_convolutions() if self.cpu and not self.bf16 else nullcontext():
            yield


@contextmanager
def without_autocast(model: Any) -> Generator[None]:
    """Let a model that accelerate has wrapped compute as it is stored, as every engine will.

    Accelerate replaces `forward` by one under autocast, which converts all weights anew for every generated token.
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
