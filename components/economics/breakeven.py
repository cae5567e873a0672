"""When an owned model has paid for itself: what was spent once, against what every call saves over the incumbent.

Traffic grows continuously. Prices stay as they are: what they may become is the business of `sensitivity`. Any number
of a case may be an array, one value for each draw of a bootstrap.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

HOURS_PER_YEAR = 8766.0
MOST_YEARS = 10.0  # beyond which a payback counts as none
_STEPS_PER_YEAR = 52

Amount = float | NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Case:
    """An owned model beside the incumbent, in US dollars.

    `owned_usd` is the share of a machine that a call takes; `machine_usd_per_hour` is above 0 where the machine is the
    workload's own, paid around the clock. Errors cost on both sides: `usd_per_error` times the share that is wrong.
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

    def changed(self, **values: Amount) -> "Case":
        """The same case with other numbers."""
        return replace(self, **values)


def net_usd(case: Case, years: float) -> NDArray[np.floating[Any]]:
    """What was saved until then, less the investment; one value for each draw."""
    return _balance(case, np.linspace(0.0, years, _steps(years)))[..., -1]


def payback_years(case: Case) -> NDArray[np.floating[Any]]:
    """Years until the balance is positive for good, infinite where that takes more than MOST_YEARS."""
    times = np.linspace(0.0, MOST_YEARS, _steps(MOST_YEARS))
    balance = _balance(case, times)
    below = balance < 0
    last = np.where(below.any(axis=-1), balance.shape[-1] - 1 - np.argmax(below[..., ::-1], axis=-1), -1)
    at = np.clip(last, 0, balance.shape[-1] - 2)[..., None]
    before, after = (np.take_along_axis(balance, at + step, axis=-1)[..., 0] for step in (0, 1))
    rise = np.where(after > before, after - before, 1.0)
    crossing = times[at[..., 0]] + np.clip(-before / rise, 0.0, 1.0) * (times[1] - times[0])
    return np.where(last < 0, 0.0, np.where(last == balance.shape[-1] - 1, np.inf, crossing))


def calls_to_pay(case: Case, years: float) -> float:
    """Calls a year, today, from which a case pays back in so many years; infinite where more calls never help."""
    low, high = 1.0, 1e12
    if float(net_usd(case.changed(calls_per_year=high), years)) < 0:
        return float("inf")
    while high > low * (1 + 1e-6):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if float(net_usd(case.changed(calls_per_year=middle), years)) >= 0 else (middle, high)
    return high


def calls_in_year(case: Case, year: int) -> Amount:
    """Calls of a whole year, 1 for the first: the integral of a traffic that grows continuously."""
    return case.calls_per_year * (_integral(case.growth_per_year, year) - _integral(case.growth_per_year, year - 1))


def _integral(growth: Amount, years: float) -> Amount:
    """Years of today's traffic in so many years of a traffic that grows by `growth` each."""
    rate = np.log1p(np.asarray(growth, dtype=float))
    return np.where(np.abs(rate) < 1e-9, years, np.expm1(rate * years) / np.where(rate == 0, 1.0, rate))


def _balance(case: Case, times: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Draws × times: dollars saved until each time, less the investment."""
    c = {name: np.asarray(value, dtype=float)[..., None] for name, value in vars(case).items()}
    rate = c["calls_per_year"] * (1 + c["growth_per_year"]) ** times
    wrong = c["usd_per_error"] * (c["incumbent_error"] - c["owned_error"])
    owned = np.maximum(rate * c["owned_usd"], HOURS_PER_YEAR * c["machine_usd_per_hour"])
    flow = rate * (c["incumbent_usd"] + wrong) - owned
    between = (flow[..., 1:] + flow[..., :-1]) / 2 * np.diff(times)
    saved = np.concatenate([np.zeros_like(flow[..., :1]), np.cumsum(between, axis=-1)], axis=-1)
    return saved - c["investment_usd"]


def _steps(years: float) -> int:
    return max(2, round(years * _STEPS_PER_YEAR) + 1)
