"""`teacher_answers`: SFT on a teacher's answers to the train inputs; no demonstration is read.

First teacher and pupil are compared on the same dev examples: a teacher that is not surely better is refused. Of its
answers those are kept that the certified scorer passes or, where the inputs have no reference, those that obey the
schema.
"""

import logging
import random
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from components.errors import TrainingError
from components.methods.contract import Made
from components.methods.job import Job
from components.methods.samples import fitting
from components.methods.sft.settings import SftParams
from components.methods.sft.training import train_sft
from components.methods.teachers import Teacher, TeacherSession, require_better
from components.methods.trained import made_of
from components.params import Settings
from components.records import Completion, Example, Makes, Need, Score
from components.scorers import Failures, JsonSchemaScorer
from components.tracking import Tracker
from components.training.launch import once

log = logging.getLogger(__name__)


class TeacherAnswersParams(SftParams):
    """Who teaches and which of its answers count, and SFT's settings for the training on them."""

    teacher: Teacher
    asked: int | None = Field(default=None, ge=1, description="Train inputs, drawn by the seed; None: all.")
    accept: Literal["scorer", "schema"] = Field(
        default="scorer", description="Answers that the certified scorer passes, or all that obey the schema."
    )
    teacher_dev: int = Field(default=300, ge=1, description="Dev examples on which teacher and pupil are compared.")
    least_gain: float = Field(
        default=0.0, ge=-1, lt=1,
        description="Share of dev by which the teacher must be better than its pupil, at the interval's lower end.",
    )  # fmt: skip
    least_accepted: float = Field(default=0.2, ge=0, le=1, description="Share of answers; below it nothing is trained.")
    most_usd: float | None = Field(default=None, ge=0, description="What the teacher may cost; None: no limit.")


class TeacherAnswers:
    """Trains the model that it starts from on a teacher's answers."""

    label: ClassVar[str] = "Taught (answers)"
    makes: ClassVar[Makes] = "model"
    params: ClassVar[type[Settings]] = TeacherAnswersParams
    inherits: ClassVar[str] = "sft"

    def needs(self, params: Any) -> frozenset[Need]:
        return frozenset({"teacher", "reward"} if params.accept == "scorer" else {"teacher"})

    def make(self, job: Job, params: TeacherAnswersParams, tracker: Tracker) -> Made:
        session = TeacherSession(job, params.teacher, params.most_usd)
        once(lambda: require_better(session, params.teacher_dev, params.least_gain))
        return train_on_accepted(job, params, session, tracker)


def train_on_accepted(job: Job, params: TeacherAnswersParams, session: TeacherSession, tracker: Tracker) -> Made:
    """Train on a teacher's accepted answers.

    Raises:
        TrainingError: Too few answers are accepted, or they cost too much.
    """
    asked = list(job.train)
    if params.asked is not None:
        asked = random.Random(job.seed).sample(asked, min(params.asked, len(asked)))
    kept = fitting(job, once(lambda: accepted(job, asked, session.answer(asked), params.accept)), params.max_tokens)
    session.close()
    bill = session.bill
    log.info(
        "%s: %s of %s answers of the teacher are trained on; they cost $%.2f.",
        job.rung, f"{len(kept):,}", f"{len(asked):,}", bill.usd,
    )  # fmt: skip
    if len(kept) < max(1.0, params.least_accepted * len(asked)):
        raise TrainingError(
            f"expected at least {params.least_accepted:.0%} of the teacher's answers to be accepted (least_accepted), "
            f"found {len(kept):,} of {len(asked):,}"
        )
    settings = params.part(SftParams)
    made = made_of(job, train_sft(job.task(params.dev_examples, kept), settings, tracker), params.dev_examples)
    made.metrics.update(kept=float(len(kept)), accepted_share=len(kept) / len(asked))
    return bill.added_to(made)


def accepted(
    job: Job, asked: Sequence[Example], answers: Sequence[Completion], accept: Literal["scorer", "schema"]
) -> list[Example]:
    """Examples with the teacher's answer as demonstration, where it is accepted.

    Raises:
        ScorerError: The scorer fails on more than `scorer.max_failed_share`.
    """
    whole = [
        (example, answer)
        for example, answer in zip(asked, answers, strict=True)
        if answer.error is None and answer.finish_reason == "stop"
    ]
    if accept == "scorer":
        outcomes = job.outcomes(whole)
        Failures(job.workload.scorer.max_failed_share).add(outcomes)
        right = [isinstance(outcome, Score) and outcome.passed for outcome in outcomes]
    else:
        schema = JsonSchemaScorer(job.workload.output)
        right = [schema.score(*pair).passed for pair in whole]
    return [
        example.model_copy(update={"demonstration": answer.text})
        for (example, answer), passes in zip(whole, right, strict=True)
        if passes
    ]
