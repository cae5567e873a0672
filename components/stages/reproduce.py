"""Reproduces a registered version: its commit in a clean folder, the stages that it depends on, and a comparison.

Nothing of an earlier run is used: the folder has no outputs, and the stages run without DVC's cache and with a record
of their own. The number of threads is the same as then, because it decides how sums are rounded. Another machine or
other library versions may round differently, which shows as a difference.
"""

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import yaml
from tqdm import tqdm

from components.data.masking import mask
from components.data.versions import check_out
from components.errors import TrainingError
from components.records import Completion, Judged, Observation, Record, read_jsonl, write_record
from components.registry import Recipe, addresses, recipe, reference_of
from components.stages.graph import RUNS, feeds
from components.stages.run import ARTIFACTS, STATE
from components.stages.storage import ARTIFACTS as FILES
from components.stages.storage import TRACKING

GRAPH = """
import sys
from components.stages.graph import write_graph
from components.stages.run import Run
write_graph(Run.load(sys.argv[1]))
"""  # run by the commit's own code
INHERITED = ("TORCHINDUCTOR_CACHE_DIR", "GRADUS_MLFLOW_PARENT")
log = logging.getLogger(__name__)


class Compared(Record):
    """A recorded value, and the value now."""

    what: str
    recorded: str
    found: str
    same: bool


class Reproduced(Record):
    """A reproduced version; `notes` say what may explain a difference."""

    workload: str
    version: int
    rung: str
    commit: str
    threads: int | None
    identical: bool
    compared: tuple[Compared, ...]
    notes: tuple[str, ...]


def reproduce(workload: str, number: int, project: Path) -> Reproduced:
    """Reproduce a version and compare it with what was registered; the result is kept as JSON beside the folder.

    Raises:
        RegistryError: There is no such version, or its commit is unknown.
        DataError: git does not know the commit, or the data are gone.
        TrainingError: A stage fails.
    """
    made = recipe(workload, number)
    place = project / STATE / "reproduce" / f"{workload}-{number}"
    folder = check_out(project, workload, made.commit, place)
    environment = _environment(made, folder)
    for stage in tqdm(_stages(made, folder, environment), f"version {number}", unit="stage"):
        _run(stage, folder, environment)
    compared = tuple(compare(made, folder / ARTIFACTS / made.run, reference_of(made.version)))
    reproduced = Reproduced(
        workload=workload,
        version=number,
        rung=made.rung,
        commit=made.commit,
        threads=made.threads,
        identical=all(line.same for line in compared),
        compared=compared,
        notes=_notes(made),
    )
    write_record(place.with_suffix(".json"), reproduced)
    return reproduced


def compare(made: Recipe, outputs: Path, answered: list[Observation]) -> Iterator[Compared]:
    """Compare what was recorded of a version with the outputs of the run that reproduced it."""
    rung = outputs / "rungs" / made.rung
    result = _json(rung / "result.json")
    yield _line("data version", made.data_hash, _json(outputs / "data" / "report.json")["summary"]["version"])
    yield _line("settings", made.params_hash, result["params_hash"])
    yield _line("seed", made.seed, result["seed"])
    if made.dev_score is not None:
        yield _line("score on dev", made.dev_score, result["dev_score"])
    yield from _answers(answered, outputs, made.rung)
    yield from _files(made.version.folder, rung / "artifact")


def _answers(answered: list[Observation], outputs: Path, rung: str) -> Iterator[Compared]:
    """Compare accuracy and validity on test, and every answer to the splits that the rung never saw."""
    answers = outputs / "answers" / rung
    test, sealed = (read_jsonl(answers / f"{split}.jsonl", Completion) for split in ("test", "sealed"))
    recorded, judged = answered[: len(test)], read_jsonl(answers / "test.scores.jsonl", Judged)
    scores = [row.score for row in recorded if row.score is not None]  # accuracy is that of what the scorer decided
    yield _line("accuracy on test", _mean(scores), _mean([line.score.passed for line in judged if line.score]))
    yield _line("validity on test", _mean([row.valid for row in recorded]), _mean([line.valid for line in judged]))
    remade = [*test, *sealed]
    pairs = list(zip(answered, remade, strict=False))
    alike = sum(was.text == mask(now.text) and was.output_tokens == now.usage.output_tokens for was, now in pairs)
    yield Compared(
        what="answers to test and sealed", recorded=f"{len(answered):,}", found=f"{alike:,} alike of {len(remade):,}",
        same=alike == len(answered) == len(remade),
    )  # fmt: skip
    apart = [abs(was.confidence - (now.confidence or 0.0)) for was, now in pairs if was.confidence is not None]
    if apart:
        yield Compared(
            what="confidence of the answers", recorded="-", found=f"at most {max(apart):.3g} apart", same=not max(apart)
        )


