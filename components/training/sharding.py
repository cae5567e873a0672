"""Weights, gradients and optimiser states that are shared out over the processes of a training (FSDP2).

Accelerate does it where a training's launcher asks for it, and looks for accelerators alone: on CPUs, over gloo, what
it asks for is said here. Checkpoints are sharded, and any number of processes goes on from them.
"""

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from components.errors import TrainingError

ASKED = "ACCELERATE_USE_FSDP"
SETTINGS: Mapping[str, str] = {
    ASKED: "true",
    "FSDP_VERSION": "2",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",  # every process has the weights when they are shared out
}


def allow_on_cpus(bf16: bool) -> None:
    """Let accelerate share out weights over processes on CPUs, where it was asked to.

    To be called when a trainer's settings are made, which forget all states, and before its accelerator is.
    """
    from accelerate import Accelerator, PartialState
    from accelerate.state import AcceleratorState
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    if os.environ.get(ASKED) != "true" or PartialState().distributed_type != DistributedType.MULTI_CPU:
        return
    Accelerator(cpu=True, mixed_precision="bf16" if bf16 else "no")  # whatever comes later takes over its state
    shared: tuple[Any, Any] = (PartialState, AcceleratorState)
    for state in shared:
        state._shared_state["distributed_type"] = DistributedType.FSDP
    shared[1]._shared_state["fsdp_plugin"] = FullyShardedDataParallelPlugin()


def is_shared_out(model: Any) -> bool:
    """Whether a model's weights are shared out."""
    from torch.distributed.fsdp import FSDPModule

    return isinstance(model, FSDPModule)


def refuse_whole(model: Any) -> None:
    """Refuse to train whole copies where weights were to be shared out.

    Raises:
        TrainingError: Accelerate did not share them out.
    """
    if os.environ.get(ASKED) == "true" and not is_shared_out(model):
        raise TrainingError(
            f"expected weights that are shared out over processes (launcher.strategy), found a whole copy of them in "
            f"{type(model).__name__}"
        )


@contextmanager
def gathered(model: Any) -> Generator[None]:
    """All weights on every process for the body, in which any part of the model may be called; then shared out again.

    Called on every process. Each has to have room for all of them.
    """
    if not is_shared_out(model):
        yield
        return
    from torch.distributed.fsdp import FSDPModule

    parts = [part for part in model.modules() if isinstance(part, FSDPModule)]
    model.set_reshard_after_forward(False, recurse=True)
    for part in parts:
        part.unshard()
    try:
        yield
    finally:
        model.set_reshard_after_forward(True, recurse=True)
        for part in parts:
            part.reshard()
