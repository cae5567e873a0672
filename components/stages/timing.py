"""`python -m components.stages.timing RUN KIND FOLDER CLOCK`: times a kind of work on a little of a run's data.

Prints a `Measured` as a line of JSON. It runs as a process of its own, as a stage does and with the run's own batches,
so that its peak memory is that of a stage. The work is done on a few examples, on the same number again and then on
more: the last two show what each example takes, the first what is done once (imports, loading, compiling). The clock is
the wall's, or the processor's, which other processes disturb less.
"""

import importlib
import itertools
import os
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from components.data.prepare import Taken, prepare
from components.errors import EXIT_CODE_ERROR, GradusError
from components.evaluation.label_audit import doubts
from components.evaluation.sample import sample
from components.ladder import PlannedRung
from components.methods import Job, method_of
from components.methods.sft.settings import SftParams
from components.records import Example, Record, read_jsonl
from components.stages.bases import job_in
from components.stages.data import first_look, token_limits
from components.stages.run import Run
from components.tracking import NullTracker

ANSWERS = (16, 96)  # sizes of the first two rounds, and of the third
ROWS = (250, 750)
BATCHES = (4, 16)  # of demonstrations
STEPS = (1, 4)
DRAWN = 32  # prompts whose draws are timed
DATA, AUDIT, START = "data", "audit", "start"
ROUNDS = 3
Clock = Callable[[], float]


def processor() -> float:
    """CPU seconds of this process and of its finished children."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


CLOCKS: dict[str, Clock] = {"wall": time.monotonic, "processor": processor}


class Measured(Record):
    """A kind of work: its fixed seconds, those for each unit, and the peak memory of its process.

    Units are rows of data, answers to a prompt, demonstrations of a training, or steps of RL. For a trained model,
    `load_seconds` is the time to open it, `answer_seconds` that of a greedy answer, `draw_seconds` that of a drawn one.
    `record_seconds` is the time to open and close an MLflow run, as every stage does.
    """

    once_seconds: float
    unit_seconds: float
    peak_bytes: int
    load_seconds: float = 0.0
    answer_seconds: float = 0.0
    draw_seconds: float = 0.0
    record_seconds: float = 0.0


@dataclass(frozen=True)
class Timer:
    """Seconds since a process started, by one clock."""

    clock: Clock
    started: float

    def now(self) -> float:
        return self.clock() - self.started


def main(arguments: Sequence[str]) -> None:
    """Time one kind of work and print the result.

    Raises:
        GradusError: The data, the model or the training fails.
    """
    name, kind, folder, clock = arguments
    timer = Timer(CLOCKS[clock], time.monotonic() if clock == "wall" else 0.0)
    print(measure(Run.load(name), kind, Path(folder), timer).model_dump_json())


def measure(run: Run, kind: str, folder: Path, timer: Timer) -> Measured:
    """Time a kind of work: `data`, `audit`, `start`, or a rung's, by its name."""
    if kind == START:
        return _starting(run, folder, timer)
    if kind == DATA:
        draw = partial(first_look, run) if run.first_look else None
        prepare(run.workload, run.data_source, folder / "data", NullTracker(), Taken(token_limits(run), draw))
        return Measured(once_seconds=timer.now(), unit_seconds=0.0, peak_bytes=peak())
    train, dev = (read_jsonl(folder / "data" / f"{split}.jsonl", Example) for split in ("train", "dev"))
    if kind == AUDIT:
        sizes = _sizes(ROWS, len(train))
        return timed(
            lambda n, _: doubts(sample(train, n, run.seed), run.workload.output, run.columns, run.audit, run.seed),
            sizes,
            timer,
        )
    planned = run.planned(kind)
    job = job_in(run, planned, train, dev, folder / kind)
    if planned.makes == "classifier":
        sizes = _sizes(ROWS, len(train))
        return timed(
            lambda n, _: planned.make(replace(job, train=sample(train, n, run.seed)), NullTracker()), sizes, timer
        )
    if planned.makes == "prompt":
        return _prompting(job, planned, timer)
    return _training(run, job, planned, timer)


