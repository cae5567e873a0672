"""Settings of a profile (params/profiles/NAME.yaml): which model, at what scale, on what machine."""

from typing import Any, Literal

from pydantic import Field, model_validator

from components.params.loading import Address, Settings
from components.params.pretrain import MidtrainParams, PretrainParams
from components.params.written import JsonObject

Precision = Literal["auto", "bf16", "fp32"]


class ModelParams(Settings):
    """The model that the ladder starts from."""

    path: str = Field(description="A folder, or a name on the Hugging Face hub.")
    precision: Precision = "auto"
    chat_template_kwargs: JsonObject = Field(
        default={},
        description="Arguments of the chat template, such as {enable_thinking: false} for Qwen3.",
    )


class LoraParams(Settings):
    """Low-rank adapters, merged into the model when a rung is saved."""

    rank: int = Field(ge=1)
    alpha: int = Field(ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[str, ...] | Literal["all-linear"] = "all-linear"


class LlamaCppParams(Settings):
    """How llama.cpp runs a model."""

    weights: Literal["f32", "f16", "bf16", "q8_0"] | None = Field(
        default=None, description="None: as model.precision says, f16 where that is auto."
    )
    parallel: int = Field(default=32, ge=1, le=256, description="Sequences that are decoded together.")
    context: int = Field(
        default=4096, ge=64, description="Most tokens of a sequence, prompt included; never more than the model's own."
    )
    threads: int | None = Field(default=None, ge=1, le=512, description="None: one for each core of this process.")
    cache_prompt: bool = Field(
        default=False,
        description="Read what a prompt has in common with an earlier one only once. By rounding, an answer then "
        "depends on what was asked before. Models with short convolutions (lfm2) gain little.",
    )


class EngineParams(Settings):
    """How completions are generated.

    It is about models that are trained already: while one is trained, its rollouts and dev scores come from
    transformers, whatever the kind; an agent's turns need that kind.
    """

    kind: Literal["transformers", "llama_cpp", "vllm"] = "transformers"
    batch_tokens: int = Field(default=32_768, ge=256, description="Prompt and new tokens of one batch, padded.")
    max_new_tokens: int = Field(default=128, ge=1)
    llama_cpp: LlamaCppParams | None = Field(
        default=None, exclude_if=lambda params: params is None, description="Only where kind is llama_cpp."
    )

    @model_validator(mode="after")
    def _is_of_its_kind(self) -> "EngineParams":
        if self.llama_cpp is not None and self.kind != "llama_cpp":
            raise ValueError(f"llama_cpp: expected these settings where kind is llama_cpp, found kind {self.kind}")
        return self


class ApiParams(Settings):
    """How an OpenAI-compatible API is called. The key is not a setting: it comes from the environment."""

    kind: Literal["openai"] = "openai"
    base_url: Address | None = Field(default=None, description="None: OPENAI_BASE_URL, or else OpenAI itself.")
    key_variable: str | None = Field(
        default="OPENAI_API_KEY", description="Environment variable with the key; None for a server without keys."
    )
    concurrency: int = Field(default=16, ge=1, description="Requests at the same time.")
    requests_per_minute: float | None = Field(default=None, gt=0, description="Retries included; None: no limit.")
    timeout_s: float = Field(default=60.0, gt=0, description="Of one attempt.")
    max_retries: int = Field(default=5, ge=0, description="After 408, 409, 429, 5xx, timeouts and lost connections.")
    within_s: float | None = Field(
        default=None,
        gt=0,
        exclude_if=lambda within_s: within_s is None,  # as for `tools`
        description="Of a request with all its attempts and waits, after which it is given up; None: no limit. "
        "In a batch the wait for one of the `concurrency` places does not count. "
        "A server that answers by this API gives up in time for its callers anyway.",
    )
    limit_field: Literal["max_completion_tokens", "max_tokens"] = Field(
        default="max_tokens", description="The API's name for the limit of new tokens."
    )
    omit: tuple[Literal["temperature", "top_p", "seed", "stop", "stream"], ...] = Field(
        default=(),
        description="Parameters that the API refuses; without `stream` answers come whole, without `stop` in full.",
    )
    tools: bool = Field(
        default=False,
        exclude_if=lambda tools: not tools,  # what was hashed before this setting came keeps its hash
        description="It calls tools, in OpenAI's form; vLLM's server does with --enable-auto-tool-choice.",
    )
    extra_body: JsonObject = Field(default={}, description="Further parameters of the request.")


class LauncherParams(Settings):
    """How training is started: in this process, by torch's launcher in several (also on CPUs), or by accelerate's."""

    kind: Literal["process", "torch", "accelerate"] = "process"
    processes: int = Field(default=1, ge=1)
    strategy: Literal["ddp", "fsdp2"] = Field(
        default="ddp", description="A copy of the model in each process, or its weights sharded over them."
    )
    config: str | None = Field(default=None, description="An accelerate config file, for other settings.")

    @model_validator(mode="after")
    def _has_whom_to_share_with(self) -> "LauncherParams":
        if self.kind == "process" and self.strategy != "ddp":
            raise ValueError(f"strategy: expected ddp where kind is process, found {self.strategy}")
        if self.kind == "process" and self.processes != 1:
            raise ValueError(f"processes: expected 1 where kind is process, found {self.processes}")
        return self

    @model_validator(mode="after")
    def _is_read_by_accelerate(self) -> "LauncherParams":
        if self.kind != "accelerate" and self.config is not None:
            raise ValueError(f"config: expected none where kind is {self.kind}, found {self.config}")
        return self


Environment = Literal["base", "gpu"]


class Profile(Settings):
    """One profile."""

    name: str
    model: ModelParams
    machine: str = Field(description="Entry of params/prices.yaml that training and serving run on.")
    engine: EngineParams
    prompting: ApiParams | None = Field(
        description="API of the workload's incumbent for prompt rungs; None: the model."
    )
    dev_examples: int = Field(default=500, ge=1, description="Dev examples that rungs are scored on when made.")
    max_tokens: int = Field(ge=32, description="Of an example's prompt and completion; longer examples are refused.")
    methods: dict[str, dict[str, Any]] = Field(default={}, description="Method → its settings at this scale.")
    launcher: LauncherParams = LauncherParams()
    environment: Environment = Field(
        default="base", description="For stages that open the model: requirements.lock or requirements-gpu.lock."
    )
    pretrain: PretrainParams | None = Field(default=None, description="Only for the embedded base model.")
    midtrain: MidtrainParams | None = None
