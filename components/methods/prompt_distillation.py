"""`prompt_distillation`: what a long prompt makes a model do, done under the short one.

The teacher is the model that the rung starts from, as it was, with the long prompt before it; the student is the same
model with the prompt of trained rungs. It learns on its own answers, from the teacher's distributions. So it knows in
the end what the long prompt said, and no demonstration, scorer or second model is needed.
"""

from dataclasses import replace
from typing import Any, ClassVar

from pydantic import Field

from components.methods.contract import Made
from components.methods.job import Job
from components.methods.on_policy_distillation import DistillingParams, distilled
from components.methods.teachers import RungTeacher
from components.params import BASE, Settings
from components.records import Makes, Need
from components.tracking import Tracker


class PromptDistillationParams(DistillingParams):
    """Which prompt, and how it is distilled."""

    prompt: str = Field(description="One of the workload's prompts: the long one.")


class PromptDistillation:
    """Trains the model that it starts from to do under the short prompt what it does under the long one."""

    label: ClassVar[str] = "Prompt distilled"
    makes: ClassVar[Makes] = "model"
    params: ClassVar[type[Settings]] = PromptDistillationParams

    def needs(self, params: Any) -> frozenset[Need]:
        return frozenset({"teacher"})

    def make(self, job: Job, params: PromptDistillationParams, tracker: Tracker) -> Made:
        # Whatever it starts from is its own teacher; the name is that of no rung.
        return distilled(replace(job, teacher=job.start), params, RungTeacher(rung=BASE, prompt=params.prompt), tracker)
