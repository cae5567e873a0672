"""The cost section: a row per rung, and the champion's sensitivities as a tornado chart. Pure."""

from dataclasses import dataclass
from typing import Any

from components.economics import Account, Payback, RungAccount, Swing
from components.report.picture import Tick, ticks
from components.report.words import usd

TORNADO_WIDTH, ROW = 640.0, 26.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 130.0, 36.0, 8.0, 24.0


@dataclass(frozen=True)
class Bar:
    """An assumption's bar: where it begins and ends, and which end belongs to the low value."""

    name: str
    y: float
    left: float
    right: float
    left_label: str
    right_label: str
    summary: str


@dataclass(frozen=True)
class Tornado:
    """Bars around the expected balance, the widest on top."""

    height: float
    middle: float
    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    summary: str


def view(account: Account | None, top: str) -> dict[str, Any]:
    """The variables of the section's template; `top` names the champion."""
    if account is None:
        return {"account": None}
    owned = [rung for rung in account.rungs if rung.payback is not None]
    shown = next((rung for rung in owned if rung.name == top), owned[-1] if owned else None)
    return {
        "account": account,
        "account_rung": shown,
        "tornado": tornado(shown) if shown else None,
        "paybacks": {rung.name: payback(rung.payback) for rung in account.rungs},
    }


def payback(paid_back: Payback | None) -> str:
    """When a rung has paid for itself, in words, with its interval if that is wider than a day."""
    if paid_back is None:
        return "–"
    if paid_back.date is None:
        return "never" if paid_back.date_low is None else f"never (at best {paid_back.date_low})"
    if paid_back.date_low == paid_back.date_high:
        return paid_back.date
    return f"{paid_back.date} ({paid_back.date_low} to {paid_back.date_high or 'never'})"


def tornado(rung: RungAccount) -> Tornado | None:
    """A rung's tornado chart; None if it has no sensitivities."""
    if rung.payback is None or not rung.sensitivity:
        return None
    now = rung.payback.net_usd.value
    ends = [now, *(net for swing in rung.sensitivity for net in (swing.net_usd_low, swing.net_usd_high))]
    marks = ticks(min(ends), max(ends))
    low, high = min(marks[0], *ends), max(marks[-1], *ends)

    def x(amount: float) -> float:
        return _LEFT + (amount - low) / ((high - low) or 1.0) * (TORNADO_WIDTH - _LEFT - _RIGHT)

    bars = tuple(_bar(swing, _TOP + ROW * row, x) for row, swing in enumerate(rung.sensitivity))
    widest = rung.sensitivity[0]
    return Tornado(
        height=_TOP + ROW * len(bars) + _BOTTOM,
        middle=x(now),
        bars=bars,
        ticks=tuple(Tick(x(mark), money(mark)) for mark in marks),
        summary=f"What is left of {rung.name}: {money(now)} as things stand; {widest.name} moves it most, from "
        f"{money(widest.net_usd_low)} to {money(widest.net_usd_high)}.",
    )


def money(amount: float) -> str:
    """Signed dollars."""
    return ("−" if amount < 0 else "") + usd(abs(amount))


def _bar(swing: Swing, y: float, x: Any) -> Bar:
    ends = sorted(((swing.net_usd_low, swing.low), (swing.net_usd_high, swing.high)), key=lambda end: end[0])
    return Bar(
        name=swing.name,
        y=y,
        left=x(ends[0][0]),
        right=max(x(ends[1][0]), x(ends[0][0]) + 1.0),
        left_label=ends[0][1],
        right_label=ends[1][1],
        summary=f"{swing.name} {ends[0][1]}: {money(ends[0][0])}; {ends[1][1]}: {money(ends[1][0])}",
    )
