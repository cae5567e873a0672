"""Settings of serving, in a workload's YAML under `serving`."""

from typing import Literal

from pydantic import Field, model_validator

from components.params.loading import Settings
from components.params.profile import ApiParams


class FallbackParams(Settings):
    """A second model, asked if an answer breaks the workload's schema, or the first model is not confident or away.

    Then answers are only sent when complete: a streamed one could not be replaced.
    """

    model: str = Field(description="The API's name for it.")
    prompt: str = Field(description="The version under params/prompts/<workload>/ that it is asked with.")
    api: ApiParams
    min_confidence: float | None = Field(
        default=None, ge=0, le=1, description="Least probability of the answer; None: only the schema decides."
    )


class UpstreamParams(Settings):
    """A remote engine that has the weights of registered versions, such as vLLM's server."""

    api: ApiParams
    model: str = Field(
        default="{workload}-{version}",
        min_length=1,
        description="Its name for a version's weights; {workload} and {version} are filled in.",
    )

    @model_validator(mode="after")
    def _names_what_is_known(self) -> "UpstreamParams":
        try:
            self.name("", 0)
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise ValueError(f"model: expected {{workload}} and {{version}} alone in braces, found {error}") from error
        return self

    def name(self, workload: str, version: int) -> str:
        """The remote engine's name for a version."""
        return self.model.format(workload=workload, version=version)


class RoutingParams(Settings):
    """Which versions answer besides the champion. The canary and the shadow are the versions with these aliases."""

    canary_share: float = Field(default=0.0, ge=0, le=1, description="Share of units that the canary answers instead.")
    unit: Literal["customer", "request"] = Field(
        default="customer",
        description="What is drawn for a canary: customers, as requests name them (`user`), else keys or addresses; or "
        "requests, if all come from one key and name no customer.",
    )
    shadow_share: float = Field(
        default=0.0, ge=0, le=1, description="Share of requests that the shadow answers too, while no caller waits."
    )
    fallback: FallbackParams | None = None


class TraceParams(Settings):
    """Where traces go besides the lake, which gets all of them."""

    mlflow_share: float = Field(default=0.05, ge=0, le=1, description="Share of requests that MLflow records too.")


class LabellingParams(Settings):
    """The labelling sample: requests that are drawn independently of how they are answered."""

    share: float = Field(
        default=0.0, ge=0, le=1, description="Share of requests, drawn at random; only they measure quality."
    )
    complete: float = Field(
        default=0.9, gt=0, le=1, description="Share of the sample that must be labelled before it counts."
    )
    checked: float = Field(
        default=1.0, gt=0, le=1,
        description="Share of the sample that people label. Below 1 the workload's judge reads all of it, and a canary "
        "is judged by its verdicts, corrected by people's labels on this share.",
    )  # fmt: skip
    most_misread: float = Field(
        default=0.2, gt=0, le=0.5,
        description="Share of answers on which the judge may differ from people, at the interval's upper end.",
    )  # fmt: skip
    least_checked: int = Field(default=50, ge=10, description="Answers that both must have read for a judge to count.")


class FeedbackParams(Settings):
    """How much feedback is accepted."""

    most_per_day: int = Field(
        default=1000,
        ge=1,
        description="Feedbacks of one key, or of one address without keys; reviewers have no cap.",
    )


class AccessParams(Settings):
    """Who may call a server, and from where."""

    hosts: tuple[str, ...] = Field(
        default=(),
        description="Host names, besides the address where a request arrives, by which it may be called, also by pages "
        "that a proxy serves there beside it: no other page may read its answers (no CORS). With API keys and no names "
        "here, any name.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(), description="Addresses of proxies in front of it, whose X-Forwarded-For is trusted."
    )
    open_probes: bool = Field(
        default=False, description="Whether /readyz and /metrics need no API key if it listens beyond this machine."
    )


class ConnectionParams(Settings):
    """How many connections a server holds, and how long they may take."""

    most: int = Field(default=2048, ge=8, description="At once; beyond that, the longest idle connection is closed.")
    request_s: float = Field(default=10.0, gt=0, description="Until a request must have arrived completely.")
    idle_s: float = Field(default=5.0, gt=0, description="Until a connection without a further request is closed.")
    most_header_bytes: int = Field(default=32_768, ge=1024)


class ServingParams(Settings):
    """How the champion of a workload is served."""

    most_batched: int = Field(default=64, ge=1, description="Completions that are computed together, at most.")
    most_waiting: int = Field(
        default=256,
        ge=1,
        description="Requests that wait for the engines of this server, and for each one elsewhere or of llama.cpp; "
        "further ones get status 503.",
    )
    caller_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of waiting requests that one caller may have: a key, or without keys an address.",
    )
    most_new_tokens: int = Field(
        default=4096, ge=16, description="Of all completions of one request together, even if it asks for more."
    )
    most_schema_bytes: int = Field(default=32_768, ge=1024, description="Of a JSON Schema in `response_format`.")
    most_tools: int = Field(default=64, ge=1, description="Tools in one request.")
    most_tools_bytes: int = Field(
        default=65_536, ge=1024, description="Of their names, descriptions and schemas together."
    )
    most_correction_characters: int = Field(default=16_384, ge=1, description="Of a corrected answer.")
    wait_ms: float = Field(default=5.0, ge=0, description="How long a batch waits for each expected request.")
    most_request_bytes: int = Field(default=262_144, ge=1024)
    requests_per_minute: float | None = Field(
        default=6000, gt=0, description="Of one key, or without keys of one address; None: no limit."
    )
    timeout_s: float = Field(
        default=60.0,
        gt=0,
        description="After which a request fails with status 504; a second model has as long again.",
    )
    follow_s: float = Field(default=5.0, gt=0, description="Interval between checks for a new champion.")
    store_s: float = Field(default=5.0, gt=0, description="How often traces are moved from the spools to their stores.")
    judge_share: float = Field(
        default=0.0, ge=0, le=1, description="Share of answers to callers that the workload's `scorer.judge` judges."
    )
    labelling: LabellingParams = LabellingParams()
    feedback: FeedbackParams = FeedbackParams()
    least_free_mb: float = Field(
        default=256.0, ge=0, description="Free on the disk that traces are written to; with less, it is not ready."
    )
    access: AccessParams = AccessParams()
    connections: ConnectionParams = ConnectionParams()
    traces: TraceParams = TraceParams()
    routing: RoutingParams = RoutingParams()
    upstream: UpstreamParams | None = Field(
        default=None, description="The remote engine that computes trained versions' answers; None: this server."
    )
