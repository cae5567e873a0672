"""Forecasts what a run takes: seconds and memory of each stage, and disk, from small measurements on this machine.

Every kind of work is measured on a little of the run's data, in a process of its own (`timing`); results are kept by
machine, profile and data. Decides how many units of work a stage has, and whether the run fits.
"""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
from tqdm import tqdm

from components.data.report import DataReport
from components.errors import ServiceError
from components.ladder import PlannedRung
from components.methods.grpo.settings import GrpoParams
from components.methods.sft.settings import SftParams
from components.params import HuggingFaceSource
from components.records import DataSummary, Record, read_record, write_record
from components.stages.bases import base_of, main_memory, memory
from components.stages.graph import StageNode, nodes
from components.stages.run import STATE, Run, digest, threads
from components.stages.timing import AUDIT, DATA, START, Measured

FOLDER = "foretold"
SAVED = 3  # models that a training has on disk at once: checkpoint, best weights, result


class Foretold(Record):
    """A stage's forecast: whether it will run, its seconds and peak memory; None where there is no forecast."""

    stage: str
    to_do: bool
    seconds: float | None = None
    peak_bytes: int | None = None


class Forecast(Record):
    """A run's forecast: its stages, needed and free disk, available memory, and why it does not fit, if so."""

    run: str
    stages: tuple[Foretold, ...]
    disk_bytes: int
    free_bytes: int
    memory_bytes: int
    refused: str = ""

    @property
    def seconds(self) -> float:
        """The total of all stages that will run and have a forecast."""
        return sum(stage.seconds or 0.0 for stage in self.stages if stage.to_do)


def forecast(run: Run, to_do: Sequence[str], clock: str = "wall") -> Forecast:
    """Forecast a run by the wall's or the processor's clock; the stages in `to_do` will run.

    Raises:
        ConfigError: The base model is missing.
        ServiceError: A kind of work failed on a little of the data; the message has its process's last line.
    """
    stages, here = nodes(run), memory().size
    blank = Forecast(
        run=run.name, disk_bytes=_disk(run, to_do), free_bytes=shutil.disk_usage(Path.cwd()).free, memory_bytes=here,
        stages=tuple(Foretold(stage=node.name, to_do=node.name in to_do) for node in stages),
    )  # fmt: skip
    base = base_of(run)
    if base.fits(here) is False and any(rung.makes == "model" for rung in run.rungs):
        weights = f"Training takes {_gb(base.train_bytes or 0)} for its weights alone, and there are {_gb(here)}."
        return blank.model_copy(update={"refused": weights})
    measurements, counts = measured(run, stages, clock)
    expected = tuple(foretold(run, node, measurements, counts, node.name in to_do) for node in stages)
    whole = blank.model_copy(update={"stages": expected})
    return whole.model_copy(update={"refused": refused(whole)})


def refused(given: Forecast) -> str:
    """Why a run does not fit; empty if it does."""
    largest = max(
        (stage for stage in given.stages if stage.to_do), key=lambda stage: stage.peak_bytes or 0, default=None
    )
    if largest is not None and (largest.peak_bytes or 0) > given.memory_bytes:
        return f"{largest.stage} takes {_gb(largest.peak_bytes or 0)}, and there are {_gb(given.memory_bytes)}."
    if given.disk_bytes > given.free_bytes:
        return f"The run leaves up to {_gb(given.disk_bytes)}, and {_gb(given.free_bytes)} of disk are free."
    return ""


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def measured(run: Run, stages: Sequence[StageNode], clock: str) -> tuple[dict[str, Measured], DataSummary]:
    """The measurement of each kind of work; made once for this machine, these settings and data."""
    kept = STATE / FOLDER / f"{run.name}-{clock}-{depends(run)}"
    counts, folder = kept / "counts.json", kept / "work"
    names = {node.name for node in stages}
    kinds = [DATA, START, *([AUDIT] if AUDIT in names else []), *(rung.name for rung in run.rungs if foreseen(rung))]
    figures = dict[str, Measured]()
    for kind in tqdm(kinds, "timing a little of each kind of work", unit="kind", leave=False):
        path = kept / f"{kind}.json"
        if not path.is_file() or (kind == DATA and not counts.is_file()):
            if kind != DATA and not (folder / DATA).is_dir():
                _timed(run, DATA, folder, clock)
            if kind == START:
                _timed(run, kind, folder, clock)  # creates the MLflow record, so that the next one only opens it
            write_record(path, _timed(run, kind, folder, clock))
        figures[kind] = read_record(path, Measured)
        if kind == DATA and not counts.is_file():
            write_record(counts, read_record(folder / DATA / "report.json", DataReport).summary)
    shutil.rmtree(folder, ignore_errors=True)
    return figures, read_record(counts, DataSummary)


def foreseen(rung: PlannedRung) -> bool:
    """Whether a rung can be measured on a little data: it learns from demonstrations or the scorer, or is a prompt."""
    settings = rung.settings
    if rung.makes == "prompt":
        return rung.prompt is not None
    return rung.makes == "classifier" or type(settings) is GrpoParams or isinstance(settings, SftParams)


