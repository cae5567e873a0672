"""When an owned model has paid for itself: one-off spending against what each call saves over the incumbent.

Traffic grows continuously. Prices are constant; `sensitivity` varies them. Any number in a case may be an array, with a
value per bootstrap draw.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

HOURS_PER_YEAR = 8766.0
MOST_YEARS = 10.0  # a later payback counts as none
_STEPS_PER_YEAR = 52

Amount = float | NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Case:
    """An owned model beside the incumbent, in US dollars.

    `owned_usd` is a call's share of a machine; `machine_usd_per_hour` is above 0 if the machine is dedicated to the
    workload and paid around the clock, `incumbent_usd_per_hour` if the incumbent runs on such a machine. Errors cost on
    both sides: `usd_per_error` times the share that is wrong.
    """

    incumbent_usd: Amount
    owned_usd: Amount
    calls_per_year: Amount
    investment_usd: Amount
    growth_per_year: Amount = 0.0
    machine_usd_per_hour: Amount = 0.0
    usd_per_error: Amount = 0.0
    incumbent_error: Amount = 0.0
    owned_error: Amount = 0.0
    incumbent_usd_per_hour: Amount = 0.0

    def changed(self, **values: Amount) -> "Case":
        """The case with other numbers."""
        return replace(self, **values)


def net_usd(case: Case, years: float) -> NDArray[np.floating[Any]]:
    """The savings by then, less the investment; a value per draw."""
    return _balance(case, np.linspace(0.0, years, _steps(years)))[..., -1]


def payback_years(case: Case) -> NDArray[np.floating[Any]]:
    """Years until the balance stays positive; infinite if that takes more than MOST_YEARS."""
    times = np.linspace(0.0, MOST_YEARS, _steps(MOST_YEARS))
    balance = _balance(case, times)
    below = balance < 0
    last = np.where(below.any(axis=-1), balance.shape[-1] - 1 - np.argmax(below[..., ::-1], axis=-1), -1)
    segment = np.clip(last, 0, balance.shape[-1] - 2)[..., None]
    before, after = (np.take_along_axis(balance, segment + step, axis=-1)[..., 0] for step in (0, 1))
    rise = np.where(after > before, after - before, 1.0)
    crossing = times[segment[..., 0]] + np.clip(-before / rise, 0.0, 1.0) * (times[1] - times[0])
    return np.where(last < 0, 0.0, np.where(last == balance.shape[-1] - 1, np.inf, crossing))


def calls_to_pay(case: Case, years: float) -> float:
    """Today's calls a year from which the case pays back in so many years; infinite if no number suffices."""
    low, high = 1.0, 1e12
    if float(net_usd(case.changed(calls_per_year=high), years)) < 0:
        return float("inf")
    while high > low * (1 + 1e-6):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if float(net_usd(case.changed(calls_per_year=middle), years)) >= 0 else (middle, high)
    return high


def calls_in_year(case: Case, year: int) -> Amount:
    """The calls in a year (1 is the first): the integral of continuously growing traffic."""
    return case.calls_per_year * (_integral(case.growth_per_year, year) - _integral(case.growth_per_year, year - 1))


def usd_of_year(calls: Amount, usd_per_call: Amount, machine_usd_per_hour: Amount = 0.0) -> Amount:
    """What so many calls a year cost: each its price, and on a machine paid around the clock at least all its hours."""
    return np.maximum(calls * usd_per_call, HOURS_PER_YEAR * machine_usd_per_hour)


def saved_of_year(case: Case, calls: Amount) -> Amount:
    """What owning saves in a year of so many calls, by the prices alone; below 0 where it costs more."""
    incumbent = usd_of_year(calls, case.incumbent_usd, case.incumbent_usd_per_hour)
    return incumbent - usd_of_year(calls, case.owned_usd, case.machine_usd_per_hour)


def _integral(growth: Amount, years: float) -> Amount:
    """The traffic of so many years, growing by `growth` each, in years of today's traffic."""
    rate = np.log1p(np.asarray(growth, dtype=float))
    return np.where(np.abs(rate) < 1e-9, years, np.expm1(rate * years) / np.where(rate == 0, 1.0, rate))


def _balance(case: Case, times: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Draws × times: dollars saved by each time, less the investment."""
    c: Any = Case(**{name: np.asarray(value, dtype=float)[..., None] for name, value in vars(case).items()})
    rate = c.calls_per_year * (1 + c.growth_per_year) ** times
    flow = saved_of_year(c, rate) + rate * c.usd_per_error * (c.incumbent_error - c.owned_error)
    between = (flow[..., 1:] + flow[..., :-1]) / 2 * np.diff(times)
    saved = np.concatenate([np.zeros_like(flow[..., :1]), np.cumsum(between, axis=-1)], axis=-1)
    return saved - c.investment_usd


def _steps(years: float) -> int:
    return max(2, round(years * _STEPS_PER_YEAR) + 1)
