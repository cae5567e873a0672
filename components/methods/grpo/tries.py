"""GRPO on an agent's tries: one trajectory, one row, one advantage.

Rollouts come from the loop that also evaluates (`components.tasks`), with the same limits, users and ends; its mask of
sampled tokens goes into the loss. A try that ended by an error of the environment or the scorer has the mean reward of
its group, so it has no advantage.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from components.errors import ConfigError, DataError
from components.methods.grpo.probe import selected, shared_out
from components.methods.grpo.selection import schedule
from components.methods.grpo.settings import GrpoParams
from components.methods.grpo.training import Rewarded, require_whole_groups, rl_job
from components.params import Limits
from components.records import Example, Trajectory
from components.tasks import EnginePolicy, EnvironmentSpec, Rolled, roll
from components.tasks.rollout import start_of
from components.tracking import Tracker
from components.training.checkpoints import claim
from components.training.precision import Compute, without_autocast
from components.training.run import finish, starting_model
from components.training.sharding import gathered
from components.training.task import Trained, TrainingTask, seed_of

TrajectoryReward = Callable[[list[Example], list[Trajectory]], list[float]]
MakeEngine = Callable[[Any, Any], Any]  # (model, tokenizer) → the engine that draws


@dataclass(frozen=True)
class Tries:
    """The environment and limits of tries, their reward in [0, 1], and the engine that draws them."""

    spec: EnvironmentSpec
    limits: Limits
    reward: TrajectoryReward
    engine: MakeEngine


class RewardedTries(Rewarded):
    """The data of a GRPO trainer whose rollouts are tries."""

    def __init__(self, task: TrainingTask, rows: list[int], tries: Tries) -> None:
        super().__init__(task, rows)
        self._task, self._tries = task, tries
        self.rollouts = self.drawn

    def drawn(self, prompts: Sequence[Any], trainer: Any) -> dict[str, Any]:
        """TRL's `rollout_func`: a try for each row of `trainer.drawn_for`, which repeats rows for their groups."""
        from trl.models import unwrap_model_for_generation

        seen = Counter[int]()
        starts: list[Any] = []
        for row in (int(line["row"]) for line in trainer.drawn_for):
            starts.append(start_of(self._task.train[row], self._task.prompt.messages(self._task.train[row]), seen[row]))
            seen[row] += 1
        tokenizer = trainer.processing_class
        with (
            unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model,
            gathered(model),
            without_autocast(model),
        ):
            policy = EnginePolicy(self._tries.engine(model, tokenizer), trainer.temperature, trainer.step_seed())
            rolled = roll(self._tries.spec, policy, starts, self._tries.limits)
        _log(trainer, [attempt.trajectory for attempt in rolled])
        return as_rollouts(rolled, tokenizer.eos_token_id)

    @property
    def function(self) -> Callable[..., Any]:
        def outcome(row: list[int], trajectory: list[Trajectory], **_: Any) -> list[float]:
            return self._tries.reward([self._task.train[index] for index in row], trajectory)

        return outcome


def as_rollouts(rolled: Sequence[Rolled], end: int) -> dict[str, Any]:
    """Tries as TRL's rollouts; one that ended before its first token becomes a single token that was not sampled."""
    spoken = [attempt.dialogue if attempt.dialogue.completion_ids else None for attempt in rolled]
    return {
        "prompt_ids": [attempt.ids[: attempt.prompt_tokens] if attempt else [end] for attempt in spoken],
        "completion_ids": [attempt.completion_ids if attempt else [end] for attempt in spoken],
        "env_mask": [attempt.mask if attempt else [0] for attempt in spoken],
        "logprobs": None,
        "trajectory": [attempt.trajectory for attempt in rolled],
    }


def train_on_tries(task: TrainingTask, params: GrpoParams, tries: Tries, tracker: Tracker) -> Trained:
    """Train a model on the rewards of its own tries, and write the best weights by dev score to `task.out`.

    As in `train_rl`, a probe chooses tasks whose rewards vary; without one, tasks come in a seeded order. The limits of
    a try replace the setting `max_new_tokens`.

    Raises:
        ConfigError: `rollouts` is vLLM, which does not support tries, or the processes would share a task's tries.
        DataError: No examples.
        EngineError: `task.model` is no model folder, or its template knows no tools.
        TrainingError: `task.work` belongs to another training, or the loss is not finite.
    """
    if params.rollouts != "transformers":
        raise ConfigError(f"grpo.rollouts: expected transformers for an agent's tries, found {params.rollouts}")
    if not task.train:
        raise DataError("expected at least one example to train on, found none")
    compute = Compute.choose(task.precision)
    require_whole_groups(params, compute)
    opened = starting_model(task, params.lora, compute)
    claim(task.work, identity := task.identity(params, tries.limits.model_dump_json()))
    with compute.fast_convolutions():
        mix = selected(task, params, opened, TryProbe(tries, compute), identity)
    rows = schedule(mix, params.steps * params.prompts_per_step, random.Random(task.seed))
    job = rl_job(task, params, opened, RewardedTries(task, rows, tries), compute)
    return finish(replace(job, prepared=mix.seconds), tracker, compute)


@dataclass(frozen=True)
class TryProbe:
    """Rewards of several tries at each task, for `components.methods.grpo.probe`."""

    tries: Tries
    compute: Compute

    def rewards(self, task: TrainingTask, params: GrpoParams, opened: tuple[Any, Any], probed: list[int]) -> Any:
        """As `Probing.rewards`."""
        n = params.probe_generations

        def of(rows: list[int], process: int) -> list[float]:
            asked = [task.train[row] for row in rows for _ in range(n)]
            starts = [start_of(example, task.prompt.messages(example), at % n) for at, example in enumerate(asked)]
            policy = EnginePolicy(self.tries.engine(*opened), params.temperature, seed_of(task.seed, 0, process))
            rolled = roll(self.tries.spec, policy, starts, self.tries.limits)
            return self.tries.reward(asked, [attempt.trajectory for attempt in rolled])

        return shared_out(self.compute, probed, n, of)


def _log(trainer: Any, tries: Sequence[Trajectory]) -> None:
    """Log how a step's tries ended, how many calls they made, and what failed."""
    shares = {
        "completed": [attempt.ended for attempt in tries],
        "errors": [attempt.error is not None for attempt in tries],
        "calls": [attempt.tool_calls for attempt in tries],
        "invalid_calls": [attempt.invalid_calls for attempt in tries],
        "tool_errors": [attempt.tool_errors for attempt in tries],
        "turns": [attempt.turns for attempt in tries],
    }
    for name, values in shares.items():
        trainer._metrics["train"][f"tries/{name}"].append(fmean(values))
