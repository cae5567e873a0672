"""Reinforcement learning on outcomes: GRPO (Shao et al. 2024, arXiv 2402.03300) from a trained rung."""

import math
import os
import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from components.engines.chat import Chat
from components.engines.thinking import answer_of
from components.errors import ConfigError, DataError
from components.methods.grpo.probe import Probe, selected
from components.methods.grpo.selection import schedule
from components.methods.grpo.settings import GrpoParams
from components.records import Example
from components.tracking import Tracker
from components.training.checkpoints import claim
from components.training.encode import encode_prompts
from components.training.memory import recomputed
from components.training.precision import Compute
from components.training.run import Job, accumulation, adapter, finish, shared_settings, starting_model
from components.training.task import Reward, Sample, Trained, TrainingTask

SERVER = "GRADUS_VLLM_SERVER"  # address of a vLLM server that TRL drives; without it vLLM shares the training's GPUs
COLOCATED_SHARE = (
    0.4  # of a GPU's memory for vLLM's weights and cache: 32 of 80 GB hold 8 billion weights and 16 GB more
)
NAMES = {
    "loss": "loss",
    "reward": "reward",
    "reward_std": "reward_std",
    "kl": "kl",
    "entropy": "entropy",
    "frac_reward_zero_std": "zero_variance_share",
    "completions/mean_length": "completion_tokens",
    "completions/clipped_ratio": "clipped_share",
    "dev_score": "dev_score",
    "tries/completed": "completed_share",
    "tries/errors": "error_share",
    "tries/calls": "calls",
    "tries/invalid_calls": "invalid_calls",
    "tries/tool_errors": "tool_errors",
    "tries/turns": "turns",
    "trained_reward": "trained_reward",
    "sealed_score": "sealed_score",
}


def train_rl(task: TrainingTask, params: GrpoParams, reward: Reward, tracker: Tracker, sample: Sample) -> Trained:
    """Train a model on the rewards of its own completions, and write the best weights by dev score to `task.out`.

    Before the first step the model answers `probe_prompts` train prompts several times, and prompts whose rewards vary
    are chosen; without a probe, prompts come in a seeded order. `sample` draws those answers, and the rollouts unless
    vLLM does. Step 0 is scored too: where nothing is better, the result is the starting model. An interrupted training
    resumes from the last checkpoint in `task.work`.

    Raises:
        ConfigError: The processes would share the answers of a group.
        DataError: No examples.
        EngineError: `task.model` is no model folder.
        TrainingError: `task.work` belongs to another training, or the loss is not finite.
    """
    if not task.train:
        raise DataError("expected at least one example to train on, found none")
    compute = Compute.choose(task.precision)
    require_whole_groups(params, compute)
    opened = starting_model(task, params.lora, compute)
    claim(task.work, identity := task.identity(params))
    reward = of_answers(reward, opened[1])
    with compute.fast_convolutions():
        mix = selected(task, params, opened, Probe(reward, sample, compute), identity)
    rows = schedule(mix, params.steps * params.prompts_per_step, random.Random(task.seed))
    job = rl_job(task, params, opened, RewardedAnswers(task, rows, reward, sample), compute)
    return finish(replace(job, prepared=mix.seconds), tracker, compute)


def require_whole_groups(params: GrpoParams, compute: Compute) -> None:
    """Refuse a step whose groups are parted: each process rewards its own answers, and ranks them among themselves.

    Raises:
        ConfigError: The prompts of a step do not divide evenly over processes.
    """
    processes: int = compute.state().num_processes
    if params.prompts_per_step % processes:
        raise ConfigError(
            f"grpo.prompts_per_step: expected a multiple of the {processes} processes (launcher.processes), so that "
            f"each has all grpo.generations ({params.generations}) of a prompt, found {params.prompts_per_step}"
        )


def of_answers(reward: Reward, tokenizer: Any) -> Reward:
    """A reward that sees only the answer in each completion, without the thoughts before it."""
    thinking = Chat(tokenizer).thinking
    return lambda examples, texts: reward(examples, [answer_of(text, thinking=thinking) for text in texts])


