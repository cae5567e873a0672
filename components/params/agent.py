"""Settings of an agent's tries: when one ends."""

from pydantic import Field

from components.params.loading import Settings


class Limits(Settings):
    """When a try ends that does not end by itself."""

    turns: int = Field(default=12, ge=1, description="Of the assistant.")
    tool_calls: int = Field(default=24, ge=1, description="Carried out, in all turns together.")
    invalid_calls: int = Field(default=3, ge=1, description="That could not be carried out; with this one it ends.")
    turn_tokens: int = Field(default=128, ge=1, description="Sampled in one turn.")
    trajectory_tokens: int = Field(default=1024, ge=1, description="Sampled and read behind the prompt.")
    call_seconds: float = Field(default=10.0, gt=0, description="Of one call of the environment.")
    trajectory_seconds: float = Field(default=60.0, gt=0, description="Of all calls of the environment together.")
    result_characters: int = Field(default=8_192, ge=1, description="Of what a tool returns; longer is an error.")
