"""Runs a training in this process, or in several, with torch's elastic launcher or `accelerate launch`.

Decides the command, and what only one process does: every process runs the same stage, the main one prepares what all
train on, and it writes the results.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TypeVar

from components.errors import TrainingError
from components.params import LauncherParams
from components.training.sharding import SETTINGS

WORKER = "GRADUS_TRAINING_WORKER"  # set in launched processes, so that they do not launch more
Result = TypeVar("Result")
_preparing = ContextVar("preparing", default=False)  # the main process, while the others wait for it


def launch(params: LauncherParams, module: str, arguments: Sequence[str], here: Callable[[], None]) -> None:
    """Run `here` in this process, or `python -m module arguments` in several; return when all have finished.

    In a launched process, run `here`: a stage calls this in any process.

    Raises:
        TrainingError: A launched process failed.
    """
    if params.kind == "process" or os.environ.get(WORKER):
        here()
        return
    extra = SETTINGS if params.strategy == "fsdp2" else {}
    if params.kind == "torch":
        launch_elastic(params.processes, module, arguments, extra)
        return
    command = launch_command(params, module, arguments)
    code = subprocess.run(command, env={**os.environ, **extra, WORKER: "1"}, check=False).returncode
    if code:
        raise TrainingError(
            f"expected the launched training to end with exit code 0, found {code} ({' '.join(command)})"
        )


def is_main() -> bool:
    """Whether this process is the only one of its stage, or the main one: what that finds and writes counts."""
    return os.environ.get("RANK", "0") == "0"


def once(prepare: Callable[[], Result]) -> Result:
    """What the main process prepares, on every process: nothing is drawn, asked or paid for twice.

    Called on every process. What is prepared may call it too.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1" or _preparing.get():
        return prepare()
    from accelerate.utils import broadcast_object_list

    from components.training.precision import Compute

    state, prepared = Compute.choose("fp32").state(), list[Any]([None])
    if state.is_main_process:
        token = _preparing.set(True)
        try:
            prepared = [prepare()]
        finally:
            _preparing.reset(token)
    return broadcast_object_list(prepared)[0]


def launch_elastic(
    processes: int, module: str, arguments: Sequence[str], extra: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Run `python -m module arguments` in several child processes on this machine, over loopback.

    Cores are divided evenly; `extra` is added to their environment. Without a GPU, the processes communicate over gloo.

    Raises:
        TrainingError: A process failed; the others are stopped.
    """
    import torch
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = {**extra, WORKER: "1", "OMP_NUM_THREADS": str(max(1, cores // processes))}
    if not torch.cuda.is_available():
        loopback = "lo0" if sys.platform == "darwin" else "lo"
        given |= {"ACCELERATE_USE_CPU": "true", "GLOO_SOCKET_IFNAME": loopback}
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=processes, rdzv_backend="c10d", rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1", max_restarts=0, run_id=f"gradus-{os.getpid()}",
    )  # fmt: skip
    before = dict(os.environ)
    os.environ.update(given)
    try:
        elastic_launch(config, sys.executable)("-m", module, *arguments)
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
        raise TrainingError(f"expected the launched training to end with exit code 0, found {code}") from error
    finally:
        os.environ.clear()
        os.environ.update(before)


def launch_command(params: LauncherParams, module: str, arguments: Sequence[str]) -> list[str]:
    """The arguments of `accelerate launch`; they override an accelerate config file.

    Precision is the trainer's own setting and is not passed to accelerate.
    """
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    if params.config is not None:
        command += ["--config_file", params.config]
    else:
        command += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
        command += ["--multi_gpu"] if params.processes > 1 else []
    return [*command, "--num_processes", str(params.processes), "--module", module, *arguments]
