"""The ladder as Markdown: a table of all rungs with intervals, for pages that show descriptions. Pure."""

from collections.abc import Sequence

from components.records import Ladder, RungResult
from components.report.terminal import tries_line
from components.report.words import champion, headline, legend, milliseconds, p_value, percent, points, usd, verdict

HEADINGS = ("rung", "method", "right", "95 % interval", "valid", "vs", "p50", "p95", "$ a year")


def markdown(ladder: Ladder, calls_per_year: int, incumbent: str = "") -> str:
    """The outcome in a paragraph, and the table; a star marks the champion."""
    top = champion(ladder)
    rows = [_cells(rung, rung is top) for rung in ladder.rungs]
    simulated = " The data are simulated." if ladder.simulated else ""
    n = max(rung.n for rung in ladder.rungs)
    return "\n".join(
        [
            f"**{headline(ladder)}** {verdict(ladder, calls_per_year, incumbent)}",
            "",
            *_table([HEADINGS, *rows]),
            "",
            f"{n:,} test examples, data version `{ladder.data.version}`, seed {ladder.seed}; {legend(ladder)}; "
            f"≈ priced from tokens, not measured.{simulated}",
            *(f"\n{line}" for line in map(tries_line, ladder.rungs) if line),
        ]
    )


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return [head, f"|{'---|' * len(rows[0])}", *body]


def _cells(rung: RungResult, top: bool) -> list[str]:
    versus = rung.vs_parent
    return [
        f"**{rung.name}** ★" if top else rung.name,
        rung.method,
        percent(rung.accuracy.value),
        f"{100 * rung.accuracy.low:.1f}–{100 * rung.accuracy.high:.1f}",
        percent(rung.validity.value),
        f"{rung.parent}: {points(versus.delta)} ({p_value(versus.p_value)})" if versus else "–",
        milliseconds(rung.latency_ms.p50),
        milliseconds(rung.latency_ms.p95),
        f"{'' if rung.cost.measured else '≈ '}{usd(rung.cost.usd_per_year)}",
    ]
