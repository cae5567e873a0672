"""Which assumptions matter: vary one number of a case at a time, and compare the outcomes.

Decides the ranges: round factors around measured or list values, not forecasts.
"""

from collections.abc import Callable

from components.economics.breakeven import Case, net_usd, payback_years
from components.records import Record

Change = tuple[str, Callable[[Case], Case]]  # a description, and how it changes a case


class Swing(Record):
    """An assumption: balance at the horizon and years to payback (None: never), at a low and a high value."""

    name: str
    low: str
    high: str
    net_usd_low: float
    net_usd_high: float
    payback_low: float | None
    payback_high: float | None

    @property
    def width(self) -> float:
        """The difference of the two outcomes, in dollars."""
        return abs(self.net_usd_high - self.net_usd_low)


def swings(case: Case, horizon_years: float, utilisation: float) -> tuple[Swing, ...]:
    """All assumptions of a case, the most important first."""
    swings = [_swing(case, name, low, high, horizon_years) for name, low, high in assumptions(case, utilisation)]
    return tuple(sorted(swings, key=lambda swing: -swing.width))


def assumptions(case: Case, utilisation: float) -> list[tuple[str, Change, Change]]:
    """Each assumption behind a case: its name, low value and high value, with the present one between them."""
    busiest, growth = max(0.9, utilisation), float(case.growth_per_year)
    changes: list[tuple[str, Change, Change]] = [
        _factors("incumbent's price", ("incumbent_usd",), 0.5, 2.0),
        _factors("calls a year", ("calls_per_year",), 0.5, 2.0),
        _factors("machine's price", ("owned_usd", "machine_usd_per_hour"), 0.5, 2.0),
        (
            "utilisation",
            (f"{utilisation / 2:.0%}", lambda varied: varied.changed(owned_usd=varied.owned_usd * 2)),
            (f"{busiest:.0%}", lambda varied: varied.changed(owned_usd=varied.owned_usd * utilisation / busiest)),
        ),
        _factors("one-off costs", ("investment_usd",), 0.5, 2.0),
        ("growth a year", _growth(min(-0.5, growth)), _growth(max(1.0, growth))),
    ]
    if case.usd_per_error:
        changes.append(_factors("cost of an error", ("usd_per_error",), 0.5, 2.0))
    return changes


def _growth(share: float) -> Change:
    return f"{share:+.0%}".replace("-", "−"), lambda case: case.changed(growth_per_year=share)


def _factors(name: str, fields: tuple[str, ...], low: float, high: float) -> tuple[str, Change, Change]:
    """Multiply some fields of a case by a low and a high factor."""

    def times(factor: float) -> Change:
        return f"× {factor:g}", lambda case: case.changed(**{name: factor * getattr(case, name) for name in fields})

    return name, times(low), times(high)


def _swing(case: Case, name: str, low: Change, high: Change, horizon_years: float) -> Swing:
    ends = [change(case) for _, change in (low, high)]
    nets = [float(net_usd(end, horizon_years)) for end in ends]
    years = [float(payback_years(end)) for end in ends]
    finite = [None if year == float("inf") else year for year in years]
    return Swing(
        name=name, low=low[0], high=high[0],
        net_usd_low=nets[0], net_usd_high=nets[1], payback_low=finite[0], payback_high=finite[1],
    )  # fmt: skip