def _mean(values: Collection[float]) -> float | None:
    """The mean to 12 digits, or None of nothing."""
    return round(sum(values) / len(values), 12) if values else None


def _files(registered: Path, made: Path) -> Iterator[Compared]:
    """Compare each registered file with the new one."""
    for path in sorted(file for file in registered.rglob("*") if file.is_file()):
        name = path.relative_to(registered)
        if not (made / name).is_file():
            yield Compared(what=str(name), recorded=_digest(path)[:16], found="no such file", same=False)
            continue
        now, was = _digest(made / name), _digest(path)
        finding = (
            now[:16] if now == was or path.suffix != ".safetensors" else f"{now[:16]}, {_apart(path, made / name)}"
        )
        yield Compared(what=str(name), recorded=was[:16], found=finding, same=now == was)


def _apart(registered: Path, remade: Path) -> str:
    """The largest difference between two files of weights, and in how many tensors they differ."""
    from safetensors.torch import load_file  # numpy has no bfloat16

    was, now = load_file(registered), load_file(remade)
    if was.keys() != now.keys() or any(was[key].shape != now[key].shape for key in was):
        return "other tensors"
    distances = {key: float((was[key].double() - now[key].double()).abs().max()) for key in was}
    differing = sum(distance > 0 for distance in distances.values())
    return f"at most {max(distances.values()):.3g} apart, in {differing} of {len(distances)} tensors"


def _digest(path: Path) -> str:
    """SHA-256 of a file; for a classifier (a zip with times and memory addresses in it) of what it has learnt."""
    if path.suffix == ".skops":
        from components.evaluation import classical

        return classical.load(path.parent).digest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _environment(made: Recipe, folder: Path) -> dict[str, str]:
    """The environment of the stages: the folder's own code and record, the recorded number of threads."""
    kept = {name: value for name, value in os.environ.items() if name not in INHERITED}
    as_then = {"OMP_NUM_THREADS": str(made.threads)} if made.threads else {}
    return {
        **kept,
        **as_then,
        TRACKING: addresses({}, folder)[0],
        FILES: "",  # beside this database, where the settings name a bucket
        "PYTHONPATH": str(folder),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


def _stages(made: Recipe, folder: Path, environment: dict[str, str]) -> list[list[str]]:
    """The words of the commit's stages that the rung's answers depend on, by the graph that its own code writes."""
    command = [sys.executable, "-c", GRAPH, made.run]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    path = folder / RUNS / made.run / "dvc.yaml"
    if done.returncode or not path.is_file():
        problem = done.stderr.strip()[-200:]
        raise TrainingError(
            f"expected the stages of the commit, found {problem!r} ({folder}); a version of an earlier release is made "
            "again by that release"
        )
    stages: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["stages"]
    return [stages[name]["cmd"].partition(" components.stages ")[2].split() for name in needed(stages, made.rung)]


def needed(stages: dict[str, dict[str, Any]], rung: str) -> list[str]:
    """The names of a run's stages that a rung's answers depend on, in the order of dvc.yaml."""
    names, read = list[str](), set[Path]()
    for name, stage in reversed(stages.items()):  # each stands after those that it depends on
        outs = [Path(out) for out in stage["outs"]]
        if name == f"answer-{rung}" or any(feeds(out, dep) for out in outs for dep in read):
            names.append(name)
            read |= {Path(dep) for dep in stage["deps"]}
    return names[::-1]


def _run(stage: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Run one stage as DVC does; its output goes to a log beside the folder."""
    path = folder.with_suffix(".log")
    with path.open("a", encoding="utf-8") as log_file:
        command = [sys.executable, "-m", "components.stages", *stage]
        code = subprocess.run(
            command, cwd=folder, env=environment, stdout=log_file, stderr=log_file, check=False
        ).returncode
    if code:
        words = " ".join(stage)
        raise TrainingError(f"expected the stage {words} to succeed, found that it ended with code {code} ({path})")


def _notes(made: Recipe) -> tuple[str, ...]:
    notes: list[str] = []
    if made.dirty:
        notes.append(f"Files differed from {made.commit[:12]} when it was made: what they had is not known.")
    if made.threads is None:
        notes.append("How many threads computed it is not recorded: other numbers round otherwise.")
    return tuple(notes)


def _line(what: str, recorded: object, now: object) -> Compared:
    return Compared(what=what, recorded=str(recorded), found=str(now), same=recorded == now)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
