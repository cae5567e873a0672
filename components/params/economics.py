"""Settings of a workload's money (`economics` in its YAML) beside its traffic: what people, errors and machines cost.

All have a default that adds nothing, so that costs which nobody declared are left out and not guessed.
"""

from pydantic import Field

from components.params.loading import Settings


class EconomicsParams(Settings):
    """What a workload costs beyond tokens and machine hours, and within which time an investment must pay."""

    usd_per_label: float = Field(default=0.0, ge=0, description="A demonstration; 0: they were there already.")
    usd_per_error: float = Field(default=0.0, ge=0, description="To put a wrong answer right; 0: nobody pays for it.")
    usd_setup: float = Field(default=0.0, ge=0, description="People's work for a specialist, once.")
    own_machine: bool = Field(
        default=False, description="A machine of its own is paid around the clock; else a share of a shared one."
    )
    throughput_spread: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="Relative standard deviation between measurements of a throughput: 4 % over three climbs.",
    )
    horizon_years: float = Field(default=2.0, gt=0, le=10, description="Within which an investment has to pay back.")
