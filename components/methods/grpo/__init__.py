"""`grpo`: a model trained by reinforcement learning on what the workload's scorer says of its own answers."""

from typing import Any, ClassVar

from components.methods.contract import Made
from components.methods.grpo.settings import GrpoParams
from components.methods.grpo.training import train_rl
from components.methods.job import Job
from components.methods.rewards import reward
from components.methods.trained import made_of
from components.params import Settings
from components.records import Makes, Need
from components.tracking import Tracker


class Grpo:
    """GRPO (Shao et al. 2024, arXiv 2402.03300), watched by the sealed scorer where the workload has one."""

    label: ClassVar[str] = "RL (GRPO)"
    makes: ClassVar[Makes] = "model"
    params: ClassVar[type[Settings]] = GrpoParams

    def needs(self, params: Any) -> frozenset[Need]:
        return frozenset({"reward"})

    def make(self, job: Job, params: GrpoParams, tracker: Tracker) -> Made:
        task = job.task(params.dev_examples, watched=True)
        return made_of(job, train_rl(task, params, reward(job, tracker), tracker, job.sample()), params.dev_examples)
