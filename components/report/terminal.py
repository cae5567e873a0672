"""The ladder as a table for the terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from components.records import Ladder, RungResult
from components.report.words import champion, legend, p_value, percent, points, usd

if TYPE_CHECKING:
    from rich.table import Table


def table(ladder: Ladder) -> "Table":
    """A row per rung, in order; a star marks the champion, ≈ prices that were not measured."""
    from rich.markup import escape
    from rich.table import Table

    simulated = " (simulated)" if ladder.simulated else ""
    shown = Table(title=escape(f"{ladder.workload} on {ladder.profile}{simulated}"), title_justify="left")
    shown.add_column("rung", no_wrap=True)
    for heading in ("right", "95 % interval", "valid", "vs parent", "fixed/broken", "ms p50", "tokens", "$ a year"):
        shown.add_column(heading, justify="right", no_wrap=True)
    top = champion(ladder)
    for rung in ladder.rungs:
        shown.add_row(*map(escape, _cells(rung, rung is top)), style="bold" if rung is top else None)
    shown.caption = _caption(ladder)
    shown.caption_justify = "left"
    return shown


def glance(workload: str, profile: str, rungs: Sequence[RungResult], *, simulated: bool) -> "Table":
    """A first look, a row per rung: shares right and valid, with 95 % intervals, and what the rung learnt from."""
    from rich.markup import escape
    from rich.table import Table

    note = " (simulated)" if simulated else ""
    shown = Table(title=escape(f"A first look at {workload} on {profile}{note}"), title_justify="left")
    shown.add_column("rung", no_wrap=True)
    for heading in ("right", "95 % interval", "valid", "95 % interval"):
        shown.add_column(heading, justify="right", no_wrap=True)
    for rung in rungs:
        intervals = [f"{100 * share.low:.1f}–{100 * share.high:.1f}" for share in (rung.accuracy, rung.validity)]
        right, valid = percent(rung.accuracy.value), percent(rung.validity.value)
        shown.add_row(*map(escape, (rung.name, right, intervals[0], valid, intervals[1])))
    n = max(rung.n for rung in rungs)
    caption = f"{n:,} test examples, little training: too few to decide on"
    shown.caption = "\n".join([caption, *filter(None, map(tries_line, rungs))])
    shown.caption_justify = "left"
    return shown


def _cells(rung: RungResult, top: bool) -> list[str]:
    versus = rung.vs_parent
    return [
        f"{rung.name}{' ★' if top else ''}",
        percent(rung.accuracy.value),
        f"{100 * rung.accuracy.low:.1f}–{100 * rung.accuracy.high:.1f}",
        percent(rung.validity.value),
        f"{points(versus.delta)} ({p_value(versus.p_value)})" if versus else "–",
        f"{versus.fixed}/{versus.broken}" if versus else "–",
        f"{rung.latency_ms.p50:.0f}",
        f"{sum(rung.usage.values()):.0f}",
        f"{'' if rung.cost.measured else '≈ '}{usd(rung.cost.usd_per_year)}",
    ]


def _caption(ladder: Ladder) -> str:
    n = max(rung.n for rung in ladder.rungs)
    priced = "" if all(rung.cost.measured for rung in ladder.rungs) else "; ≈ priced from tokens, not measured"
    failed = "".join(
        f"; {rung.name}: the scorer could not decide on {rung.scorer_errors:,} answers, which are left out"
        for rung in ladder.rungs
        if rung.scorer_errors
    )
    return "\n".join(
        [f"{n:,} test examples; {legend(ladder)}{priced}{failed}", *filter(None, map(tries_line, ladder.rungs))]
    )


def tries_line(rung: RungResult) -> str:
    """How an agent's tries went, in a line; empty of what answers."""
    tries = rung.tries
    if tries is None or not tries.by_k:
        return ""
    last = tries.by_k[-1]
    several = f", pass^{last.k} {percent(last.every.value)}, pass@{last.k} {percent(last.some.value)}"
    ends = ", ".join(f"{reason} {percent(count / tries.tries)}" for reason, count in tries.stop_reasons.items())
    return (
        f"{rung.name}: pass^1 {percent(tries.by_k[0].every.value)}{several if last.k > 1 else ''}; "
        f"{tries.turns:.1f} turns, {tries.calls:.1f} calls, {percent(tries.invalid_calls)} of them invalid; {ends}"
    )