def foretold(
    run: Run, node: StageNode, measurements: Mapping[str, Measured], counts: DataSummary, to_do: bool
) -> Foretold:
    """A stage's forecast, by its kind of work, its units and the time to record it."""
    record = measurements[START].record_seconds
    stage, *part = node.command[:1] + node.command[2:]
    kind = part[0] if part and part[0] in measurements else stage if stage in measurements else ""
    own = measurements.get(kind)
    if stage in ("rung", "answer"):
        if own is None:
            return Foretold(stage=node.name, to_do=to_do)
        planned = run.planned(part[0])
        seconds = of_rung(planned, own, counts) if stage == "rung" else of_answers(run, planned, own, counts)
        return Foretold(stage=node.name, to_do=to_do, seconds=record + seconds, peak_bytes=own.peak_bytes)
    if stage == "certify":
        return Foretold(stage=node.name, to_do=to_do)
    own = own or measurements[START]
    rows = counts.train if stage == AUDIT else 0
    seconds = record + own.once_seconds + rows * own.unit_seconds
    return Foretold(stage=node.name, to_do=to_do, seconds=seconds, peak_bytes=own.peak_bytes)


def of_rung(planned: PlannedRung, own: Measured, counts: DataSummary) -> float:
    """Seconds to make a rung: its units of work, its evaluations on dev, and what it draws before it trains."""
    settings: Any = planned.settings
    if planned.makes == "classifier":
        return own.once_seconds + counts.train * own.unit_seconds
    dev = min(getattr(settings, "dev_examples", counts.dev), counts.dev)
    if planned.makes == "prompt":
        return own.once_seconds + dev * own.unit_seconds
    looks, units = settings.evaluations, getattr(settings, "steps", 0) or settings.epochs * counts.train
    drawn = getattr(settings, "probe_prompts", 0) * getattr(settings, "probe_generations", 0)
    drawn += min(getattr(settings, "sampled_prompts", 0), counts.train) * getattr(settings, "generations", 0)
    return own.once_seconds + units * own.unit_seconds + looks * dev * own.answer_seconds + drawn * own.draw_seconds


def of_answers(run: Run, planned: PlannedRung, own: Measured, counts: DataSummary) -> float:
    """Seconds to answer test, and for contenders the sealed split and the must-pass cases."""
    several = run.groups.get(planned.group or "", ())
    contends = run.first_look is None and (not several or planned is several[-1])  # one of a group, whichever
    asked = counts.test + (counts.sealed + len(run.workload.must_pass) if contends else 0)
    if planned.makes == "model":
        return own.load_seconds + asked * own.answer_seconds
    each = own.unit_seconds if planned.makes == "prompt" else 0.0
    return own.once_seconds + asked * each


def _timed(run: Run, kind: str, folder: Path, clock: str) -> Measured:
    """Measure a kind of work in a process of its own.

    Raises:
        ServiceError: The process failed, or ran out of memory.
    """
    command = [sys.executable, "-m", "components.stages.timing", run.name, kind, str(folder), clock]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last_line = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "nothing")
        why = "it ran out of memory" if done.returncode == -9 else last_line.removeprefix("gradus: ")
        raise ServiceError(f"expected {kind} of {run.name} to run on a little of its data, found: {why}")
    return Measured.model_validate_json(lines[-1])


def depends(run: Run) -> str:
    """A hash of what measurements depend on: machine, threads, workload, data files, profile, prompts, rungs."""
    import torch

    machine = (
        torch.cuda.get_device_name(0) if torch.cuda.is_available() else _processor(),
        str(psutil.cpu_count()), str(threads()), str(main_memory()),
    )  # fmt: skip
    rungs = [f"{rung.name} {rung.made_by} {rung.settings.model_dump_json()}" for rung in run.rungs]
    prompts = [run.prompt(name).version for name in (*run.workload.prompts, run.workload.trained_prompt)]
    profile = run.profile.model_copy(update={"methods": {}})
    look = str(run.first_look)
    return digest(profile, run.workload, run.audit, *machine, *rungs, *prompts, look, *_brought(run))


def _brought(run: Run) -> list[str]:
    """The files that a workload's data are read from, with sizes and times; none for generated data."""
    source = run.workload.source
    folders = [run.data_source, *([Path(source.dataset)] if isinstance(source, HuggingFaceSource) else [])]
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    return [f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]


def _processor() -> str:
    """The processor's name."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), sys.platform)


def _disk(run: Run, to_do: Sequence[str]) -> int:
    """The most bytes that rungs write while they are made: a model with checkpoints for each that trains one."""
    size = sum(path.stat().st_size for path in run.base_model.glob("*") if path.is_file())
    models = sum(rung.makes == "model" and f"rung-{rung.name}" in to_do for rung in run.rungs)
    return models * SAVED * size