def _starting(run: Run, folder: Path, timer: Timer) -> Measured:
    """Time only the imports of a stage without heavy work, and an MLflow run, opened and closed.

    The first time creates the record, which no stage does, so the second time counts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder.resolve()}/record.db"
    for name in ("components.stages.evaluate", "components.stages.report"):
        importlib.import_module(name)
    imported = timer.now()
    open_run = importlib.import_module("components.registry").open_run
    with open_run(run.workload.name, START, {"run": run.name}) as tracker:
        tracker.metrics({"stage_seconds": imported})
    recorded = timer.now() - imported
    return Measured(once_seconds=imported, unit_seconds=0.0, peak_bytes=peak(), record_seconds=recorded)


def _prompting(job: Job, planned: PlannedRung, timer: Timer) -> Measured:
    """Time a prompt's answers and their scoring."""
    if planned.prompt is not None:
        job = replace(job, prompt=job.written_prompt(planned.prompt))

    def answer(n: int, _: int) -> None:
        planned.make(replace(job, profile=job.profile.model_copy(update={"dev_examples": n})), NullTracker())

    return timed(answer, _sizes(ANSWERS, len(job.dev)), timer)


def _training(run: Run, job: Job, planned: PlannedRung, timer: Timer) -> Measured:
    """Time a training on few batches or steps, and answers of the trained model."""
    own: Any = planned.settings
    draws = own  # the method's own settings, also where only its imitation is timed
    little = {"evaluations": 1, "dev_examples": 1, "probe_prompts": 0}
    if planned.takes("steps"):
        sizes = STEPS
    else:
        planned, own = imitating(planned)
        little["epochs"] = 1
        sizes = _sizes((BATCHES[0] * own.batch_examples, BATCHES[1] * own.batch_examples), len(job.train))
    little = {name: value for name, value in little.items() if planned.takes(name)}

    def train(n: int, at: int) -> None:
        settings = own.model_copy(update={**little, "steps": n} if planned.takes("steps") else little)
        part = job if planned.takes("steps") else replace(job, train=sample(job.train, n, job.seed))
        planned.make(replace(part, out=job.out / str(at), work=job.work / str(at)), NullTracker(), settings)

    trained = timed(train, sizes, timer)
    answering = _answering(run, job, draws, timer)
    figures = {"once_seconds": trained.once_seconds, "unit_seconds": trained.unit_seconds, "peak_bytes": peak()}
    return answering.model_copy(update=figures)


def _answering(run: Run, job: Job, draws: Any, timer: Timer) -> Measured:
    """Time the last trained model: opening it, answering, and drawing if the method draws."""
    few, many = (job.dev_sample(n) for n in _sizes(ANSWERS, len(job.dev)))
    moments = [timer.now()]
    opened = job.open_model(job.out / str(ROUNDS - 1))
    for examples in (few, few, many):
        opened.answer(examples, run.seed)
        moments.append(timer.now())
    begun, first, second, third = moments
    answer = max(0.0, third - second - (second - first)) / max(1, len(many) - len(few)) or (third - second) / len(many)
    draw, generations = 0.0, getattr(draws, "generations", 0)
    if generations:
        some, drawing = sample(job.train, DRAWN, run.seed), timer.now()
        opened.draw(some, run.seed, draws.temperature, generations)
        draw = (timer.now() - drawing) / (len(some) * generations)
    load = max(0.0, first - begun - len(few) * answer)
    return Measured(
        once_seconds=0.0, unit_seconds=0.0, peak_bytes=0, load_seconds=load, answer_seconds=answer, draw_seconds=draw
    )


def imitating(planned: PlannedRung) -> tuple[PlannedRung, Any]:
    """A rung that only imitates, as a part of a method's work; the rest is timed separately. With its settings."""
    settings = planned.settings.part(SftParams)
    return replace(
        planned, made_by=getattr(method_of(planned.made_by), "inherits", planned.made_by), settings=settings
    ), settings


def timed(work: Callable[[int, int], object], sizes: tuple[int, int], timer: Timer) -> Measured:
    """Work on a few, on the same number again, and on more; `work` is called with the number and the round."""
    few, many = sizes
    moments = [0.0]
    for at, n in enumerate((few, few, many)):
        work(n, at)
        moments.append(timer.now())
    first, again, more = (after - before for before, after in itertools.pairwise(moments))
    each = (more - again) / (many - few) if many > few and more > again else more / many
    return Measured(once_seconds=max(0.0, first - few * each), unit_seconds=each, peak_bytes=peak())


def _sizes(wanted: tuple[int, int], there: int) -> tuple[int, int]:
    return min(wanted[0], there), min(wanted[1], there)


def peak() -> int:
    """The peak memory of this process, in bytes: reserved on the GPU if there is one, else main memory."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_reserved())
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes if sys.platform == "darwin" else 1024 * kilobytes


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except GradusError as error:
        print(f"gradus: {error}", file=sys.stderr)
        sys.exit(EXIT_CODE_ERROR)
