"""Who stands before the gate: the registry's champion with its answers to today's sealed split, and the look's number.

It is a step of the flow and no stage: it reads the registry, which changes. It writes files that the gate depends on,
so that the gate's decision follows from files alone. The same question with the same data is no further look and meets
the same champion: the decision stays the same, instead of being made again against its own result.
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
    """The registry's champion when a question was first asked; `version` is None if there was none.

    `look` counts the questions asked of this sealed split, from 1.
    """

    question: str
    look: int
    version: int | None = None
    name: str = ""
    digest: str = ""


def standing_folder(run: Run) -> Path:
    """The folder from which the gate reads who stands."""
    return STATE / "gate" / run.name / "standing"


def stand(run: Run, tracker: Tracker) -> Standing:
    """Find out who stands, let it answer the sealed split, and count the look."""
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
    """The record that the step wrote for the gate."""
    return read_record(standing_folder(run) / FILE, Standing)


def standing_answers(run: Run) -> tuple[list[Completion], list[Judged]]:
    """The champion's answers to the sealed split, and their judgements."""
    folder = standing_folder(run)
    return read_jsonl(folder / ANSWERS, Completion), read_jsonl(folder / SCORES, Judged)


def question(run: Run) -> str:
    """A hash of the contenders' answers, the gate's settings and the scorer's."""
    total = hashlib.sha256(digest(run.gate, run.workload.scorer).encode())
    for name in evaluated(run).contenders:
        for answer in sorted(completions_of(run, "sealed", name), key=lambda completion: completion.example_id):
            total.update(f"{name}\n{answer.example_id}\n{answer.given}\n".encode())
    return total.hexdigest()[:16]


def _has_moved_on(run: Run, champion: Version | None) -> bool:
    """Whether the champion was made from other data than this run's, as after a retraining: then ask again."""
    return champion is not None and champion.data_hash != _data_version(run)


def _data_version(run: Run) -> str:
    return next(iter(run.made.values())).data_hash


def _ask(run: Run, tracker: Tracker, asked: str, champion: Version | None, folder: Path) -> None:
    sealed = run.examples("sealed")
    met = digest(asked, champion.digest if champion else "")  # the challenged champion is part of the question
    record = Standing(question=asked, look=count_look(run.workload.name, sketch(sealed), met, tracker.run_id))
    if champion is not None:
        name = f"version {champion.number} ({champion.method})"
        record = record.model_copy(update={"version": champion.number, "name": name, "digest": champion.digest})
        completions = _answers(run, champion, name)
        write_jsonl(folder / ANSWERS, completions)
        write_jsonl(folder / SCORES, judge(run, name, run.asked("sealed"), completions))
    write_record(folder / FILE, record)


def _answers(run: Run, champion: Version, name: str) -> list[Completion]:
    """The champion's answers to the sealed split; taken from a contender with the same files, if there is one."""
    for contender in evaluated(run).contenders:
        if answered(run, contender).digest == champion.digest:
            return completions_of(run, "sealed", contender)
    log.info("%s answers the sealed split.", name)
    return opened_version(run, champion).attempt(run.examples("sealed"), run.seed, run.trials).completions
