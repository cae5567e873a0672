"""The account of a workload: each rung's cost per call and one-off spending, and when an owned rung pays back.

Intervals are 95 %, by bootstrap (`draws`): groups of test examples are drawn with replacement, the same for all rungs,
so tokens and accuracies vary; a machine's throughput varies by the spread of its measurements. Prices are fixed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.economics.breakeven import Case, calls_in_year, calls_to_pay, net_usd, payback_years, usd_of_year
from components.economics.draws import DRAWS, FEW, resampled, share_of_dearest
from components.economics.prices import MachinePrice
from components.economics.sensitivity import Swing, swings
from components.errors import DataError
from components.params import EconomicsParams, Traffic
from components.records import Interval, Record

YEARS = (1, 2, 3)
_DAYS_PER_YEAR = 365.25
DOMINATED = 0.12  # of the cost, in the most expensive hundredth of calls: lognormal calls with σ = 1.15
Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Calls:
    """A rung on the test split: each call's dollars and whether it was right (1 or 0), in the order of the examples.

    With `owned`, a machine answered, so its throughput decides the cost; `measured` is False if the priced model was
    never called, so that its errors are unknown.
    """

    name: str
    usd: Array
    right: Array
    owned: bool
    measured: bool = True
    spent_usd: Mapping[str, float] = field(default_factory=dict)


class Payback(Record):
    """When an owned rung has paid for itself, in years from now (None: never), and the balance at the horizon.

    `likely` is the share of draws in which it pays back within the horizon; `calls_to_pay` is the number of calls a
    year from which it does, None if no number suffices.
    """

    years: float | None
    low: float | None
    high: float | None
    date: str | None
    date_low: str | None
    date_high: str | None
    net_usd: Interval
    likely: float
    calls_to_pay: float | None


class RungAccount(Record):
    """A rung's costs; `spent_usd` itemises one-off spending, including the earlier rungs that it was made from.

    A call on an owned machine costs the share that it keeps busy; a year, on one of the workload's own, all its hours.
    """

    name: str
    measured: bool
    usd_per_1k_calls: Interval
    usd_per_1k_correct: Interval | None
    usd_per_year: dict[int, Interval]
    spent_usd: dict[str, float]
    payback: Payback | None = None
    sensitivity: tuple[Swing, ...] = ()


class Account(Record):
    """All rungs against the incumbent; `notes` say what the numbers leave out."""

    incumbent: str
    today: str
    calls_per_year: int
    growth_per_year: float
    horizon_years: float
    rungs: tuple[RungAccount, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    """The conditions of an account: traffic, the workload's prices, the machine, the date and a seed.

    `groups` names each test example's group, in order; None: each is its own.
    """

    traffic: Traffic
    economics: EconomicsParams
    machine: MachinePrice
    today: date
    seed: int
    groups: Sequence[str] | None = None

    @property
    def machine_usd_per_hour(self) -> float:
        """The price of a machine of the workload's own, which is paid around the clock; 0 if it is shared."""
        return self.machine.usd_per_hour if self.economics.own_machine else 0.0


def draw_up(calls: Sequence[Calls], incumbent: str, setting: Setting) -> Account:
    """The account of these rungs; `incumbent` names the one that answers the workload today.

    Raises:
        DataError: There is no such rung, or the rungs have answered different numbers of examples.
    """
    by_name = {rung.name: rung for rung in calls}
    if incumbent not in by_name:
        raise DataError(f"expected one of the rungs {', '.join(by_name)} as incumbent, found {incumbent}")
    if len({rung.usd.size for rung in calls} | {rung.right.size for rung in calls}) != 1:
        raise DataError("expected all rungs to have answered the same examples, found different numbers of them")
    drawn = _draws(calls, setting)
    rungs = tuple(_rung(rung, by_name[incumbent], drawn, setting) for rung in calls)
    return Account(
        incumbent=incumbent,
        today=setting.today.isoformat(),
        calls_per_year=setting.traffic.calls_per_year,
        growth_per_year=setting.traffic.growth_per_year,
        horizon_years=setting.economics.horizon_years,
        rungs=rungs,
        notes=(*_notes(by_name[incumbent], setting), *_few(calls, setting), *_dominated(calls)),
    )


def case(owned: Calls, incumbent: Calls, setting: Setting) -> Case:
    """An owned rung against the incumbent, at the measured values."""
    return _case(
        (owned, owned.usd.mean(), owned.right.mean()),
        (incumbent, incumbent.usd.mean(), incumbent.right.mean()),
        setting,
    )


def interval(value: float, draws: Array) -> Interval:
    """An estimate with the central 95 % of its draws."""
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(value=value, low=float(low), high=float(high))


def _rung(rung: Calls, incumbent: Calls, drawn: Mapping[str, tuple[Array, Array]], setting: Setting) -> RungAccount:
    usd, right = drawn[rung.name]
    per_call, accuracy = float(rung.usd.mean()), float(rung.right.mean())
    account = RungAccount(
        name=rung.name,
        measured=rung.measured,
        usd_per_1k_calls=interval(1000 * per_call, 1000 * usd),
        usd_per_1k_correct=_per_correct(per_call, accuracy, usd, right) if rung.measured else None,
        usd_per_year={year: _year(rung, usd, year, setting) for year in YEARS},
        spent_usd=dict(rung.spent_usd),
    )
    if not rung.owned or rung is incumbent:
        return account
    measured = case(rung, incumbent, setting)
    moved = _case((rung, usd, right), (incumbent, *drawn[incumbent.name]), setting)
    shown = swings(measured, setting.economics.horizon_years, setting.machine.utilisation)
    return account.model_copy(update={"payback": _payback(measured, moved, setting), "sensitivity": shown})


