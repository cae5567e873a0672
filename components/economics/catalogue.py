"""The price table compared with a maintained catalogue (genai-prices, which includes its data): do they agree?

Decides what counts as a difference; which of the two is right, a person checks with the provider.
"""

from typing import Literal

from components.economics.prices import ModelPrice, Prices
from components.records import Record

_MILLION = 1_000_000
_TOLERANCE = 0.005  # relative


class Checked(Record):
    """A model's prices per million tokens, (input, output), here and in the catalogue; None if it has none."""

    model: str
    here: tuple[float, float]
    catalogue: tuple[float, float] | None
    verdict: Literal["agrees", "differs", "unknown"]


def check(prices: Prices) -> tuple[Checked, ...]:
    """Look up every model in the table, offline."""
    return tuple(_checked(name, price) for name, price in prices.models.items())


def _checked(name: str, price: ModelPrice) -> Checked:
    here = (price.input_usd_per_million_tokens, price.output_usd_per_million_tokens)
    listed = _listed(name, price.provider)
    if listed is None:
        return Checked(model=name, here=here, catalogue=None, verdict="unknown")
    same = all(abs(ours - theirs) <= _TOLERANCE * max(ours, theirs) for ours, theirs in zip(here, listed, strict=True))
    return Checked(model=name, here=here, catalogue=listed, verdict="agrees" if same else "differs")


def _listed(name: str, provider: str) -> tuple[float, float] | None:
    """The price of a thousand tokens each way, below any long-context tier, times a thousand."""
    from genai_prices import Usage, calc_price

    try:
        price = calc_price(Usage(input_tokens=1000, output_tokens=1000), model_ref=name, provider_id=provider)
    except LookupError:
        return None
    return tuple(float(part) * _MILLION / 1000 for part in (price.input_price, price.output_price))  # pyright: ignore[reportReturnType]
