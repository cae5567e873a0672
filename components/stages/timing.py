"""`python -m components.stages.timing RUN KIND FOLDER`: a kind of work done twice on a little of a run's data, timed.

Prints a `Measured` as a line of JSON. It runs as a process of its own, as a stage does, so that its largest memory is
that of such a stage: batches are the run's own. What is done once (imports, loading, compiling) is told from what every
example takes by doing the work again, on more of it.
"""

import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
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

ANSWERS = (16, 96)  # first and then, of a kind of work
ROWS = (250, 750)
BATCHES = (4, 16)  # of demonstrations
STEPS = (1, 4)
DRAWN = 32  # prompts whose draws are timed
DATA, AUDIT, START = "data", "audit", "start"


class Measured(Record):
    """A kind of work: seconds that it takes once and for each unit of it, and the largest memory of its process.

    Units are rows of data, answers to a prompt, demonstrations of a training, or steps of RL. Of what trains a model
    `load_seconds` is what opening the model takes, `answer_seconds` each of its greedy answers, `draw_seconds` each
    drawn one.
    """

    once_seconds: float
    unit_seconds: float
    peak_bytes: int
    load_seconds: float = 0.0
    answer_seconds: float = 0.0
    draw_seconds: float = 0.0


def main(arguments: Sequence[str]) -> None:
    """Do one kind of work and print what it took.

    Raises:
        GradusError: The data, the model or the training are not as they should be.
    """
    started = time.monotonic()
    name, kind, folder = arguments
    print(measure(Run.load(name), kind, Path(folder), started).model_dump_json())


def measure(run: Run, kind: str, folder: Path, started: float) -> Measured:
    """What a kind of work takes: `data`, `audit`, `start`, or a rung's name."""
    if kind == START:
        import components.stages.evaluate
        import components.stages.report  # noqa: F401 - what stages that compute little import is all that they take

        return Measured(once_seconds=time.monotonic() - started, unit_seconds=0.0, peak_bytes=peak())
    if kind == DATA:
        draw = partial(first_look, run) if run.first_look else None
        prepare(run.workload, run.data_source, folder / "data", NullTracker(), Taken(token_limits(run), draw))
        return Measured(once_seconds=time.monotonic() - started, unit_seconds=0.0, peak_bytes=peak())
    train, dev = (read_jsonl(folder / "data" / f"{split}.jsonl", Example) for split in ("train", "dev"))
    if kind == AUDIT:
        return _twice(lambda n: doubts(train[:n], run.workload.output, run.columns, run.audit, run.seed),
                      _sizes(ROWS, len(train)), started)  # fmt: skip
    planned = run.planned(kind)
    job = job_in(run, planned, train, dev, folder / kind)
    if planned.makes == "classifier":
        return _twice(lambda n: planned.make(replace(job, train=train[:n]), NullTracker()), _sizes(ROWS, len(train)),
                      started)  # fmt: skip
    if planned.makes == "prompt":
        return _prompting(job, planned, started)
    return _training(run, job, planned, started)


def _prompting(job: Job, planned: PlannedRung, started: float) -> Measured:
    """Prompts asked, and their answers scored."""
    if planned.prompt is not None:
        job = replace(job, prompt=job.written_prompt(planned.prompt))

    def ask(n: int) -> None:
        planned.make(replace(job, profile=job.profile.model_copy(update={"dev_examples": n})), NullTracker())

    return _twice(ask, _sizes(ANSWERS, len(job.dev)), started)


def _training(run: Run, job: Job, planned: PlannedRung, started: float) -> Measured:
    """A training on few batches or steps, and answers of what came of it."""
    own: Any = planned.settings
    if planned.takes("steps"):
        little = {"evaluations": 1, "dev_examples": 1, "probe_prompts": 0}
        little = {name: value for name, value in little.items() if planned.takes(name)}
        units, rounds = STEPS, [(job, own.model_copy(update={**little, "steps": steps})) for steps in STEPS]
    else:
        planned, own = imitating(planned)
        units = _sizes((BATCHES[0] * own.batch_examples, BATCHES[1] * own.batch_examples), len(job.train))
        shorter = own.model_copy(update={"epochs": 1.0, "evaluations": 1, "dev_examples": 1})
        rounds = [(replace(job, train=sample(job.train, n, job.seed)), shorter) for n in units]
    metrics, ends = dict[str, float](), list[float]()
    for at, (part, settings) in enumerate(rounds):
        folders = {"out": job.out / str(at), "work": job.work / str(at)}
        metrics = planned.make(replace(part, **folders), NullTracker(), settings).metrics
        ends.append(time.monotonic())
    each = rollouts(own) / metrics["examples_per_second"]
    answering = _answering(run, job, job.out / str(len(rounds) - 1), own)
    return answering.model_copy(update={
        "once_seconds": max(0.0, ends[0] - started - units[0] * each), "unit_seconds": each, "peak_bytes": peak(),
    })  # fmt: skip


def _answering(run: Run, job: Job, model: Path, own: Any) -> Measured:
    """What a trained model takes to open, to answer, and to draw where the method draws."""
    few, many = (job.dev_sample(n) for n in _sizes(ANSWERS, len(job.dev)))
    opening = time.monotonic()
    opened = job.open_model(model)
    opened.answer(few, run.seed)
    opened_by = time.monotonic()
    answer = opened.answer(many, run.seed).seconds / len(many)
    draw, generations = 0.0, getattr(own, "generations", 0)
    if generations:
        some, drawing = sample(job.train, DRAWN, run.seed), time.monotonic()
        opened.draw(some, run.seed, own.temperature, generations)
        draw = (time.monotonic() - drawing) / (len(some) * generations)
    load = max(0.0, opened_by - opening - len(few) * answer)
    return Measured(
        once_seconds=0.0, unit_seconds=0.0, peak_bytes=0, load_seconds=load, answer_seconds=answer, draw_seconds=draw
    )


def imitating(planned: PlannedRung) -> tuple[PlannedRung, Any]:
    """A rung whose method trains as imitation does, made by imitation alone: what else it does is told apart."""
    settings = planned.settings.part(SftParams)
    return replace(
        planned, made_by=getattr(method_of(planned.made_by), "inherits", planned.made_by), settings=settings
    ), settings


def rollouts(settings: Any) -> int:
    """What the figure of examples a second counts in a unit: rollouts of a step, or one demonstration."""
    if not hasattr(settings, "steps"):
        return 1
    return settings.prompts_per_step * getattr(settings, "generations", 1)


def _twice(work: Callable[[int], object], sizes: tuple[int, int], started: float) -> Measured:
    """Work on a few and then on more: what comes once is what the first time has beyond its units."""
    work(sizes[0])
    first = time.monotonic()
    work(sizes[1])
    each = (time.monotonic() - first) / sizes[1]
    return Measured(once_seconds=max(0.0, first - started - sizes[0] * each), unit_seconds=each, peak_bytes=peak())


def _sizes(wanted: tuple[int, int], there: int) -> tuple[int, int]:
    return min(wanted[0], there), min(wanted[1], there)


def peak() -> int:
    """The largest memory that this process has had, in bytes: of a GPU what was reserved there, else main memory."""
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
