"""Settings of `grpo`."""

from typing import Literal

from pydantic import Field, model_validator

from components.params import LoraParams, Settings


class GrpoParams(Settings):
    """GRPO, rewarded by the workload's scorer."""

    lora: LoraParams | None = None
    steps: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    prompts_per_step: int = Field(ge=1)
    generations: int = Field(ge=2, description="Rollouts of one prompt: the group.")
    device_batch_rollouts: int = Field(ge=1)
    temperature: float = Field(default=1.0, gt=0)
    beta: float = Field(default=0.0, ge=0, description="Weight of the KL term against the SFT rung.")
    epsilon: float = Field(default=0.2, gt=0)
    max_new_tokens: int = Field(ge=1)
    warmup_share: float = Field(default=0.05, ge=0, le=1)
    probe_prompts: int = Field(ge=0, description="Train prompts sampled from the SFT rung to find those with variance.")
    probe_generations: int = Field(default=8, ge=2)
    easy_share: float = Field(default=0.1, ge=0, lt=1, description="Share of prompts without variance kept in the mix.")
    evaluations: int = Field(default=8, ge=1)
    patience: int = Field(default=3, ge=1)
    dev_examples: int = Field(default=500, ge=1)
    rollouts: Literal["transformers", "vllm"] = "transformers"
    gradient_checkpointing: bool = False

    @model_validator(mode="after")
    def _whole_groups(self) -> "GrpoParams":
        if (self.prompts_per_step * self.generations) % self.device_batch_rollouts:
            raise ValueError("prompts_per_step x generations must be a multiple of device_batch_rollouts")
        return self
