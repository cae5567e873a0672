"""Settings of a profile (params/profiles/NAME.yaml): which model, at what scale, on what machine."""

from typing import Any, Literal

from pydantic import Field, model_validator

from components.params.loading import Settings
from components.params.pretrain import MidtrainParams, PretrainParams

Precision = Literal["auto", "bf16", "fp32"]


class ModelParams(Settings):
    """The model that the ladder starts from."""

    path: str = Field(description="A folder, or a name on the Hugging Face hub.")
    precision: Precision = "auto"


class LoraParams(Settings):
    """Low-rank adapters, merged into the model when a rung is saved."""

    rank: int = Field(ge=1)
    alpha: int = Field(ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[str, ...] | Literal["all-linear"] = "all-linear"


class EngineParams(Settings):
    """How completions are generated."""

    kind: Literal["transformers", "vllm"] = "transformers"
    batch_tokens: int = Field(default=32_768, ge=256, description="Prompt and new tokens of one batch, padded.")
    max_new_tokens: int = Field(default=128, ge=1)


class ApiParams(Settings):
    """How an OpenAI-compatible API is called. The key is no setting: it comes from the environment."""

    kind: Literal["openai"] = "openai"
    base_url: str | None = Field(default=None, description="None: OPENAI_BASE_URL, or else OpenAI itself.")
    key_variable: str | None = Field(
        default="OPENAI_API_KEY", description="Environment variable with the key; None for a server that wants none."
    )
    concurrency: int = Field(default=16, ge=1, description="Requests on the way at the same time.")
    requests_per_minute: float | None = Field(default=None, gt=0, description="Retries included; None: no limit.")
    timeout_s: float = Field(default=60.0, gt=0, description="Of one attempt.")
    max_retries: int = Field(default=5, ge=0, description="After 408, 409, 429, 5xx, timeouts and lost connections.")
    limit_field: Literal["max_completion_tokens", "max_tokens"] = Field(
        default="max_tokens", description="What the API calls the limit of new tokens."
    )
    omit: tuple[Literal["temperature", "top_p", "seed"], ...] = Field(
        default=(), description="Parameters that the API refuses."
    )
    extra_body: dict[str, Any] = Field(default={}, description="Further parameters of the request.")


class SftParams(Settings):
    """Supervised fine-tuning on demonstrations. `dev_examples` and `max_tokens` are the profile's unless given."""

    lora: LoraParams | None = Field(default=None, description="None trains all weights.")
    optimiser: Literal["adamw", "muon"] = Field(
        default="adamw",
        description="Muon is for full fine-tuning: a small model learns in fewer steps.",
    )
    epochs: float = Field(gt=0)
    learning_rate: float = Field(gt=0)
    batch_examples: int = Field(ge=1, description="Of one optimiser step, over all devices.")
    device_batch_examples: int = Field(ge=1)
    packed_tokens: int | None = Field(
        default=None,
        ge=32,
        description="Examples are packed into rows of so many tokens, and the layers compiled for this one shape "
        "where there is a C++ compiler: on CPUs half as fast again. For full fine-tuning in one process.",
    )
    warmup_share: float = Field(default=0.05, ge=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0)
    evaluations: int = Field(default=8, ge=1, description="Checkpoints scored on dev, spread over the training.")
    patience: int = Field(default=3, ge=1, description="Evaluations without a better dev score before it stops.")
    dev_examples: int = Field(default=500, ge=1)
    max_tokens: int = Field(ge=32, description="Of prompt and completion; longer examples are refused.")
    gradient_checkpointing: bool = False

    @model_validator(mode="after")
    def _packs_what_fits(self) -> "SftParams":
        if self.packed_tokens is not None and self.packed_tokens < self.max_tokens:
            raise ValueError(f"packed_tokens must be at least max_tokens ({self.max_tokens})")
        if self.packed_tokens is not None and self.lora is not None:
            raise ValueError("packed_tokens is for full fine-tuning, found lora")
        return self


class GrpoParams(Settings):
    """GRPO on outcomes that the workload's scorers judge."""

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


class LauncherParams(Settings):
    """How training is started: in this process, by torch's launcher in several (also on CPUs), or by accelerate's."""

    kind: Literal["process", "torch", "accelerate"] = "process"
    processes: int = Field(default=1, ge=1)
    config: str | None = Field(default=None, description="An accelerate config file, for FSDP or DeepSpeed.")


class Profile(Settings):
    """One profile."""

    name: str
    model: ModelParams
    machine: str = Field(description="Entry of params/prices.yaml that training and serving run on.")
    engine: EngineParams
    prompting: ApiParams | None = Field(
        description="API of the workload's incumbent for prompt rungs; None: the model."
    )
    dev_examples: int = Field(default=500, ge=1, description="Of dev, that rungs are scored on while they are made.")
    max_tokens: int = Field(ge=32, description="Of prompt and completion of an example; longer ones are refused.")
    methods: dict[str, dict[str, Any]] = Field(default={}, description="Method → its settings at this scale.")
    launcher: LauncherParams = LauncherParams()
    pretrain: PretrainParams | None = Field(default=None, description="Only where the base model is our own.")
    midtrain: MidtrainParams | None = None
