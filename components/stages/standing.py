"""Who stands before a gate: the registry's champion with its answers to today's sealed split, and the look that it is.

A step of the flow and no stage: it asks the registry, which changes. It leaves files that the gate declares, so that
the gate's decision follows from files alone. The same question asked again, with the same data, is no further look and
meets whom it met before: what was decided is found again, and not decided anew against its own successor.
"""

import hashlib
import logging
import shutil
from pathlib import Path

from components.evaluation import sketch
from components.records import Completion, Judged, Record, read_jsonl, read_record, write_jsonl, write_record
from components.registry import Version, count_look, registered_if_any
from components.stages.answers import answered, completions_of, judge, opened_version
from components.stages.evaluate import evaluated
from components.stages.run import STATE, Run, digest
from components.tracking import Tracker

FILE, ANSWERS, SCORES = "standing.json", "sealed.jsonl", "sealed.scores.jsonl"
log = logging.getLogger(__name__)


class Standing(Record):
    """The registry's champion when a question was first asked; no version where there was none.

    `look` counts the questions asked of this sealed split, from 1.
    """

    question: str
    look: int
    version: int | None = None
    name: str = ""
    digest: str = ""


def standing_folder(run: Run) -> Path:
    """Where the gate reads who stands."""
    return STATE / "gate" / run.name / "standing"


def stand(run: Run, tracker: Tracker) -> Standing:
    """Find out who stands, let it answer where the gate will need that, and count the look."""
    asked = question(run)
    champion = registered_if_any(run.workload.name, "champion")
    remembered = STATE / "gate" / run.name / "questions" / asked
    if not (remembered / FILE).is_file() or _has_moved_on(run, champion):
        shutil.rmtree(remembered, ignore_errors=True)
        _ask(run, tracker, asked, champion, remembered)
    folder = standing_folder(run)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(remembered, folder)
    return read_record(folder / FILE, Standing)


def standing_of(run: Run) -> Standing:
    """What the step left for the gate."""
    return read_record(standing_folder(run) / FILE, Standing)


def standing_answers(run: Run) -> tuple[list[Completion], list[Judged]]:
    """The champion's answers to the sealed split, and what they are worth."""
    folder = standing_folder(run)
    return read_jsonl(folder / ANSWERS, Completion), read_jsonl(folder / SCORES, Judged)


def question(run: Run) -> str:
    """A hash of who challenges with which answers, under which settings of the gate and by which scorer."""
    total = hashlib.sha256(digest(run.gate, run.workload.scorer).encode())
    for name in evaluated(run).contenders:
        for answer in sorted(completions_of(run, "sealed", name), key=lambda one: one.example_id):
            total.update(f"{name}\n{answer.example_id}\n{answer.given}\n".encode())
    return total.hexdigest()[:16]


def _has_moved_on(run: Run, champion: Version | None) -> bool:
    """Whether the champion was made from other data than this run's, as after a retraining: then it stands anew."""
    return champion is not None and champion.data_hash != _data_version(run)


def _data_version(run: Run) -> str:
    return next(iter(run.made.values())).data_hash


def _ask(run: Run, tracker: Tracker, asked: str, champion: Version | None, folder: Path) -> None:
    sealed = run.examples("sealed")
    met = digest(asked, champion.digest if champion else "")  # who is challenged belongs to what is asked
    known = Standing(question=asked, look=count_look(run.workload.name, sketch(sealed), met, tracker.run_id))
    if champion is not None:
        name = f"version {champion.number} ({champion.method})"
        known = known.model_copy(update={"version": champion.number, "name": name, "digest": champion.digest})
        completions = _answers(run, champion, name)
        write_jsonl(folder / ANSWERS, completions)
        write_jsonl(folder / SCORES, judge(run, name, run.asked("sealed"), completions))
    write_record(folder / FILE, known)


def _answers(run: Run, champion: Version, name: str) -> list[Completion]:
    """Its answers to the sealed split: those of a contender with the same files, where there is one."""
    for contender in evaluated(run).contenders:
        if answered(run, contender).digest == champion.digest:
            return completions_of(run, "sealed", contender)
    log.info("%s answers the sealed split.", name)
    return opened_version(run, champion).attempt(run.examples("sealed"), run.seed, run.trials).completions
