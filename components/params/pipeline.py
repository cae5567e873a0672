"""Settings of the pipeline (params/pipeline.yaml): which runs exist, with which seed, and when a challenger wins."""

from typing import Any

from pydantic import Field, field_validator

from components.params.loading import Settings


class RunFiles(Settings):
    """What DVC watches for a run beside its settings: when one of them changes, the stages that read it run again."""

    source: str = Field(description="File or folder that the data come from: the user's, or a generator's code.")
    model: str = Field(description="Weights of the base model; where a hub has them, the profile that names it.")
    trained_prompt: str


class RunParams(Settings):
    """One pair of workload and profile that the pipeline runs."""

    workload: str
    profile: str
    files: RunFiles
    sft: dict[str, Any] = Field(default={}, description="What differs from the profile's settings of SFT.")
    rl: dict[str, Any] = Field(default={}, description="What differs from the profile's settings of RL.")
    seed: int | None = Field(default=None, description="None: the pipeline's.")

    @field_validator("sft")
    @classmethod
    def _leaves_the_data_alone(cls, changes: dict[str, Any]) -> dict[str, Any]:
        if found := sorted({"max_tokens", "dev_examples"} & changes.keys()):
            raise ValueError(f"{found[0]} is the profile's to set: other stages than SFT read it")
        return changes


class GateParams(Settings):
    """When a challenger replaces the champion on the sealed split."""

    alpha: float = Field(default=0.05, gt=0, lt=1)
    min_delta: float = Field(default=0.0, description="Least gain in accuracy, in [−1, 1].", ge=-1, le=1)
    min_validity: float = Field(default=0.95, ge=0, le=1)
    min_examples: int = Field(default=200, ge=1)


class Pipeline(Settings):
    """All runs and what they share."""

    seed: int
    runs: dict[str, RunParams]
    gate: GateParams
