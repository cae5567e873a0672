"""Settings of an OpenAI-compatible API. The key is none of them: it comes from the environment."""

from typing import Any, Literal

from pydantic import Field

from components.params import Settings


class ApiParams(Settings):
    """How an API is called."""

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
