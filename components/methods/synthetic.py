"""`synthetic`: SFT on train and new examples of slices that train has too little of, or that grew in production.

New examples come from the workload's generator or from a teacher. Those that resemble an example of any split, test and
sealed included, are left out, and so are suspects of the label audit.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from components.errors import ConfigError, TrainingError
from components.evaluation.label_audit import doubts, suspects
from components.methods import invented
from components.methods.contract import Made
from components.methods.job import Job
from components.methods.samples import fitting
from components.methods.sft.settings import SftParams
from components.methods.sft.training import train_sft
from components.methods.teachers import Bill, Teacher, TeacherSession
from components.methods.trained import made_of
from components.params import AuditParams, Settings
from components.records import Example, Makes, Need
from components.schema import fields_of
from components.tracking import Tracker
from components.training.launch import once

log = logging.getLogger(__name__)


class SyntheticParams(SftParams):
    """Which new examples are made and how, and SFT's settings for training on all of them."""

    source: Literal["generator", "teacher"] = "generator"
    teacher: Teacher | None = Field(default=None, description="Who writes inputs and answers them.")
    examples: int = Field(default=500, ge=1, description="New examples to make; checks leave fewer.")
    thin_share: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="A value of a workload's slice is thin if less than this share of train has it.",
    )
    slices: dict[str, tuple[str, ...]] = Field(
        default={}, description="Further values by slice, such as those that the drift watch names."
    )
    most_drawn: int = Field(
        default=50_000, ge=1, description="Examples drawn from a generator to find those of the slices."
    )
    audit: AuditParams = AuditParams()
    most_usd: float | None = Field(default=None, ge=0, description="What a teacher may cost; None: no limit.")

    @model_validator(mode="after")
    def _has_its_source(self) -> "SyntheticParams":
        if (self.source == "teacher") != (self.teacher is not None):
            raise ValueError("teacher must be given where it is the source, and only there")
        return self


class Synthetic:
    """Trains on train and new examples of thin slices."""

    label: ClassVar[str] = "With synthetic examples"
    makes: ClassVar[Makes] = "model"
    params: ClassVar[type[Settings]] = SyntheticParams
    inherits: ClassVar[str] = "sft"

    def needs(self, params: Any) -> frozenset[Need]:
        needs: set[Need] = {"demonstrations", "novelty"}
        if params.teacher is not None:
            needs.add("teacher")
        return frozenset(needs)

    def make(self, job: Job, params: SyntheticParams, tracker: Tracker) -> Made:
        bill, counts = Bill(), Counter[str]()
        new = once(lambda: added(job, params, bill, counts))
        if not new:
            raise TrainingError(f"expected new examples to train on, found none: {in_words(counts)}")
        log.info("%s: %s new examples; %s.", job.rung, f"{len(new):,}", in_words(counts))
        settings = params.part(SftParams)
        task = job.task(params.dev_examples, [*job.train, *new])
        made = made_of(job, train_sft(task, settings, tracker), params.dev_examples)
        made.metrics.update({f"synthetic_{name}": float(n) for name, n in counts.items()})
        made.metrics.update(synthetic_added=float(len(new)))
        return bill.added_to(made)


def added(job: Job, params: SyntheticParams, bill: Bill, counts: Counter[str]) -> list[Example]:
    """New examples that resemble no split's, that the audit does not doubt and that are not too long.

    The others are counted in `counts`.

    Raises:
        ConfigError: A teacher is to write for a slice that neither an example nor an answer has.
        TrainingError: No slice is thin, and none is named.
    """
    workload, leaves = job.workload, {field.name for field in fields_of(job.workload.output).leaves}
    known = {*workload.slices, *workload.fields, *(name for example in job.train for name in example.slices)}
    if params.teacher is not None and (unknown := params.slices.keys() - known - leaves):
        raise ConfigError(
            f"synthetic.slices: expected slices of the workload or fields of its answers ({', '.join(sorted(known))}), "
            f"found {min(unknown)}"
        )
    named = [(name, value) for name, values in params.slices.items() for value in values]
    targets = list(dict.fromkeys([*named, *invented.thin(job.train, job.workload.slices, params.thin_share)]))
    if not targets:
        raise TrainingError(
            f"expected slices that fewer than {params.thin_share:.0%} of train have (thin_share) or that are named "
            f"(slices), found none among {', '.join(job.workload.slices) or 'no slices'}"
        )
    if params.teacher is not None:
        session = TeacherSession(job, params.teacher, params.most_usd, bill)
        made = invented.written(job, session, targets, params.examples, counts)
        session.close()
    else:
        made = list(invented.drawn(job, targets, params.examples, params.most_drawn))
    counts["made"] = len(made)
    new = sound(job, novel(job, made, counts), params, counts)
    kept = fitting(job, new, params.max_tokens)
    counts["too_long"] = len(new) - len(kept)
    return kept


def novel(job: Job, made: Sequence[Example], counts: Counter[str]) -> list[Example]:
    """The new examples that resemble no example of any split."""
    assert job.resembled is not None, "expected to be told what resembles a split, found nobody"
    places = job.resembled(made)
    counts.update(f"like_{place}" for place in places if place is not None)
    return [example for example, place in zip(made, places, strict=True) if place is None]


def sound(job: Job, new: Sequence[Example], params: SyntheticParams, counts: Counter[str]) -> list[Example]:
    """The new examples that the label audit, run over train and them, does not doubt."""
    if not new:
        return []
    everything, schema = [*job.train, *new], job.workload.output
    opinions = doubts(everything, schema, job.columns, params.audit, job.seed)
    doubted = {example.example_id for example in suspects(everything, opinions, params.audit, schema)}
    counts["suspects"] = sum(example.id in doubted for example in new)
    return [example for example in new if example.id not in doubted]


def in_words(counts: Counter[str]) -> str:
    """The counts of what became of the new examples."""
    return ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in counts.items()) or "nothing was made"
