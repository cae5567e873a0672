"""Quality against what was spent once, in time and in money: all rungs of a run, and the line of those worth having.

A rung is on the Pareto line where none that took as little answers better. What a rung took includes the rungs that it
started from; those that were made from another one's answers, or compared with them, count for themselves. Pure.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from components.records import Ladder, RungResult

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 24, 46, 42
PANEL = (WIDTH - 2 * LEFT - RIGHT) / 2
INK, LINE, GREEN = "#3465a4", "#bbb", "#0a7d4f"


@dataclass(frozen=True)
class Point:
    """A rung: what it took, what it answers right in [0, 1] with its interval, and whether it is on the line."""

    name: str
    spent: float
    value: float
    low: float
    high: float
    best: bool


def points(ladder: Ladder, spent: Mapping[str, float]) -> list[Point]:
    """All rungs by what they took, those of as much by what they answer."""
    found: list[Point] = []
    ranked = sorted(ladder.rungs, key=lambda one: (spent[one.name], -one.accuracy.value))
    for rung in ranked:
        right = rung.accuracy
        best = all(right.value > one.value for one in found)
        found.append(Point(rung.name, spent[rung.name], right.value, right.low, right.high, best))
    return found


def seconds_of(ladder: Ladder) -> dict[str, float]:
    """Seconds that it took to make each rung, those that it started from included."""
    by_name = {rung.name: rung for rung in ladder.rungs}

    def all_of(rung: RungResult) -> float:
        start = by_name.get(rung.starts_from or "")
        return rung.seconds + (all_of(start) if start else 0.0)

    return {name: all_of(rung) for name, rung in by_name.items()}


def frontier(ladder: Ladder, spent_usd: Mapping[str, float]) -> str:
    """An SVG of two panels that needs nothing else: against seconds, and against US dollars that were spent once."""
    seconds = points(ladder, seconds_of(ladder))
    usd = points(ladder, {rung.name: spent_usd.get(rung.name, 0.0) for rung in ladder.rungs})
    title = f"{ladder.workload} on {ladder.profile}: right on test against what it took, with 95 % intervals"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'style="font-family:system-ui,sans-serif;font-size:11px" role="img" aria-label="{escape(summary(seconds))}">'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="12" y="18" font-weight="600" font-size="13">{escape(title)}</text>'
        f"{_panel(seconds, LEFT, 'seconds to make, logarithmic', _time)}"
        f"{_panel(usd, 2 * LEFT + PANEL, 'US dollars to make, logarithmic', _dollars)}</svg>\n"
    )


def summary(found: Sequence[Point]) -> str:
    """The line in words."""
    line = ", ".join(f"{one.name} {one.value:.1%} after {_time(one.spent)}" for one in found if one.best)
    return f"The Pareto line: {line}."


def _panel(found: Sequence[Point], left: float, label: str, told: Callable[[float], str]) -> str:
    positive = [one.spent for one in found if one.spent > 0]
    least, most = (min(positive), max(positive)) if positive else (1.0, 10.0)
    first, last = math.floor(math.log10(least)), max(math.ceil(math.log10(most)), math.floor(math.log10(least)) + 1)

    def x(spent: float) -> float:
        """What took nothing stands at the left edge."""
        share = (math.log10(spent) - first) / (last - first) if spent > 0 else 0.0
        return left + share * PANEL

    step = max(1, math.ceil((last - first) / 5))
    ticks = "".join(_tick(x(10.0**at), told(10.0**at)) for at in range(first, last + 1, step))
    marks = "".join(_mark(one, x(one.spent)) for one in found)
    return f"{_grid(left)}{ticks}{_line(found, x, left + PANEL)}{marks}" + (
        f'<text x="{left + PANEL / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle" fill="#555">{label}</text>'
    )


def _grid(left: float) -> str:
    return "".join(
        f'<line x1="{left:.0f}" x2="{left + PANEL:.0f}" y1="{_y(at):.1f}" y2="{_y(at):.1f}" stroke="#eee"/>'
        f'<text x="{left - 6:.0f}" y="{_y(at) + 4:.1f}" text-anchor="end" fill="#777">{at:.0%}</text>'
        for at in (0.0, 0.25, 0.5, 0.75, 1.0)
    )


def _tick(x: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle" fill="#777">{text}</text>'


def _line(found: Sequence[Point], x: Callable[[float], float], end: float) -> str:
    """Steps: what can be had for so much, up to the next better rung."""
    best = [one for one in found if one.best]
    corners: list[str] = []
    for at, one in enumerate(best):
        until = x(best[at + 1].spent) if at + 1 < len(best) else end
        corners += [f"{x(one.spent):.1f},{_y(one.value):.1f}", f"{until:.1f},{_y(one.value):.1f}"]
    return f'<polyline points="{" ".join(corners)}" fill="none" stroke="{GREEN}" stroke-width="1.5"/>'


def _mark(one: Point, x: float) -> str:
    color = GREEN if one.best else INK
    right = x > WIDTH / 2 + PANEL / 2 or (x < WIDTH / 2 and x > LEFT + PANEL * 0.7)
    name = escape(one.name if len(one.name) <= 20 else one.name[:19] + "…")
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_y(one.low):.1f}" y2="{_y(one.high):.1f}" stroke="{color}" '
        f'stroke-width="2"/><circle cx="{x:.1f}" cy="{_y(one.value):.1f}" r="4" fill="{color}"/>'
        f'<text x="{x - 7 if right else x + 7:.1f}" y="{_y(one.value) - 5:.1f}" '
        f'text-anchor="{"end" if right else "start"}" fill="{color}">{name}</text>'
    )


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def _time(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:.3g} h"
    return f"{seconds / 60:.3g} min" if seconds >= 60 else f"{seconds:.3g} s"


def _dollars(usd: float) -> str:
    return f"${usd:,.0f}" if usd >= 1 else f"${usd:.3g}"
