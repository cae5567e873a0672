"""`relabel`: SFT on demonstrations whose suspects were answered anew.

The label audit says which demonstrations are more likely wrong than right. A teacher or a committee answers those; what
the scorer passes, or enough members agree on, stands in their place. What nobody agrees on is left out: a demonstration
that is probably wrong teaches the wrong thing.
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
from components.methods.sft.settings import SftParams
from components.methods.sft.training import train_sft
from components.methods.teachers import Asking, Bill, Teacher
from components.methods.trained import made_of
from components.params import Settings
from components.records import Completion, Example, Makes, Need, Score, write_jsonl
from components.scorers import Failures, JsonSchemaScorer
from components.scorers.answers import write
from components.tracking import Tracker

log = logging.getLogger(__name__)


class RelabelParams(SftParams):
    """Who answers the suspects and what is accepted, and SFT's settings for the training on the mended data."""

    members: tuple[Member, ...] = Field(default=("teacher", "classical", "neighbours", "audit"), min_length=1)
    teacher: Teacher | None = Field(default=None, description="Who `teacher` among the members is.")
    accept: Literal["votes", "scorer"] = Field(
        default="votes",
        description="What enough members agree on, or the first answer that the scorer passes.",
    )
    agreeing: int = Field(default=2, ge=1, description="Members that have to vote for one value.")
    undecided: Literal["drop", "keep"] = "drop"
    most_usd: float | None = Field(default=None, ge=0, description="That a teacher may cost; None: no limit.")

    @model_validator(mode="after")
    def _has_its_members(self) -> "RelabelParams":
        if ("teacher" in self.members) != (self.teacher is not None):
            raise ValueError("teacher must be given where it is named in members, and only there")
        if self.accept == "votes" and self.agreeing > len(self.members):
            raise ValueError(f"agreeing must be at most the number of members ({len(self.members)})")
        return self


@dataclass(frozen=True)
class Mended:
    """Train examples after relabelling, and what became of those in doubt."""

    train: list[Example]
    changed: list[Example]
    confirmed: int
    undecided: int


class Relabel:
    """Trains on demonstrations of which the doubtful were answered anew."""

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
        mended = relabelled(job, params, bill)
        if not mended.train:
            raise TrainingError(f"expected demonstrations to train on, found all {len(job.train):,} in doubt")
        log.info(
            "%s: of the doubtful demonstrations %s are changed, %s confirmed, %s undecided.",
            job.rung, f"{len(mended.changed):,}", f"{mended.confirmed:,}", f"{mended.undecided:,}",
        )  # fmt: skip
        keep_for_people(job, mended, tracker)
        settings = params.part(SftParams)
        task = job.task(params.dev_examples, mended.train)
        made = made_of(job, train_sft(task, settings, tracker), params.dev_examples)
        told = {"changed": len(mended.changed), "confirmed": mended.confirmed, "undecided": mended.undecided}
        made.metrics.update({name: float(n) for name, n in told.items()})
        return bill.added_to(made)


def relabelled(job: Job, params: RelabelParams, bill: Bill) -> Mended:
    """Train with the doubtful demonstrations answered anew, as the settings accept answers."""
    suspects = job.suspects()
    doubted, sound = committee.divided(suspects, job.train)
    if not doubted:
        return Mended(list(job.train), [], 0, 0)
    asking = None if params.teacher is None else Asking(job, params.teacher, params.most_usd, bill)
    if params.accept == "votes":
        votes = [votes_of(member, job, suspects, asking, doubted) for member in params.members]
        found = by_votes(job, doubted, committee.agreed(suspects, votes, params.agreeing), suspects)
    else:
        found = by_scorer(job, params.members, doubted, suspects, asking)
    changed = [one for one in doubted if one.id in found and found[one.id] != spelt(one, job.workload.output)]
    kept = {one.id for one in doubted if one.id in found or params.undecided == "keep"}
    new = {one.id: one.model_copy(update={"demonstration": found[one.id]}) for one in changed}
    stays = kept | {one.id for one in sound}
    return Mended(
        [new.get(one.id, one) for one in job.train if one.id in stays],
        list(new.values()),
        len(found) - len(changed),
        len(doubted) - len(found),
    )


def votes_of(
    member: Member, job: Job, suspects: Sequence[Suspect], asking: Asking | None, asked: Sequence[Example]
) -> Votes:
    """What a member says of the doubted values; a teacher, which may cost money, of those asked alone."""
    schema = job.workload.output
    if member == "audit":
        return committee.by_audit(suspects, schema)
    if member == "classical":
        return committee.by_classifier(suspects, job.train, schema, job.columns)
    if member == "neighbours":
        return committee.by_neighbours(suspects, job.train, schema, job.columns)
    assert asking is not None, "expected a teacher among the members, found none"
    return committee.of_answers(suspects, asking.answer(asked), schema)


def by_votes(job: Job, doubted: Sequence[Example], agreed: Votes, suspects: Sequence[Suspect]) -> dict[str, str]:
    """Example id → demonstration, where every doubted field is agreed on and the answer obeys the schema."""
    wanted, schema = committee.fields_by_example(suspects), JsonSchemaScorer(job.workload.output)
    found: dict[str, str] = {}
    for example in doubted:
        values = {name: agreed[example.id, name] for name in wanted[example.id] if (example.id, name) in agreed}
        if len(values) < len(wanted[example.id]):
            continue
        text = write(committee.put(example, values, job.workload.output), job.workload.output)
        if schema.score(example, Completion.of_text(example.id, text)).passed:
            found[example.id] = text
    return found


def by_scorer(
    job: Job,
    members: Sequence[Member],
    doubted: Sequence[Example],
    suspects: Sequence[Suspect],
    asking: Asking | None,
) -> dict[str, str]:
    """Example id → demonstration: as it stands where the scorer passes it, else the first member's that it passes."""
    wanted = committee.fields_by_example(suspects)
    found: dict[str, str] = {}
    failures = Failures(job.workload.scorer.max_failed_share)
    for member in (None, *members):
        left = [one for one in doubted if one.id not in found]
        if not left:
            break
        own: Votes = votes_of(member, job, suspects, asking, left) if member else {}
        asked = list[tuple[Example, Completion]]()
        for example in left:
            values = {name: own[example.id, name] for name in wanted[example.id] if (example.id, name) in own}
            if values or member is None:
                text = write(committee.put(example, values, job.workload.output), job.workload.output)
                asked.append((example, Completion.of_text(example.id, text)))
        outcomes = job.outcomes(asked)
        failures.add(outcomes)
        passed = [
            one for one, outcome in zip(asked, outcomes, strict=True) if isinstance(outcome, Score) and outcome.passed
        ]
        found |= {example.id: completion.text for example, completion in passed}
    return found


def spelt(example: Example, schema: Mapping[str, Any]) -> str:
    """An example's demonstration as answers are written."""
    return write(committee.put(example, {}, schema), schema)


def keep_for_people(job: Job, mended: Mended, tracker: Tracker) -> None:
    """Leave the changed demonstrations with the record, so that somebody can look at them."""
    with tempfile.TemporaryDirectory() as folder:
        write_jsonl(path := Path(folder) / "relabelled.jsonl", mended.changed)
        tracker.artifact(path, job.rung)
