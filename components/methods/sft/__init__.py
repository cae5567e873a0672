"""`sft`: a model trained on demonstrations."""

from collections.abc import Sequence
from typing import Any, ClassVar

from components.methods.contract import Made
from components.methods.job import Job
from components.methods.sft.settings import SftParams
from components.methods.sft.training import train_sft, train_sft_on_tries
from components.methods.trained import made_of
from components.params import Settings
from components.records import Example, Makes, Need
from components.tasks import demonstrated, under
from components.tracking import Tracker
from components.training.task import Trained


class Sft:
    """Supervised fine-tuning: moves behaviour that can be written down into the weights."""

    label: ClassVar[str] = "Fine-tuned (SFT)"
    makes: ClassVar[Makes] = "model"
    params: ClassVar[type[Settings]] = SftParams
    acts: ClassVar[bool] = True

    def needs(self, params: Any) -> frozenset[Need]:
        return frozenset({"demonstrations"})

    def make(self, job: Job, params: SftParams, tracker: Tracker) -> Made:
        return made_of(job, train_on(job, job.train, params, tracker), params.dev_examples)


def train_on(job: Job, examples: Sequence[Example], params: SftParams, tracker: Tracker) -> Trained:
    """Train the model that a rung starts from on the demonstrations of these examples; an agent's are tries.

    Raises:
        GradusError: As `train_sft` and `train_sft_on_tries`.
    """
    task = job.task(params.dev_examples, examples)
    if job.workload.agent is None:
        return train_sft(task, params, tracker)
    tries = [under(job.prompt.messages(example), demonstrated(example)) for example in examples]
    return train_sft_on_tries(task, params, tries, tracker)
