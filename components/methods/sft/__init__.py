"""`sft`: a model trained on demonstrations."""

from typing import Any, ClassVar

from components.methods.contract import Made
from components.methods.job import Job
from components.methods.sft.settings import SftParams
from components.methods.sft.training import train_sft
from components.methods.trained import made_of
from components.params import Settings
from components.records import Makes, Need
from components.tracking import Tracker


class Sft:
    """Supervised fine-tuning: moves behaviour that can be written down into the weights."""

    label: ClassVar[str] = "Fine-tuned (SFT)"
    makes: ClassVar[Makes] = "model"
    params: ClassVar[type[Settings]] = SftParams

    def needs(self, params: Any) -> frozenset[Need]:
        return frozenset({"demonstrations"})

    def make(self, job: Job, params: SftParams, tracker: Tracker) -> Made:
        return made_of(job, train_sft(job.task(params.dev_examples), params, tracker), params.dev_examples)
