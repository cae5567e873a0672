"""The shipped prices beside the catalogue of a kept library."""

from pathlib import Path

from components.economics import check, load_prices

PRICES = load_prices(Path(__file__).resolve().parents[3] / "params" / "prices.yaml")


def test_the_shipped_prices_are_those_of_the_catalogue() -> None:
    checked = check(PRICES)
    assert {price.model for price in checked} == PRICES.models.keys()
    assert [price for price in checked if price.verdict == "differs"] == []


def test_a_price_that_differs_and_an_unlisted_model_have_different_verdicts() -> None:
    known = PRICES.models["gpt-4.1-mini"]
    wrong = known.model_copy(update={"output_usd_per_million_tokens": 1.7})
    table = PRICES.model_copy(update={"models": {"gpt-4.1-mini": wrong, "nobody-lists-this": known}})
    assert [price.verdict for price in check(table)] == ["differs", "unknown"]
    assert check(table)[0].catalogue == (0.4, 1.6)
