"""Who stands before the gate: the registry's champion with its answers to today's sealed split, and the look's number.

It is a step of the flow and no stage: it reads the registry, which changes. It writes files that the gate depends on,
so that the gate's decision follows from files alone. The same question is no further look and meets the same champion:
the decision stays the same, instead of being made again against its own result. Where others moved the alias before it
was carried out, the question is asked again.
"""

import hashlib
import logging
import shutil
from pathlib import Path

from components.evaluation import sketch
from components.records import Completion, Judged, Record, read_jsonl, read_record, write_jsonl, write_record
from components.registry import Version, count_look, registered_if_any
from components.scorers.scored_by import scored_by
from components.stages.answers import answered, completions_of, judge, opened_version
from components.stages.evaluate import evaluated
from components.stages.published import published
from components.stages.run import STATE, Run, digest
from components.tracking import Tracker

FILE, ANSWERS, SCORES = "standing.json", "sealed.jsonl", "sealed.scores.jsonl"
WINNER = "winner"  # what a decision said; no file of the gate's, which makes it
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
    remembered = _remembered(run, asked)
    if not (remembered / FILE).is_file() or _has_moved_on(run, read_record(remembered / FILE, Standing), champion):
        forget(run, asked)
        _ask(run, tracker, asked, champion, remembered)
    folder = standing_folder(run)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(remembered, folder, ignore=shutil.ignore_patterns(WINNER))
    return read_record(folder / FILE, Standing)


def standing_of(run: Run) -> Standing:
    """The record that the step wrote for the gate."""
    return read_record(standing_folder(run) / FILE, Standing)


def standing_answers(run: Run) -> tuple[list[Completion], list[Judged]]:
    """The champion's answers to the sealed split, and their judgements."""
    folder = standing_folder(run)
    return read_jsonl(folder / ANSWERS, Completion), read_jsonl(folder / SCORES, Judged)


def forget(run: Run, asked: str) -> None:
    """Forget whom a question met, so that it is asked of today's champion."""
    shutil.rmtree(_remembered(run, asked), ignore_errors=True)


def remember_winner(run: Run, asked: str, files: str) -> None:
    """Remember by which files (their hash) a question was won; they are empty if the registry's champion stays."""
    place = _remembered(run, asked)
    place.mkdir(parents=True, exist_ok=True)
    (place / WINNER).write_text(files, encoding="utf-8")


def is_expected(run: Run, standing: Standing, champion: Version | None) -> bool:
    """Whether the champion is the one that the gate met, or one that this run itself published last.

    The latter because settings A, then B, then A again move the alias back.
    """
    if champion is None:
        return standing.version is None
    last = published(run)
    own = last is not None and last.champion is not None and last.version == champion.number
    return own or (standing.version, standing.digest) == (champion.number, champion.digest)


def question(run: Run) -> str:
    """A hash of the contenders' answers, the gate's settings, and all by which answers are judged.

    That is the sealed examples with their references, and the scorer's settings, code and files.
    """
    examples = (example.model_dump_json(exclude={"demonstration"}) for example in run.examples("sealed"))
    total = hashlib.sha256(digest(run.gate, scored_by(run.workload, run.workload.scorer), *examples).encode())
    for name in evaluated(run).contenders:
        for answer in sorted(completions_of(run, "sealed", name), key=lambda completion: completion.example_id):
            total.update(f"{name}\n{answer.example_id}\n{answer.given}\n".encode())
    return total.hexdigest()[:16]


def _remembered(run: Run, asked: str) -> Path:
    """The folder in which a question's standing is kept."""
    return STATE / "gate" / run.name / "questions" / asked


def _has_moved_on(run: Run, standing: Standing, champion: Version | None) -> bool:
    """Whether others moved the alias since a question was asked, as a release or a person does: then ask again.

    Not if its decision was the last that was carried out: what came since stays. Nor if its winner is champion, as
    after settings B that kept what settings A, which come again, had made champion.
    """
    last = published(run)
    if last is not None and last.question == standing.question:
        return False
    winner = _remembered(run, standing.question) / WINNER
    won = champion is not None and winner.is_file() and winner.read_text(encoding="utf-8") == champion.digest != ""
    return not won and not is_expected(run, standing, champion)


def _ask(run: Run, tracker: Tracker, asked: str, champion: Version | None, folder: Path) -> None:
    sealed = run.examples("sealed")
    met = digest(asked, champion.digest if champion else "")  # the challenged champion is part of the question
    record = Standing(question=asked, look=count_look(run.workload.name, sketch(sealed), met, tracker.run_id))
    if champion is not None:
        name = champion.label
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
