"""Settings of an agent: its environment, when a try ends, and how often a task is tried."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from components.params.loading import Settings, without_login

MCP = "mcp:"


def _without_login(environment: str) -> str:
    """An environment that is no address with a login; a command's arguments are its own."""
    named = environment.removeprefix(MCP).strip()
    if named.startswith(("http://", "https://")):
        without_login(named)
    return environment


AgentEnvironment = Annotated[str, AfterValidator(_without_login), Field(pattern=rf"^({MCP}.+|[\w.]+:\w+)$")]


class Limits(Settings):
    """Limits at which a try is ended."""

    turns: int = Field(default=12, ge=1, description="Turns of the assistant.")
    tool_calls: int = Field(default=24, ge=1, description="Valid calls in all turns together.")
    invalid_calls: int = Field(default=3, ge=1, description="Invalid calls; the last one ends the try.")
    turn_tokens: int = Field(default=128, ge=1, description="Sampled in one turn.")
    trajectory_tokens: int = Field(default=1024, ge=1, description="Sampled and read after the prompt.")
    call_seconds: float = Field(default=10.0, gt=0, description="For one call of the environment.")
    trajectory_seconds: float = Field(default=60.0, gt=0, description="For all calls of the environment together.")
    result_characters: int = Field(default=8_192, ge=1, description="Length of a tool's result; longer is an error.")


class AgentParams(Settings):
    """An agent's environment and limits. A workload with this section has tasks for tries instead of questions."""

    environment: AgentEnvironment = Field(
        description="module:Class, whose public methods are the tools, or mcp: and the command or address of a server."
    )
    limits: Limits = Limits()
    max_tokens: int = Field(
        default=1280, ge=32, description="Of a demonstration, prompt and tools included; replaces the profile's."
    )
    trials: int = Field(default=1, ge=1, le=64, description="Tries at each task of test and sealed.")
    temperature: float = Field(default=0.0, ge=0, description="Of these tries; 0 draws nothing.")
    hand_over: str | None = Field(
        default=None, description="The tool that hands a task over; the certificate tests an agent that always does."
    )
    user_turns: int = Field(default=1, ge=1, description="Turns that the user needs to say all that a task needs.")

    @model_validator(mode="after")
    def _trials_differ(self) -> "AgentParams":
        if self.trials > 1 and self.temperature == 0:
            raise ValueError(f"temperature must be above 0 where there are several trials, found {self.trials} trials")
        return self
