"""`relabel`: SFT on demonstrations of which the suspects were relabelled.

The label audit says which demonstrations are more likely wrong than right. A teacher or a committee answers those, and
an answer that the scorer passes, or that enough members agree on, replaces them. Undecided ones are left out: a
demonstration that is probably wrong teaches the wrong thing.
"""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from components.errors import TrainingError
from components.evaluation.label_audit import Suspect
from components.methods import committee
from components.methods.committee import Member, Votes
from components.methods.contract import Made
from components.methods.job import Job
from components.methods.samples import fitting
from components.methods.sft.settings import SftParams
from components.methods.sft.training import train_sft
from components.methods.teachers import Bill, Teacher, TeacherSession
from components.methods.trained import made_of
from components.params import Settings
from components.records import Completion, Example, Makes, Need, Score, write_jsonl
from components.scorers import Failures, JsonSchemaScorer
from components.scorers.answers import write
from components.tracking import Tracker
from components.training.launch import once

log = logging.getLogger(__name__)


class RelabelParams(SftParams):
    """Who relabels the suspects and what is accepted, and SFT's settings for the training."""

    members: tuple[Member, ...] = Field(default=("teacher", "classical", "neighbours", "audit"), min_length=1)
    teacher: Teacher | None = Field(default=None, description="The member named `teacher`.")
    accept: Literal["votes", "scorer"] = Field(
        default="votes",
        description="What enough members agree on, or the first answer that the scorer passes.",
    )
    agreeing: int = Field(default=2, ge=1, description="Members that must vote for the same value.")
    undecided: Literal["drop", "keep"] = "drop"
    most_usd: float | None = Field(default=None, ge=0, description="What a teacher may cost; None: no limit.")

    @model_validator(mode="after")
    def _has_its_members(self) -> "RelabelParams":
        if ("teacher" in self.members) != (self.teacher is not None):
            raise ValueError("teacher must be given where it is named in members, and only there")
        if self.accept == "votes" and self.agreeing > len(self.members):
            raise ValueError(f"agreeing must be at most the number of members ({len(self.members)})")
        return self


@dataclass(frozen=True)
class Relabelled:
    """Train after relabelling: the examples that changed, and how many suspects were confirmed or undecided."""

    train: list[Example]
    changed: list[Example]
    confirmed: int
    undecided: int


class Relabel:
    """Trains on demonstrations of which the suspects were relabelled."""

    label: ClassVar[str] = "Relabelled, then fine-tuned"
    makes: ClassVar[Makes] = "model"
    params: ClassVar[type[Settings]] = RelabelParams
    inherits: ClassVar[str] = "sft"

    def needs(self, params: Any) -> frozenset[Need]:
        needs: set[Need] = {"demonstrations", "suspects"}
        needs |= {"teacher"} if params.teacher is not None else set()
        needs |= {"reward"} if params.accept == "scorer" else set()
        return frozenset(needs)

    def make(self, job: Job, params: RelabelParams, tracker: Tracker) -> Made:
        bill = Bill()
        result = once(lambda: relabelled(job, params, bill))
        if not result.train:
            raise TrainingError(f"expected demonstrations to train on, found all {len(job.train):,} in doubt")
        log.info(
            "%s: of the doubtful demonstrations %s are changed, %s confirmed, %s undecided.",
            job.rung, f"{len(result.changed):,}", f"{result.confirmed:,}", f"{result.undecided:,}",
        )  # fmt: skip
        keep_for_people(job, result, tracker)
        settings = params.part(SftParams)
        task = job.task(params.dev_examples, result.train)
        made = made_of(job, train_sft(task, settings, tracker), params.dev_examples)
        counts = {"changed": len(result.changed), "confirmed": result.confirmed, "undecided": result.undecided}
        made.metrics.update({name: float(n) for name, n in counts.items()})
        return bill.added_to(made)