class Rewarded(ABC):
    """The data of a GRPO trainer: a prompt for each row, how it is answered, and the reward of its answers.

    `sample` draws completions; `rollouts`, TRL's `rollout_func`, draws an agent's tries instead.
    """

    sample: Sample | None = None
    rollouts: Callable[..., dict[str, Any]] | None = None

    def __init__(self, task: TrainingTask, rows: list[int]) -> None:
        self._examples, self._rows, self._prompt = task.train, rows, task.prompt

    def dataset(self) -> Any:
        """One row for each prompt of each step, in training order."""
        from datasets import Dataset

        turns = {
            row: [message.model_dump() for message in self._prompt.messages(self._examples[row])]
            for row in set(self._rows)
        }
        return Dataset.from_dict({"prompt": [turns[row] for row in self._rows], "row": self._rows})

    def longest_prompt(self, tokenizer: Any) -> int:
        """Tokens of the longest prompt in the training order."""
        chosen = [self._examples[row] for row in sorted(set(self._rows))]
        return max(map(len, encode_prompts(tokenizer, [self._prompt.messages(example) for example in chosen])))

    @property
    @abstractmethod
    def function(self) -> Callable[..., Any]:
        """The reward function for TRL, which logs it by its `__name__`."""


class RewardedAnswers(Rewarded):
    """The data of a GRPO trainer whose rollouts are completions."""

    def __init__(self, task: TrainingTask, rows: list[int], reward: Reward, sample: Sample) -> None:
        super().__init__(task, rows)
        self._reward, self.sample = reward, sample

    @property
    def function(self) -> Callable[..., Any]:
        def outcome(completions: list[Any], row: list[int], **_: Any) -> list[float]:
            examples: list[Example] = [self._examples[index] for index in row]
            return self._reward(examples, [completion[0]["content"] for completion in completions])

        return outcome


def rl_job(
    task: TrainingTask, params: GrpoParams, opened: tuple[Any, Any], rewarded: Rewarded, compute: Compute
) -> Job:
    """The trainer of these settings, before its first step."""
    from trl import GRPOConfig

    from components.methods.grpo.trainer import RolloutTrainer
    from components.training.dev import Plan

    model, tokenizer = opened
    rollouts = params.prompts_per_step * params.generations
    settings = GRPOConfig(
        **shared_settings(task, compute),
        **rollout_settings(params, rewarded.longest_prompt(tokenizer)),
        max_steps=params.steps,
        per_device_train_batch_size=params.device_batch_rollouts,
        gradient_accumulation_steps=accumulation(
            rollouts, params.device_batch_rollouts, compute, "grpo.prompts_per_step x grpo.generations"
        ),
        num_generations=params.generations,
        max_completion_length=params.max_new_tokens,
        temperature=params.temperature,
        learning_rate=params.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=math.ceil(params.warmup_share * params.steps),
        loss_type="dapo",
        beta=params.beta,
        epsilon=params.epsilon,
        **recomputed(params.gradient_checkpointing),
        logging_steps=1,
        shuffle_dataset=False,
    )
    trainer = RolloutTrainer(
        model=model,
        reward_funcs=rewarded.function,
        args=settings,
        train_dataset=rewarded.dataset(),
        processing_class=tokenizer,
        peft_config=adapter(params.lora),
        rollout_func=rewarded.rollouts,
    )
    plan = Plan.spread(params.steps, params.evaluations, params.patience, first=True)
    if rewarded.sample is not None:
        trainer.sample = rewarded.sample
    trainer.measure = plan.steps.__contains__
    trainer.reference = starting_policy(task, trainer)
    return Job(task, trainer, plan, NAMES, rollouts)


def rollout_settings(params: GrpoParams, longest_prompt: int) -> dict[str, Any]:
    """TRL's settings for vLLM: a server if its address is in the environment, else the training's GPUs."""
    if params.rollouts == "transformers":
        return {}
    if server := os.environ.get(SERVER):
        return {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": server}
    return {
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_enable_sleep_mode": True,
        "vllm_gpu_memory_utilization": COLOCATED_SHARE,
        "vllm_max_model_length": longest_prompt + params.max_new_tokens,
    }


def starting_policy(task: TrainingTask, trainer: Any) -> Callable[..., Any]:
    """Scores with the starting model: adapters off, or a copy of it, opened when first needed."""
    from components.models import open_model, widened

    opened: list[Any] = []

    def score(how: Callable[..., Any], *batch: Any) -> Any:
        model = trainer.accelerator.unwrap_model(trainer.model)
        if hasattr(model, "disable_adapter"):
            with model.disable_adapter():
                return how(trainer.model, *batch)
        if not opened:
            opened.append(widened(open_model(task.model)[0]).to(trainer.model.device).requires_grad_(False))
        return how(opened[0], *batch)

    return score
