"""`grpo`: a model trained by reinforcement learning, rewarded by the workload's scorer for its own answers."""

from typing import Any, ClassVar

from components.methods.contract import Made
from components.methods.grpo.settings import GrpoParams
from components.methods.grpo.training import train_rl
from components.methods.grpo.tries import Tries, train_on_tries
from components.methods.job import Job
from components.methods.rewards import reward, try_reward
from components.methods.trained import made_of
from components.params import Settings
from components.records import Makes, Need
from components.tasks import open_environment
from components.tracking import Tracker


class Grpo:
    """GRPO (Shao et al. 2024, arXiv 2402.03300), watched by the sealed scorer where the workload has one."""

    label: ClassVar[str] = "RL (GRPO)"
    makes: ClassVar[Makes] = "model"
    params: ClassVar[type[Settings]] = GrpoParams
    acts: ClassVar[bool] = True

    def needs(self, params: Any) -> frozenset[Need]:
        return frozenset({"reward"})

    def make(self, job: Job, params: GrpoParams, tracker: Tracker) -> Made:
        task, agent = job.task(params.dev_examples, job.tasks, watched=True), job.workload.agent
        if agent is None:
            trained = train_rl(task, params, reward(job, tracker), tracker, job.sample())
        else:
            spec = open_environment(agent.environment)
            tries = Tries(spec, agent.limits, try_reward(job, tracker), job.engine_over)
            trained = train_on_tries(task, params, tries, tracker)
        return made_of(job, trained, params.dev_examples)