def relabelled(job: Job, params: RelabelParams, bill: Bill) -> Relabelled:
    """Relabel the suspects among the train examples; an answer that is too long to be trained on decides nothing."""
    suspects = job.suspects()
    doubted, sound = committee.split_by_doubt(suspects, job.train)
    if not doubted:
        return Relabelled(list(job.train), [], 0, 0)
    session = None if params.teacher is None else TeacherSession(job, params.teacher, params.most_usd, bill)
    if params.accept == "votes":
        votes = [votes_of(member, job, suspects, session, doubted) for member in params.members]
        answers = by_votes(job, doubted, committee.agreed(suspects, votes, params.agreeing), suspects)
    else:
        answers = by_scorer(job, params.members, doubted, suspects, session)
    answered = [
        example.model_copy(update={"demonstration": answers[example.id]})
        for example in doubted
        if example.id in answers and answers[example.id] != spelt(example, job.workload.output)
    ]
    new = {example.id: example for example in fitting(job, answered, params.max_tokens)}
    confirmed = answers.keys() - {example.id for example in answered}
    decided = confirmed | new.keys()
    kept = {example.id for example in doubted if example.id in decided or params.undecided == "keep"}
    stays = kept | {example.id for example in sound}
    return Relabelled(
        [new.get(example.id, example) for example in job.train if example.id in stays],
        list(new.values()),
        len(confirmed),
        len(doubted) - len(decided),
    )


def votes_of(
    member: Member, job: Job, suspects: Sequence[Suspect], session: TeacherSession | None, asked: Sequence[Example]
) -> Votes:
    """A member's votes on the doubted values; a teacher, which may cost money, votes only on `asked`."""
    schema = job.workload.output
    if member == "audit":
        return committee.by_audit(suspects, schema)
    if member == "classical":
        return committee.by_classifier(suspects, job.train, schema, job.columns)
    if member == "neighbours":
        return committee.by_neighbours(suspects, job.train, schema, job.columns)
    assert session is not None, "expected a teacher among the members, found none"
    return committee.of_answers(suspects, session.answer(asked), schema)


def by_votes(job: Job, doubted: Sequence[Example], agreed: Votes, suspects: Sequence[Suspect]) -> dict[str, str]:
    """Example id → demonstration, where all doubted fields are agreed on and the answer obeys the schema."""
    wanted, schema = committee.fields_by_example(suspects), JsonSchemaScorer(job.workload.output)
    answers: dict[str, str] = {}
    for example in doubted:
        values = {name: agreed[example.id, name] for name in wanted[example.id] if (example.id, name) in agreed}
        if len(values) < len(wanted[example.id]):
            continue
        text = write(committee.put(example, values, job.workload.output), job.workload.output)
        if schema.score(example, Completion.of_text(example.id, text)).passed:
            answers[example.id] = text
    return answers


def by_scorer(
    job: Job,
    members: Sequence[Member],
    doubted: Sequence[Example],
    suspects: Sequence[Suspect],
    session: TeacherSession | None,
) -> dict[str, str]:
    """Example id → demonstration: the present one if the scorer passes it, else the first member's that it passes."""
    wanted = committee.fields_by_example(suspects)
    answers: dict[str, str] = {}
    failures = Failures(job.workload.scorer.max_failed_share)
    for member in (None, *members):
        left = [pair for pair in doubted if pair.id not in answers]
        if not left:
            break
        own: Votes = votes_of(member, job, suspects, session, left) if member else {}
        asked = list[tuple[Example, Completion]]()
        for example in left:
            values = {name: own[example.id, name] for name in wanted[example.id] if (example.id, name) in own}
            if values or member is None:
                text = write(committee.put(example, values, job.workload.output), job.workload.output)
                asked.append((example, Completion.of_text(example.id, text)))
        outcomes = job.outcomes(asked)
        failures.add(outcomes)
        passed = [
            pair for pair, outcome in zip(asked, outcomes, strict=True) if isinstance(outcome, Score) and outcome.passed
        ]
        answers |= {example.id: completion.text for example, completion in passed}
    return answers


def spelt(example: Example, schema: Mapping[str, Any]) -> str:
    """An example's demonstration, spelt as answers are."""
    return write(committee.put(example, {}, schema), schema)


def keep_for_people(job: Job, result: Relabelled, tracker: Tracker) -> None:
    """Log the changed demonstrations as an artifact, for people to review."""
    with tempfile.TemporaryDirectory() as folder:
        write_jsonl(path := Path(folder) / "relabelled.jsonl", result.changed)
        tracker.artifact(path, job.rung)
