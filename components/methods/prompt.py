"""`prompt`: one of the workload's prompts as it is written, tried on dev."""

import time
from typing import Any, ClassVar

from components.methods.contract import Made, prompted
from components.methods.job import Job
from components.params import Settings
from components.records import Makes, Need
from components.tracking import Tracker


class PromptParams(Settings):
    """No settings: a prompt is its file."""


class WrittenPrompt:
    """Scores a prompt on dev, with the incumbent where the profile names its API, else with the base model."""

    label: ClassVar[str] = "Prompt"
    makes: ClassVar[Makes] = "prompt"
    params: ClassVar[type[Settings]] = PromptParams
    acts: ClassVar[bool] = True
    starts: ClassVar[bool] = False
    """It starts from nothing, whatever a ladder says."""

    def needs(self, params: Any) -> frozenset[Need]:
        return frozenset()

    def make(self, job: Job, params: PromptParams, tracker: Tracker) -> Made:
        started, dev = time.monotonic(), job.dev_sample(job.profile.dev_examples)
        completions = job.open_prompt(job.prompt).attempt(dev, job.seed, 1).completions
        right, valid = job.dev_shares(completions)
        job.keep_prompt()
        return Made(time.monotonic() - started, right, len(dev), valid, prompted=prompted(job, completions))
