"""The stage `answer`: a rung's answers and their scores. Nothing later scores them again.

Decides which examples a rung answers: every rung test, contenders also the sealed split and the must-pass cases. An
agent tries each task of test and sealed as often as its settings say; its tries are kept.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

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
    to_json,
    write_jsonl,
    write_record,
)
from components.registry import Version, whole
from components.stages.run import Run, digest
from components.stages.scoring import scorer
from components.tracking import Tracker

Pinned = Literal["must_pass"]  # cases of the workload's YAML, kept beside the splits
MUST_PASS: Pinned = "must_pass"
log = logging.getLogger(__name__)


class Answered(Record):
    """How a rung answered: the seconds that all answers to test took, and the artifact's SHA-256.

    `asked` has a hash of the examples of test and of the must-pass cases, as they read then; older records have none.
    """

    seconds: float
    digest: str
    contends: bool
    asked: dict[str, str] = Field(default={})


def answer(run: Run, tracker: Tracker, name: str) -> None:
    """Let a rung answer, and score its answers.

    Raises:
        ScorerError: The scorer fails on more than `scorer.max_failed_share`.
    """
    made, folder = run.rung(name), answers_folder(run, name)
    opened, artifact = opened_rung(run, made), run.artifact(made)
    test = run.examples("test")
    log.info("%s: %s test examples.", name, f"{len(test):,}")
    answers = opened.attempt(test, run.seed, run.trials)
    judged = _keep(run, name, "test", run.asked("test"), answers)
    contends = is_contender(run, name)
    asked = {"test": digest(*rows_of(run.asked("test")))}
    if contends:
        sealed = opened.attempt(run.examples("sealed"), run.seed, run.trials)
        _keep(run, name, "sealed", run.asked("sealed"), sealed)
        if run.must_pass:
            _keep(run, name, MUST_PASS, run.must_pass, opened.answer(run.must_pass, run.seed))
            asked[MUST_PASS] = digest(*rows_of(run.must_pass))
    done = Answered(seconds=answers.seconds, digest=folder_digest(artifact.folder), contends=contends, asked=asked)
    write_record(folder / "answered.json", done)
    right = sum(judgement.score.passed for judgement in judged if judgement.score) / max(
        1, sum(judgement.score is not None for judgement in judged)
    )
    valid = sum(judgement.valid for judgement in judged) / len(judged)
    log.info("%s: %.1f %% right, %.1f %% valid.", name, 100 * right, 100 * valid)
    tracker.metrics({"test/accuracy": right, "test/validity": valid})


def rows_of(examples: Sequence[Example]) -> list[str]:
    """What is asked, an example a row: under the same id it may come to read otherwise."""
    return [to_json([example.id, example.input, example.evidence]) for example in examples]


def is_contender(run: Run, name: str) -> bool:
    """Whether a rung may become champion: it has no group or is its group's best, and the run is no first look."""
    group = run.planned(name).group
    return run.first_look is None and (group is None or run.resolved(group) == name)


def opened_rung(run: Run, made: Rung) -> Opened:
    """A rung's artifact, opened."""
    return open_artifact(run.artifact(made), run.workload, run.profile, run.columns)


def opened_version(run: Run, version: Version) -> Opened:
    """A registered version, opened with the prompt that it was registered with.

    Raises:
        RegistryError: Its files differ from those that were registered.
    """
    return open_artifact(whole(version).artifact, run.workload, run.profile, run.columns)


def judge(run: Run, name: str, examples: Sequence[Example], completions: Sequence[Completion]) -> list[Judged]:
    """Answers judged by the workload's scorer, in the order of the examples.

    Raises:
        ScorerError: The scorer fails on more than `scorer.max_failed_share`.
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
    """The folder of a rung's answers."""
    return run.folder / "answers" / name


def answered(run: Run, name: str) -> Answered:
    """How a rung answered."""
    return read_record(answers_folder(run, name) / "answered.json", Answered)


def completions_of(run: Run, split: SplitName | Pinned, name: str) -> list[Completion]:
    """A rung's completions on a split."""
    return read_jsonl(answers_folder(run, name) / f"{split}.jsonl", Completion)


def judged_of(run: Run, split: SplitName | Pinned, name: str) -> list[Judged]:
    """A rung's judged answers on a split."""
    return read_jsonl(answers_folder(run, name) / f"{split}.scores.jsonl", Judged)


def failed_cases(run: Run, name: str) -> tuple[str, ...]:
    """The must-pass cases that a contender fails."""
    if not run.workload.must_pass:
        return ()
    return tuple(
        judgement.example_id
        for judgement in judged_of(run, MUST_PASS, name)
        if not (judgement.score and judgement.score.passed)
    )
