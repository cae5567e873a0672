"""The prices of tokens and machine hours (params/prices.yaml), each with its source, date and certainty."""

from datetime import date
from pathlib import Path

from pydantic import Field

from components.errors import ConfigError
from components.params import Settings, load

SECONDS_PER_HOUR = 3600


class Sourced(Settings):
    """The source of a price, and its date."""

    source: str = Field(min_length=1)
    date: date
    checked: bool = Field(default=True, description="False where the source could not be looked at.")


class ModelPrice(Sourced):
    """The list price of an API model in US dollars, without discounts for caching or batches."""

    provider: str
    input_usd_per_million_tokens: float = Field(ge=0, allow_inf_nan=False)
    output_usd_per_million_tokens: float = Field(ge=0, allow_inf_nan=False)

    def usd(self, input_tokens: float, output_tokens: float) -> float:
        """The cost of a call with so many tokens."""
        input_price, output_price = self.input_usd_per_million_tokens, self.output_usd_per_million_tokens
        return (input_tokens * input_price + output_tokens * output_price) / 1_000_000


class MachinePrice(Sourced):
    """The price of a machine hour, in US dollars."""

    description: str
    usd_per_hour: float = Field(ge=0, allow_inf_nan=False)
    utilisation: float = Field(gt=0, le=1, description="Share of the paid hours in which it answers calls.")

    def usd(self, seconds: float) -> float:
        """The cost of so many seconds."""
        return self.usd_per_hour * seconds / SECONDS_PER_HOUR


class Prices(Settings):
    """The price table."""

    models: dict[str, ModelPrice]
    machines: dict[str, MachinePrice]
    characters_per_token: float = Field(gt=0, description="Of API models, for prices of calls that were not made.")

    def model(self, name: str) -> ModelPrice:
        """The price of an API model.

        Raises:
            ConfigError: The table has no entry of this name.
        """
        if name not in self.models:
            raise ConfigError(f"expected a model with a price ({', '.join(self.models)}), found {name}")
        return self.models[name]

    def machine(self, name: str) -> MachinePrice:
        """The price of a machine.

        Raises:
            ConfigError: The table has no entry of this name.
        """
        if name not in self.machines:
            raise ConfigError(f"expected a machine with a price ({', '.join(self.machines)}), found {name}")
        return self.machines[name]


def load_prices(path: Path) -> Prices:
    """Read the price table.

    Raises:
        ConfigError: The file cannot be read, or a price is negative, not finite or without a source.
    """
    return load(path, Prices)
