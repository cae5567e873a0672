"""The larger profiles train: their settings on two layers of their architecture, one step each."""

from collections.abc import Callable
from pathlib import Path

import pytest

from components.methods.grpo.settings import GrpoParams
from components.methods.grpo.training import train_rl
from components.methods.sft.settings import SftParams
from components.methods.sft.training import train_sft
from components.models import open_model
from components.params import Profile, load
from components.records import Example
from components.tracking import NullTracker
from components.training import Sample, TrainingTask

ROOT = Path(__file__).resolve().parents[3]
PROFILES = {
    "qwen3-0.6b": "Qwen3",
    "llama-3.1-8b": "Llama",
    "smollm2-135m": "Llama",
    "smollm2-360m": "Llama",
    "lfm2-350m": "Lfm2",
}


def outcome(examples: list[Example], completions: list[str]) -> list[float]:
    return [len(text) / 10 for text in completions]


@pytest.mark.parametrize("name", PROFILES)
def test_one_step_of_sft(name: str, make_task: Callable[..., TrainingTask], model_folder: Callable[..., Path]) -> None:
    profile = load(ROOT / f"params/profiles/{name}.yaml", Profile)
    task = make_task(model=model_folder(PROFILES[name], bf16=True), precision="auto")
    settings = {**profile.methods["sft"], "epochs": 1, "max_tokens": profile.max_tokens}
    trained = train_sft(task, SftParams.model_validate(settings), NullTracker())
    assert trained.steps == 1
    open_model(task.out)


@pytest.mark.parametrize("name", PROFILES)
def test_each_process_has_whole_groups(name: str) -> None:
    profile = load(ROOT / f"params/profiles/{name}.yaml", Profile)
    assert GrpoParams.model_validate(profile.methods["grpo"]).prompts_per_step % profile.launcher.processes == 0


@pytest.mark.parametrize("name", PROFILES)
def test_one_step_of_grpo(
    name: str, make_task: Callable[..., TrainingTask], model_folder: Callable[..., Path], sample: Sample
) -> None:
    profile = load(ROOT / f"params/profiles/{name}.yaml", Profile)
    task = make_task(model=model_folder(PROFILES[name], bf16=True), precision="auto")
    # Only sizes are cut (one step, 4 prompts, 8 tokens), and vLLM, which wants a GPU, is left out.
    small = {"steps": 1, "prompts_per_step": 4, "max_new_tokens": 8, "probe_generations": 2, "rollouts": "transformers"}
    settings = GrpoParams.model_validate({**profile.methods["grpo"], **small})
    trained = train_rl(task, settings, outcome, NullTracker(), sample)
    assert trained.steps == 1
    open_model(task.out)
