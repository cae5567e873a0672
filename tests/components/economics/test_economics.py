"""Prices that are refused, and costs derived by hand."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.economics import Demand, MachinePrice, ModelPrice, api_cost, calls_per_hour, load_prices, owned_cost
from components.errors import ConfigError, DataError
from components.params import Profile, Workload, load

ROOT = Path(__file__).resolve().parents[3]
SOURCE = {"source": "a list", "date": "2026-01-01"}
MODEL = ModelPrice.model_validate(
    SOURCE | {"provider": "p", "input_usd_per_million_tokens": 0.4, "output_usd_per_million_tokens": 1.6}
)
MACHINE = MachinePrice.model_validate(SOURCE | {"description": "d", "usd_per_hour": 0.9, "utilisation": 0.5})
DEMAND = Demand(calls_per_year=5_000_000, accuracy=0.8)

TABLE = """
characters_per_token: 4
models:
  m:
    provider: p
    input_usd_per_million_tokens: {price}
    output_usd_per_million_tokens: 1.6
    source: {source}
    date: {date}
machines:
  box: {{description: d, usd_per_hour: {hour}, utilisation: {share}, source: s, date: 2026-01-01}}
"""
VALUES = {"price": "0.4", "source": "s", "date": "2026-01-01", "hour": "1", "share": "0.5"}


def write(path: Path, **values: str) -> Path:
    path.write_text(TABLE.format(**VALUES | values), encoding="utf-8")
    return path


def test_an_api_is_priced_from_its_tokens() -> None:
    # 1,000 · 0.4 + 50 · 1.6 = 480 dollars a million calls: 0.48 a thousand, 0.6 a thousand right ones
    cost = api_cost(MODEL, 1000, 50, DEMAND)
    assert cost.usd_per_1k_calls == pytest.approx(0.48)
    assert cost.usd_per_year == pytest.approx(2400)
    assert cost.usd_per_1k_correct == pytest.approx(0.6)
    assert not cost.measured
    assert api_cost(MODEL, 1000, 50, DEMAND, measured=True).measured


def test_an_owned_model_is_priced_from_its_machines_hours() -> None:
    # 36,000 calls a busy hour, 18,000 a paid one: 0.9 / 18,000 = 0.05 a thousand calls
    cost = owned_cost(MACHINE, calls_per_hour(1000, 100.0), DEMAND)
    assert cost.usd_per_1k_calls == pytest.approx(0.05)
    assert cost.usd_per_year == pytest.approx(250)
    assert cost.usd_per_1k_correct == pytest.approx(0.0625)
    assert cost.measured


def test_a_year_on_a_machine_of_its_own_costs_at_least_all_its_hours() -> None:
    # 8,766 hours at 0.9 dollars, where its calls would take 250; 200 million would take 10,000
    own = owned_cost(MACHINE, 36_000.0, Demand(5_000_000, 0.8, own_machine=True))
    assert own.usd_per_1k_calls == pytest.approx(0.05)
    assert own.usd_per_year == pytest.approx(7889.4)
    busy = owned_cost(MACHINE, 36_000.0, Demand(200_000_000, 0.8, own_machine=True))
    assert busy.usd_per_year == pytest.approx(10_000)


def test_a_rung_that_is_never_right_has_no_cost_of_a_right_call() -> None:
    assert api_cost(MODEL, 1000, 50, Demand(1, 0.0)).usd_per_1k_correct is None


@given(st.floats(0, 1e5), st.floats(0, 1e5), st.floats(0.01, 1), st.integers(1, 10**9))
def test_a_right_call_costs_at_least_a_call_and_a_year_is_its_calls(
    tokens_in: float, tokens_out: float, accuracy: float, calls: int
) -> None:
    cost = api_cost(MODEL, tokens_in, tokens_out, Demand(calls, accuracy))
    assert cost.usd_per_1k_correct is not None
    assert 0 <= cost.usd_per_1k_calls <= cost.usd_per_1k_correct
    assert cost.usd_per_year == pytest.approx(cost.usd_per_1k_calls * calls / 1000)


@pytest.mark.parametrize("throughput", [0.0, -1.0, float("nan")])
def test_an_impossible_throughput_is_refused(throughput: float) -> None:
    with pytest.raises(DataError, match="throughput above 0"):
        owned_cost(MACHINE, throughput, DEMAND)


def test_impossible_usage_is_refused() -> None:
    with pytest.raises(DataError, match="tokens ≥ 0"):
        api_cost(MODEL, -1, 0, DEMAND)
    with pytest.raises(DataError, match=r"accuracy in \[0, 1\], found 80"):
        api_cost(MODEL, 1, 0, Demand(1, 80))
    with pytest.raises(DataError, match="found 10 in 0 s"):
        calls_per_hour(10, 0.0)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"price": "-0.4"}, r"models\.m\.input_usd_per_million_tokens: .* greater than or equal to 0, found -0\.4"),
        ({"price": ".inf"}, r"models\.m\.input_usd_per_million_tokens: .* finite"),
        ({"hour": "-1"}, r"machines\.box\.usd_per_hour: .*, found -1"),
        ({"share": "0"}, r"machines\.box\.utilisation: .* greater than 0"),
        ({"source": '""'}, r"models\.m\.source: "),
        ({"date": "yesterday"}, r"models\.m\.date: "),
    ],
)
def test_a_bad_price_is_refused_with_its_field_and_file(tmp_path: Path, values: dict[str, str], field: str) -> None:
    path = write(tmp_path / "prices.yaml", **values)
    with pytest.raises(ConfigError, match=field) as refused:
        load_prices(path)
    assert str(path) in str(refused.value)


def test_an_unknown_name_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    prices = load_prices(write(tmp_path / "prices.yaml"))
    with pytest.raises(ConfigError, match=r"expected a model with a price \(m\), found gpt-9"):
        prices.model("gpt-9")
    with pytest.raises(ConfigError, match=r"expected a machine with a price \(box\), found cray"):
        prices.machine("cray")


def test_the_shipped_table_prices_every_incumbent_and_every_profiles_machine() -> None:
    prices = load_prices(ROOT / "params" / "prices.yaml")
    for path in (ROOT / "params" / "workloads").glob("*.yaml"):
        prices.model(load(path, Workload).incumbent)
    for path in (ROOT / "params" / "profiles").glob("*.yaml"):
        prices.machine(load(path, Profile).machine)
    assert all(entry.usd_per_hour > 0 for entry in prices.machines.values())
