"""The stage `answer`: what a rung answers, and what each answer is worth. Nothing that comes later scores it again.

Decides on which examples a rung answers: all on test; on the sealed split and the must-pass cases the contenders. An
agent tries each task of test and sealed as often as its settings say, and leaves its tries.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from components.evaluation import Judging, judge_answers
from components.models import folder_digest
from components.opening import Answers, Opened, open_artifact
from components.params import SplitName
from components.records import (
    Completion,
    Example,
    Judged,
    Record,
    Rung,
    read_jsonl,
    read_record,
    write_jsonl,
    write_record,
)
from components.registry import Version, whole
from components.stages.run import Run
from components.stages.scoring import scorer
from components.tracking import Tracker

Pinned = Literal["must_pass"]  # cases of the workload's YAML, kept beside the splits
MUST_PASS: Pinned = "must_pass"
log = logging.getLogger(__name__)


class Answered(Record):
    """How a rung answered: seconds that its answers to test took together, and the SHA-256 of what answered."""

    seconds: float
    digest: str
    contends: bool


def answer(run: Run, tracker: Tracker, name: str) -> None:
    """Let a rung answer, and score its answers.

    Raises:
        ScorerError: The scorer cannot decide on more than `scorer.max_failed_share`.
    """
    made, folder = run.rung(name), answers_folder(run, name)
    opened, artifact = opened_rung(run, made), run.artifact(made)
    test = run.examples("test")
    log.info("%s: %s test examples.", name, f"{len(test):,}")
    answers = opened.attempt(test, run.seed, run.trials)
    judged = _keep(run, name, "test", run.asked("test"), answers)
    contends = is_contender(run, name)
    if contends:
        sealed = opened.attempt(run.examples("sealed"), run.seed, run.trials)
        _keep(run, name, "sealed", run.asked("sealed"), sealed)
        if run.must_pass:
            _keep(run, name, MUST_PASS, run.must_pass, opened.answer(run.must_pass, run.seed))
    done = Answered(seconds=answers.seconds, digest=folder_digest(artifact.folder), contends=contends)
    write_record(folder / "answered.json", done)
    right = sum(one.score.passed for one in judged if one.score) / max(1, sum(one.score is not None for one in judged))
    valid = sum(one.valid for one in judged) / len(judged)
    log.info("%s: %.1f %% right, %.1f %% valid.", name, 100 * right, 100 * valid)
    tracker.metrics({"test/accuracy": right, "test/validity": valid})


def is_contender(run: Run, name: str) -> bool:
    """Whether a rung may become champion: each one that stands alone, and of a group the best; none of a first look."""
    group = run.planned(name).group
    return run.first_look is None and (group is None or run.resolved(group) == name)


def opened_rung(run: Run, made: Rung) -> Opened:
    """What answers for a rung."""
    return open_artifact(run.artifact(made), run.workload, run.profile, run.columns)


def opened_version(run: Run, version: Version) -> Opened:
    """What answers for a registered version, with the prompt that it was registered with.

    Raises:
        RegistryError: Its files are not those that were registered.
    """
    return open_artifact(whole(version).artifact, run.workload, run.profile, run.columns)


def judge(run: Run, name: str, examples: Sequence[Example], completions: Sequence[Completion]) -> list[Judged]:
    """What answers are worth by the workload's scorer, in the order of the examples.

    Raises:
        ScorerError: The scorer cannot decide on more than `scorer.max_failed_share`.
    """
    by = Judging(scorer(run), run.workload.output, run.workload.scorer.max_failed_share)
    return judge_answers(name, examples, completions, by)


def _keep(
    run: Run, name: str, split: SplitName | Pinned, examples: Sequence[Example], answers: Answers
) -> list[Judged]:
    folder, judged = answers_folder(run, name), judge(run, name, examples, answers.completions)
    write_jsonl(folder / f"{split}.jsonl", answers.completions)
    write_jsonl(folder / f"{split}.scores.jsonl", judged)
    return judged


def answers_folder(run: Run, name: str) -> Path:
    """Where a rung's answers lie."""
    return run.folder / "answers" / name


def answered(run: Run, name: str) -> Answered:
    """How a rung answered."""
    return read_record(answers_folder(run, name) / "answered.json", Answered)


def completions_of(run: Run, split: SplitName | Pinned, name: str) -> list[Completion]:
    """A rung's completions on a split."""
    return read_jsonl(answers_folder(run, name) / f"{split}.jsonl", Completion)


def judged_of(run: Run, split: SplitName | Pinned, name: str) -> list[Judged]:
    """What a rung's answers on a split are worth."""
    return read_jsonl(answers_folder(run, name) / f"{split}.scores.jsonl", Judged)


def failed_cases(run: Run, name: str) -> tuple[str, ...]:
    """The must-pass cases that a contender does not answer right."""
    if not run.must_pass:
        return ()
    return tuple(one.example_id for one in judged_of(run, MUST_PASS, name) if not (one.score and one.score.passed))
