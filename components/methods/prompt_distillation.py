"""`prompt_distillation`: teaches a model to behave under a short prompt as it does under a long one.

The teacher is the model that the rung starts from, with the long prompt; the student is the same model with the prompt
of trained rungs. It learns on its own answers, from the teacher's distributions, so that the long prompt ends up in
its weights. No demonstrations, scorer or second model are needed.
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

    prompt: str = Field(description="The long prompt, one of the workload's.")


class PromptDistillation:
    """Trains the model that it starts from to behave under the short prompt as under the long one."""

    label: ClassVar[str] = "Prompt distilled"
    makes: ClassVar[Makes] = "model"
    params: ClassVar[type[Settings]] = PromptDistillationParams

    def needs(self, params: Any) -> frozenset[Need]:
        return frozenset({"teacher"})

    def make(self, job: Job, params: PromptDistillationParams, tracker: Tracker) -> Made:
        # The start is its own teacher; BASE only fills the field and names no rung.
        return distilled(replace(job, teacher=job.start), params, RungTeacher(rung=BASE, prompt=params.prompt), tracker)
