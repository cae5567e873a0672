"""Settings of a workload's economics (`economics` in its YAML): what people, errors and machines cost.

All defaults add nothing, so that undeclared costs are left out and not guessed.
"""

from pydantic import Field

from components.params.loading import Settings


class EconomicsParams(Settings):
    """What a workload costs besides tokens and machine hours, and how soon an investment must pay back."""

    usd_per_label: float = Field(default=0.0, ge=0, description="For a demonstration; 0: they exist already.")
    usd_per_error: float = Field(default=0.0, ge=0, description="To correct a wrong answer; 0: nobody pays for it.")
    usd_setup: float = Field(default=0.0, ge=0, description="People's work for the first owned model, once.")
    own_machine: bool = Field(
        default=False, description="Whether a machine is paid around the clock; else a share of a shared one."
    )
    throughput_spread: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="Relative standard deviation between measurements of a throughput: 4 % over three climbs.",
    )
    horizon_years: float = Field(default=2.0, gt=0, le=10, description="Within which an investment has to pay back.")
