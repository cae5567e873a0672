"""Settings of a ladder (params/ladders/NAME.yaml): named rungs, each a method and what it starts from."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from components.params.loading import Settings

NAME = r"^[a-z0-9][a-z0-9_-]*$"
BASE = "base"
"""A ladder's name for the profile's base model."""


class RungParams(Settings):
    """One rung, or with `each` several rungs, which form a group of this name."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    method: str = Field(description="A name of components.methods, or module:Class of one's own.")
    each: Literal["prompts"] | None = Field(default=None, description="One rung for each prompt of the workload.")
    starts_from: str | None = Field(
        default=None,
        alias="from",
        description="Whose model or prompt it starts from: base, a rung, or a group (its best on dev). None: base if "
        "the method makes a model, else nothing.",
    )
    compare: str | None = Field(
        default=None, description="What it challenges: a rung or a group. None: what it starts from, unless base."
    )
    settings: dict[str, Any] = Field(default={}, description="What differs from the profile's settings of the method.")


class FirstLookParams(Settings):
    """How much of the data a first look takes: examples of each split, drawn by the seed."""

    train: int = Field(ge=1)
    dev: int = Field(ge=1)
    test: int = Field(ge=1)


class LadderParams(Settings):
    """The rungs, in climbing order."""

    first_look: FirstLookParams | None = Field(
        default=None,
        description="A first look instead of a climb: it uses only so many examples and not the sealed split, decides "
        "nothing and publishes nothing. None: a whole climb.",
    )
    rungs: dict[str, RungParams] = Field(min_length=1)
