"""`synthetic`: SFT on train and on new examples of slices that it has too few of, or that production has more of now.

New ones come from the workload's generator or from a teacher. None that some split has in any form is taken, test and
sealed included, and each is audited like any demonstration: suspects are left out.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from components.errors import TrainingError
from components.evaluation.label_audit import doubts, suspects
from components.methods import invented
from components.methods.contract import Made
from components.methods.job import Job
from components.methods.sft.settings import SftParams
from components.methods.sft.training import train_sft
from components.methods.teachers import Asking, Bill, Teacher
from components.methods.trained import made_of
from components.params import AuditParams, Settings
from components.records import Example, Makes, Need
from components.tracking import Tracker

log = logging.getLogger(__name__)


class SyntheticParams(SftParams):
    """Where new examples come from and of what, and SFT's settings for the training on all of them."""

    source: Literal["generator", "teacher"] = "generator"
    teacher: Teacher | None = Field(default=None, description="Who writes inputs and answers them.")
    examples: int = Field(default=500, ge=1, description="New ones that are asked for; fewer are left.")
    thin_share: float = Field(
        default=0.05, ge=0, le=1, description="Values of the workload's slices below it are thin."
    )
    slices: dict[str, tuple[str, ...]] = Field(
        default={}, description="Further values by slice, as those that the drift watch names."
    )
    most_drawn: int = Field(default=50_000, ge=1, description="Of a generator, to find so many of the slices.")
    audit: AuditParams = AuditParams()
    most_usd: float | None = Field(default=None, ge=0, description="That a teacher may cost; None: no limit.")

    @model_validator(mode="after")
    def _has_its_source(self) -> "SyntheticParams":
        if (self.source == "teacher") != (self.teacher is not None):
            raise ValueError("teacher must be given where it is the source, and only there")
        return self


class Synthetic:
    """Trains on train and on new examples of thin slices."""

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
        new = added(job, params, bill, counts)
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
    """New examples that no split resembles and that the audit does not doubt; `counts` says what became of the others.

    Raises:
        TrainingError: No slice is thin, and none is named.
    """
    named = [(name, value) for name, values in params.slices.items() for value in values]
    targets = list(dict.fromkeys([*named, *invented.thin(job.train, job.workload.slices, params.thin_share)]))
    if not targets:
        raise TrainingError(
            f"expected slices that fewer than {params.thin_share:.0%} of train have (thin_share) or that are named "
            f"(slices), found none among {', '.join(job.workload.slices) or 'no slices'}"
        )
    if params.teacher is not None:
        asking = Asking(job, params.teacher, params.most_usd, bill)
        made = invented.written(job, asking, targets, params.examples)
        asking.close()
    else:
        made = list(invented.drawn(job, targets, params.examples, params.most_drawn))
    counts["made"] = len(made)
    return sound(job, novel(job, made, counts), params, counts)


def novel(job: Job, made: Sequence[Example], counts: Counter[str]) -> list[Example]:
    """Those that nothing resembles."""
    assert job.resembled is not None, "expected to be told what resembles a split, found nobody"
    places = job.resembled(made)
    counts.update(f"like_{place}" for place in places if place is not None)
    return [one for one, place in zip(made, places, strict=True) if place is None]


def sound(job: Job, new: Sequence[Example], params: SyntheticParams, counts: Counter[str]) -> list[Example]:
    """Those that the audit of train and them together does not doubt."""
    if not new:
        return []
    everything, schema = [*job.train, *new], job.workload.output
    opinions = doubts(everything, schema, job.columns, params.audit, job.seed)
    doubted = {one.example_id for one in suspects(everything, opinions, params.audit, schema)}
    counts["suspects"] = sum(one.id in doubted for one in new)
    return [one for one in new if one.id not in doubted]


def in_words(counts: Counter[str]) -> str:
    """What became of what was made."""
    return ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in counts.items()) or "nothing was made"
