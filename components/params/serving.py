"""Settings of serving, in a workload's YAML under `serving`."""

from typing import Literal

from pydantic import Field, model_validator

from components.params.loading import Settings
from components.params.profile import ApiParams


class FallbackParams(Settings):
    """A second model, asked where an answer breaks the workload's schema or the first model is not sure of it.

    No answer is streamed then before it is complete: what has left cannot be taken back.
    """

    model: str = Field(description="The API's name of it.")
    prompt: str = Field(description="The version under params/prompts/<workload>/ that it is asked with.")
    api: ApiParams
    min_confidence: float | None = Field(
        default=None, ge=0, le=1, description="Of the whole answer's probability; None: only the schema decides."
    )


class UpstreamParams(Settings):
    """An engine elsewhere that has the weights of registered versions, such as vLLM's server."""

    api: ApiParams
    model: str = Field(
        default="{workload}-{version}",
        min_length=1,
        description="Its name of a version's weights: {workload} and {version} stand for the registry's.",
    )

    @model_validator(mode="after")
    def _names_what_is_known(self) -> "UpstreamParams":
        try:
            self.name("", 0)
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            raise ValueError(f"model: expected {{workload}} and {{version}} alone in braces, found {error}") from error
        return self

    def name(self, workload: str, version: int) -> str:
        """What it calls a version."""
        return self.model.format(workload=workload, version=version)


class RoutingParams(Settings):
    """Who answers besides the champion. The canary and the shadow are the versions with these aliases."""

    canary_share: float = Field(default=0.0, ge=0, le=1, description="Of the units, answered by the canary instead.")
    unit: Literal["customer", "request"] = Field(
        default="customer",
        description="Who is drawn for a canary: customers, as requests name them (`user`), else keys or addresses; or "
        "each request, where all of them come from one key and name nobody.",
    )
    shadow_share: float = Field(default=0.0, ge=0, le=1, description="Of the requests, answered unseen by the shadow.")
    fallback: FallbackParams | None = None


class TraceParams(Settings):
    """Where traces go besides the lake, which gets all of them."""

    mlflow_share: float = Field(default=0.05, ge=0, le=1, description="Of the requests, recorded in MLflow too.")


class LabellingParams(Settings):
    """Which requests are set aside for labelling in full, before anybody knows how they were answered."""

    share: float = Field(
        default=0.0, ge=0, le=1, description="Of the requests, drawn at random; quality is told by them alone."
    )
    complete: float = Field(
        default=0.9, gt=0, le=1, description="Share of those drawn that must be labelled before they say anything."
    )
    checked: float = Field(
        default=1.0, gt=0, le=1,
        description="Share of those drawn that people label. Below 1 the workload's judge reads all of them, and a "
        "canary is judged by its verdicts, corrected by what people say of this share.",
    )  # fmt: skip
    most_misread: float = Field(
        default=0.2, gt=0, le=0.5,
        description="Share of answers that the judge may read otherwise than people, by the upper end of the interval.",
    )  # fmt: skip
    least_checked: int = Field(default=50, ge=10, description="Answers that both have read, before a judge counts.")


class FeedbackParams(Settings):
    """What is taken of those who say what became of answers."""

    most_per_day: int = Field(
        default=1000,
        ge=1,
        description="Feedbacks of one key, or of one address without keys; reviewers have no cap.",
    )


class AccessParams(Settings):
    """Who may call a server, and from where."""

    hosts: tuple[str, ...] = Field(
        default=(),
        description="Names, besides the address that it listens on, by which it may be called; their pages may call it "
        "from a browser. With API keys and no names here, any name.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(), description="Addresses whose X-Forwarded-For is believed: of the proxies in front of it."
    )
    open_probes: bool = Field(
        default=False, description="Whether /readyz and /metrics want no API key where others than this machine listen."
    )


class ConnectionParams(Settings):
    """How many connections a server holds, and how long they may take."""

    most: int = Field(
        default=2048, ge=8, description="At once; beyond it, who has waited longest without a request has to go."
    )
    request_s: float = Field(default=10.0, gt=0, description="Until a request has arrived whole, or it is cut off.")
    idle_s: float = Field(default=5.0, gt=0, description="Until a connection without a further request is closed.")
    most_header_bytes: int = Field(default=32_768, ge=1024)


class ServingParams(Settings):
    """How the champion of a workload is served."""

    most_batched: int = Field(default=64, ge=1, description="Completions that are computed together at most.")
    most_waiting: int = Field(default=256, ge=1, description="Requests that wait for a turn; others get status 503.")
    caller_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Of those that may wait, for one caller: a key, or without keys an address.",
    )
    most_new_tokens: int = Field(
        default=4096, ge=16, description="Of all completions of one request together, whatever it asks for."
    )
    most_schema_bytes: int = Field(default=32_768, ge=1024, description="Of a JSON Schema in `response_format`.")
    most_tools: int = Field(default=64, ge=1, description="That one request may offer.")
    most_tools_bytes: int = Field(
        default=65_536, ge=1024, description="Of their names, descriptions and schemas together."
    )
    most_correction_characters: int = Field(default=16_384, ge=1, description="Of a corrected answer.")
    wait_ms: float = Field(default=5.0, ge=0, description="How long a batch waits for each request that is expected.")
    most_request_bytes: int = Field(default=262_144, ge=1024)
    requests_per_minute: float | None = Field(
        default=6000, gt=0, description="Of one key, or of one address where no key is asked for; None: no limit."
    )
    timeout_s: float = Field(default=60.0, gt=0, description="Until a request is given up with status 504.")
    follow_s: float = Field(default=5.0, gt=0, description="How often the registry is asked for a new champion.")
    store_s: float = Field(default=5.0, gt=0, description="How often traces are moved from the spools to their stores.")
    judge_share: float = Field(
        default=0.0, ge=0, le=1, description="Of the answers that callers got, judged by the workload's `scorer.judge`."
    )
    labelling: LabellingParams = LabellingParams()
    feedback: FeedbackParams = FeedbackParams()
    least_free_mb: float = Field(
        default=256.0, ge=0, description="Left on the disk that traces are written to; with less, it is not ready."
    )
    access: AccessParams = AccessParams()
    connections: ConnectionParams = ConnectionParams()
    traces: TraceParams = TraceParams()
    routing: RoutingParams = RoutingParams()
    upstream: UpstreamParams | None = Field(
        default=None, description="Who computes the answers of trained versions; None: this server."
    )
