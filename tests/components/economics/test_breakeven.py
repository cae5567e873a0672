"""Paybacks derived by hand, and intervals that hold the truth."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.economics import (
    MOST_YEARS,
    Calls,
    Case,
    MachinePrice,
    Setting,
    calls_in_year,
    draw_up,
    net_usd,
    payback_years,
    saved_of_year,
)
from components.economics.account import interval
from components.economics.breakeven import calls_to_pay
from components.economics.draws import resampled
from components.economics.sensitivity import assumptions, swings
from components.errors import DataError
from components.params import EconomicsParams, Traffic
from components.records import Interval

SOURCE = {"source": "a list", "date": date(2026, 1, 1)}
MACHINE = MachinePrice.model_validate(SOURCE | {"description": "d", "usd_per_hour": 0.9, "utilisation": 0.5})
# A million calls save 0.0008 dollars each, 800 a year; 1,000 dollars are back after 1.25 years.
CASE = Case(incumbent_usd=0.001, owned_usd=0.0002, calls_per_year=1e6, investment_usd=1000.0)


def test_an_investment_is_back_when_savings_have_reached_it() -> None:
    assert payback_years(CASE) == pytest.approx(1.25)
    assert net_usd(CASE, 2.0) == pytest.approx(600)
    assert payback_years(CASE.changed(investment_usd=0.0)) == 0.0


def test_growing_traffic_pays_back_earlier() -> None:
    # Traffic that doubles every year: 1e6 · (2^t − 1) / ln 2 calls by t, 1.25e6 of them at log2(1 + 1.25 ln 2)
    growing = CASE.changed(growth_per_year=1.0)
    assert payback_years(growing) == pytest.approx(np.log2(1 + 1.25 * np.log(2)), abs=1e-3)
    assert calls_in_year(growing, 1) == pytest.approx(1e6 / np.log(2))
    assert calls_in_year(growing, 2) == pytest.approx(2e6 / np.log(2))
    assert calls_in_year(CASE, 3) == pytest.approx(1e6)


def test_a_dearer_model_never_pays_back() -> None:
    assert payback_years(CASE.changed(owned_usd=0.002)) == np.inf
    assert payback_years(CASE.changed(investment_usd=1e9)) == np.inf  # in more than MOST_YEARS
    assert payback_years(CASE.changed(investment_usd=800 * MOST_YEARS * 1.01)) == np.inf


def test_a_machine_of_its_own_is_paid_around_the_clock() -> None:
    # 0.05 dollars an hour are 438.30 a year, more than the calls' share of 200: 561.70 of 1,000 are saved
    assert payback_years(CASE.changed(machine_usd_per_hour=0.05)) == pytest.approx(1000 / 561.7, rel=1e-4)
    assert payback_years(CASE.changed(machine_usd_per_hour=0.01)) == pytest.approx(1.25)  # its hours do not suffice


def test_what_a_year_saves_counts_all_hours_of_machines_of_ones_own() -> None:
    assert saved_of_year(CASE, 1e6) == pytest.approx(800)
    assert saved_of_year(CASE.changed(machine_usd_per_hour=0.05), 1e6) == pytest.approx(1000 - 438.3)
    assert saved_of_year(CASE.changed(machine_usd_per_hour=0.2), 1e6) == pytest.approx(1000 - 1753.2)
    # On one machine that is paid anyhow, of which the incumbent's calls take less than all hours, nothing is saved.
    both = CASE.changed(machine_usd_per_hour=0.2, incumbent_usd_per_hour=0.2)
    assert saved_of_year(both, 1e6) == 0.0 and payback_years(both) == np.inf
    assert saved_of_year(both, 3e6) == pytest.approx(3000 - 1753.2)  # of which they take more: its hours are left


def test_the_volume_from_which_it_pays_is_where_nothing_is_left() -> None:
    # 1,000 dollars in two years at 0.0008 a call: 625,000 calls a year
    assert calls_to_pay(CASE, 2.0) == pytest.approx(625_000, rel=1e-4)
    assert calls_to_pay(CASE.changed(owned_usd=0.002), 2.0) == float("inf")


def test_errors_cost_on_both_sides() -> None:
    # 5 points fewer errors at 0.01 dollars are 0.0005 a call more: 1,300 a year
    better = CASE.changed(usd_per_error=0.01, incumbent_error=0.10, owned_error=0.05)
    assert payback_years(better) == pytest.approx(1000 / 1300)


def test_draws_are_computed_beside_each_other() -> None:
    years = payback_years(CASE.changed(incumbent_usd=np.array([0.001, 0.0006, 0.0001])))
    assert years.tolist() == pytest.approx([1.25, 2.5, np.inf])


@given(st.floats(1e-6, 1e-2), st.floats(0, 1e4), st.floats(-0.5, 2.0))
def test_the_balance_is_zero_at_the_payback(usd: float, investment: float, growth: float) -> None:
    case = CASE.changed(incumbent_usd=usd, owned_usd=0.0, investment_usd=investment, growth_per_year=growth)
    years = float(payback_years(case))
    if 0.1 < years < MOST_YEARS:
        assert float(net_usd(case, years)) == pytest.approx(0.0, abs=2e-3 * investment + 1e-6)


def calls(name: str, usd: float, right: list[int], *, owned: bool, spent: float = 0.0) -> Calls:
    rows = np.full(len(right), usd)
    return Calls(name, rows, np.array(right), owned, spent_usd={"training": spent})


def setting(**economics: float) -> Setting:
    traffic = Traffic(calls_per_year=1_000_000)
    return Setting(traffic, EconomicsParams(**economics), MACHINE, date(2026, 11, 23), 7)  # pyright: ignore[reportArgumentType]


def test_an_account_names_the_day_of_the_payback() -> None:
    right = [1, 0] * 100
    prompt = calls("schema", 0.001, right, owned=False)
    owned = calls("sft", 0.0002, right, owned=True, spent=400.0)
    by_name = {rung.name: rung for rung in draw_up([prompt, owned], "schema", setting()).rungs}
    assert by_name["schema"].payback is None
    payback = by_name["sft"].payback
    assert payback is not None and payback.years == pytest.approx(0.5)
    assert payback.date == "2027-05-25"  # 182.6 days later
    assert payback.low is not None and payback.high is not None and payback.low < 0.5 < payback.high
    assert payback.likely == 1.0
    assert payback.net_usd.value == pytest.approx(1200)
    correct = by_name["sft"].usd_per_1k_correct
    assert correct is not None and correct.value == pytest.approx(0.4)
    assert correct.low < 0.4 < correct.high
    assert by_name["sft"].usd_per_year[1].value == pytest.approx(200)


def test_a_year_of_a_machine_of_ones_own_costs_all_its_hours_and_a_call_its_share() -> None:
    right = [1, 0] * 100
    rungs = [calls("schema", 0.001, right, owned=False), calls("sft", 0.0002, right, owned=True)]
    prompt, owned = draw_up(rungs, "schema", setting(own_machine=True)).rungs
    assert owned.usd_per_year[1].low == owned.usd_per_year[1].value == pytest.approx(8766 * 0.9)
    assert owned.usd_per_1k_calls.value == pytest.approx(0.2)
    assert prompt.usd_per_year[1].value == pytest.approx(1000)
    busy = draw_up([rungs[0], calls("sft", 0.02, right, owned=True)], "schema", setting(own_machine=True)).rungs[1]
    assert busy.usd_per_year[1].value == pytest.approx(20_000)


def test_what_never_pays_back_has_no_day() -> None:
    right = [1] * 50
    account = draw_up([calls("a", 1e-6, right, owned=False), calls("b", 1e-3, right, owned=True)], "a", setting())
    payback = account.rungs[1].payback
    assert payback is not None
    assert (payback.years, payback.date, payback.likely) == (None, None, 0.0)


def test_an_account_says_what_it_leaves_out() -> None:
    right = [1] * 50
    prompt = Calls("a", np.full(50, 1e-3), np.array(right), owned=False, measured=False)
    notes = " ".join(draw_up([prompt], "a", setting()).notes)
    assert "never called" in notes and "usd_per_label" in notes
    full = setting(usd_per_label=1, usd_per_error=1, usd_setup=1, own_machine=True)
    [note] = draw_up([calls("a", 1e-3, right, owned=False)], "a", full).notes
    assert "idle hours" in note


@pytest.mark.parametrize(
    ("names", "words"), [("a" * 50, "belong to one group"), ("ab" * 25, "only 2 groups"), ("abcdefgh" * 7, "")]
)
def test_an_account_of_few_groups_says_so(names: str, words: str) -> None:
    few = replace(setting(usd_per_label=1, usd_per_error=1, usd_setup=1, own_machine=True), groups=list(names))
    notes = draw_up([calls("a", 1e-3, [1] * len(names), owned=False)], "a", few).notes
    assert [note for note in notes if "group" in note and words in note] == list(notes[1:])
    assert len(notes) == 1 + bool(words)


def test_rungs_of_different_examples_are_refused() -> None:
    first, other = calls("a", 1e-3, [1] * 3, owned=False), calls("b", 1e-3, [1] * 4, owned=True)
    with pytest.raises(DataError, match="same examples"):
        draw_up([first, other], "a", setting())
    with pytest.raises(DataError, match="one of the rungs a as incumbent, found c"):
        draw_up([first], "c", setting())


def test_intervals_of_the_cost_of_a_right_call_hold_the_truth() -> None:
    # 300 accounts of 200 calls, right with chance 0.7: the interval should hold 0.001 / 0.7 dollars in 95 % of them.
    rng, held = np.random.default_rng(3), 0
    for number in range(300):
        rung = calls("a", 0.001, (rng.random(200) < 0.7).astype(int).tolist(), owned=False)
        account = draw_up([rung], "a", Setting(setting().traffic, EconomicsParams(), MACHINE, date(2026, 1, 1), number))
        interval = account.rungs[0].usd_per_1k_correct
        assert interval is not None
        held += interval.low <= 1 / 0.7 <= interval.high
    assert 0.92 <= held / 300 <= 0.98


def usd_interval(usd: list[float], groups: list[str] | None, seed: int = 1) -> Interval:
    """The interval of dollars per call of one rung."""
    column = np.array(usd)[:, None]
    drawn, _ = resampled(column, np.ones_like(column), groups, np.random.default_rng(seed))
    return interval(float(column.mean()), drawn[0])


def test_the_cost_of_three_groups_has_an_end() -> None:
    # One draw in 27 is the dearest group alone, 130 for a mean of 331 / 3. Student's t has 4.303 in the place of 1.960
    # deviations, and sqrt(3 / 2) for the missing degree of freedom: (390 / 331) ^ 2.689 = 1.555 times the mean.
    costs = usd_interval([100.0] * 40 + [101.0] * 40 + [130.0] * 40, ["a"] * 40 + ["b"] * 40 + ["c"] * 40)
    assert costs.high == pytest.approx(331 / 3 * 1.555, rel=1e-3)
    assert costs.low == 100.0  # the cheapest call


def test_draws_of_calls_that_cost_the_same_are_no_sure_ones() -> None:
    # More than a third of the draws miss the one dear call: their error is 0, or what rounding leaves of it.
    for cheap, dear, n in ((0.0012665986, 0.0048362486, 75), (0.0024623271, 0.0062095300, 120), (1e-3, 3e-3, 50)):
        costs = usd_interval([cheap] * n + [dear], None)
        assert costs.low < costs.value < costs.high < 2 * costs.value


@pytest.mark.parametrize("k", [3, 4, 5, 8, 20])
def test_intervals_of_few_groups_hold_the_truth_and_do_not_explode(k: int) -> None:
    # Groups differ by a quarter, their ten calls by a half (lognormal); the mean is 1.
    rng, found = np.random.default_rng(k), list[Interval]()
    for number in range(100):
        group_means = np.exp(rng.normal(0, 0.25, k) - 0.25**2 / 2)
        usd = np.exp(rng.normal(0, 0.5, (k, 10)) - 0.5**2 / 2) * group_means[:, None]
        found.append(usd_interval(usd.ravel().tolist(), [str(at) for at in range(k) for _ in range(10)], number))
    assert np.mean([costs.low <= 1 <= costs.high for costs in found]) >= 0.86
    assert max(costs.high / costs.value for costs in found) < 8


@pytest.mark.parametrize(
    ("utilisation", "growth", "ends"),
    [
        (0.5, 0.0, ("25%", "90%", "−50%", "+100%")),
        (1.0, 1.5, ("50%", "100%", "−50%", "+150%")),
        (0.95, -0.6, ("48%", "95%", "−60%", "+100%")),
    ],
)
def test_low_and_high_enclose_what_is_assumed(utilisation: float, growth: float, ends: tuple[str, ...]) -> None:
    case = CASE.changed(growth_per_year=growth)
    named = {name: (low, high) for name, low, high in assumptions(case, utilisation)}
    assert tuple(label for name in ("utilisation", "growth a year") for label, _ in named[name]) == ends
    now = float(net_usd(case, 2.0))
    for swing in swings(case, 2.0, utilisation):
        low, high = sorted((swing.net_usd_low, swing.net_usd_high))
        assert low - 1e-9 <= now <= high + 1e-9, swing.name


def test_the_assumption_that_moves_most_comes_first() -> None:
    ranked = swings(CASE, 2.0, 0.5)
    by_name = {swing.name: swing for swing in ranked}
    assert ranked[0].name == "incumbent's price"  # twice: 0.0018 a call, 1,800 a year
    assert ranked[0].net_usd_high == pytest.approx(2600)
    assert by_name["incumbent's price"].payback_low == pytest.approx(1000 / 300)
    # twice the calls: 1,600 a year, 3,200 in two years, less 1,000
    assert by_name["calls a year"].net_usd_high == pytest.approx(2200)
    assert by_name["calls a year"].payback_low == pytest.approx(2.5)
    # at half the utilisation a call takes twice the hours: 0.0006 saved
    assert by_name["utilisation"].net_usd_low == pytest.approx(200)
    assert [swing.width for swing in ranked] == sorted((swing.width for swing in ranked), reverse=True)


def test_the_interval_of_a_payback_is_that_of_the_throughput() -> None:
    # A call takes 0.0002 dollars of a machine whose throughput is known to 20 %: e^(±1.96 · 0.2) times as much.
    noisy = Setting(setting().traffic, EconomicsParams(throughput_spread=0.2), MACHINE, date(2026, 1, 1), 3)
    prompt, owned = calls("a", 0.001, [1] * 50, owned=False), calls("b", 0.0002, [1] * 50, owned=True, spent=400.0)
    payback = draw_up([prompt, owned], "a", noisy).rungs[1].payback
    assert payback is not None
    assert payback.low == pytest.approx(0.4 / (1 - 0.2 * np.exp(-0.392)), rel=0.01)
    assert payback.high == pytest.approx(0.4 / (1 - 0.2 * np.exp(0.392)), rel=0.01)