def _draws(calls: Sequence[Calls], setting: Setting) -> dict[str, tuple[Array, Array]]:
    """For each rung, dollars per call and share right, per draw."""
    rng = np.random.default_rng(setting.seed)
    usd_N_C = np.stack([rung.usd for rung in calls], axis=1)
    right_N_C = np.stack([rung.right for rung in calls], axis=1)
    usd, right = resampled(usd_N_C, right_N_C, setting.groups, rng)
    speed = np.exp(rng.normal(0.0, setting.economics.throughput_spread, size=DRAWS))  # of the machine, for all alike
    return {rung.name: (usd[i] * speed if rung.owned else usd[i], right[i]) for i, rung in enumerate(calls)}


def _case(owned: tuple[Calls, Any, Any], incumbent: tuple[Calls, Any, Any], setting: Setting) -> Case:
    """A case from dollars per call and share right, as single numbers or draws."""
    economics, measured = setting.economics, incumbent[0].measured
    return Case(
        incumbent_usd=incumbent[1],
        owned_usd=owned[1],
        calls_per_year=float(setting.traffic.calls_per_year),
        growth_per_year=setting.traffic.growth_per_year,
        investment_usd=sum(owned[0].spent_usd.values()),
        machine_usd_per_hour=setting.machine_usd_per_hour,
        usd_per_error=economics.usd_per_error if measured else 0.0,
        incumbent_error=1 - incumbent[2],
        owned_error=1 - owned[2],
    )


def _per_correct(per_call: float, accuracy: float, usd: Array, right: Array) -> Interval | None:
    if not accuracy or not right.min():
        return None
    return interval(1000 * per_call / accuracy, 1000 * usd / right)


def _year(rung: Calls, usd: Array, year: int, setting: Setting) -> Interval:
    traffic, hourly = setting.traffic, setting.machine_usd_per_hour if rung.owned else 0.0
    calls = float(calls_in_year(Case(0.0, 0.0, float(traffic.calls_per_year), 0.0, traffic.growth_per_year), year))
    value, draws = (usd_of_year(calls, per_call, hourly) for per_call in (rung.usd.mean(), usd))
    return interval(float(value), np.asarray(draws))


def _payback(measured: Case, moved: Case, setting: Setting) -> Payback:
    years, drawn, horizon = float(payback_years(measured)), payback_years(moved), setting.economics.horizon_years
    low, high = (float(np.quantile(drawn, share, method="nearest")) for share in (0.025, 0.975))  # inf − inf is none
    return Payback(
        years=_finite(years),
        low=_finite(low),
        high=_finite(high),
        date=_day(years, setting),
        date_low=_day(low, setting),
        date_high=_day(high, setting),
        net_usd=interval(float(net_usd(measured, horizon)), net_usd(moved, horizon)),
        likely=float(np.mean(drawn <= horizon)),
        calls_to_pay=_finite(calls_to_pay(measured, horizon)),
    )


def _finite(amount: float) -> float | None:
    return None if amount == float("inf") else amount


def _day(years: float, setting: Setting) -> str | None:
    if years == float("inf"):
        return None
    return (setting.today + timedelta(days=round(years * _DAYS_PER_YEAR))).isoformat()


def _notes(incumbent: Calls, setting: Setting) -> tuple[str, ...]:
    """Notes on what the numbers leave out."""
    economics = setting.economics
    left_out = {
        f"{incumbent.name} was priced by tokens and never called: its errors are unknown.": not incumbent.measured,
        "A demonstration costs nothing (economics.usd_per_label).": not economics.usd_per_label,
        "A wrong answer costs nothing (economics.usd_per_error).": not economics.usd_per_error,
        "People's work for training and operation costs nothing (economics.usd_setup).": not economics.usd_setup,
        "The machine is shared with other work, at its utilisation in params/prices.yaml.": not economics.own_machine,
        "A call leaves out the idle hours of the workload's own machine; a year has them.": economics.own_machine,
    }
    return tuple(note for note, holds in left_out.items() if holds)


def _few(calls: Sequence[Calls], setting: Setting) -> tuple[str, ...]:
    """A note on calls of so few groups that their costs are hardly known."""
    groups = calls[0].usd.size if setting.groups is None else len(set(setting.groups))
    if groups < 2:
        return (
            "All calls belong to one group: how far costs differ between groups is unknown, and no interval has it.",
        )
    if groups < FEW:
        return (f"The calls belong to only {groups} groups: intervals of costs are wide and rough below {FEW}.",)
    return ()


def _dominated(calls: Sequence[Calls]) -> tuple[str, ...]:
    """Notes on rungs whose cost depends on so few calls that another sample could give another figure."""
    parts = {rung.name: share_of_dearest(rung.usd) for rung in calls}
    return tuple(
        f"The dearest 1 % of {name}'s calls make up {part:.0%} of their cost: its intervals depend on a few calls and "
        "may be too narrow."
        for name, part in parts.items()
        if part > DOMINATED
    )
