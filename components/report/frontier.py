"""Quality against one-off cost, in time and in money: all rungs of a run, and the Pareto line.

A rung is on the line if no rung of at most its cost answers better. A rung's cost includes the rungs that it started
from, but not those that it is compared with or whose answers it was made from. Pure.
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
TIMES = (0.1, 1.0, 10.0, 60.0, 600.0, 3600.0, 36_000.0, 360_000.0)  # seconds, as people count them
LETTER, LINE_HEIGHT, DOT, GAP = 6.5, 13.0, 4.0, 7.0  # of a name, of a point, and between them, pixels


@dataclass(frozen=True)
class Point:
    """A rung: its cost, its accuracy in [0, 1] with the interval, and whether it is on the line."""

    name: str
    spent: float
    value: float
    low: float
    high: float
    best: bool


def points(ladder: Ladder, spent: Mapping[str, float]) -> list[Point]:
    """All rungs by cost, equally costly ones by accuracy."""
    placed: list[Point] = []
    ranked = sorted(ladder.rungs, key=lambda rung: (spent[rung.name], -rung.accuracy.value))
    for rung in ranked:
        right = rung.accuracy
        best = all(right.value > point.value for point in placed)
        placed.append(Point(rung.name, spent[rung.name], right.value, right.low, right.high, best))
    return placed


def seconds_of(ladder: Ladder) -> dict[str, float]:
    """Seconds to make each rung, including those that it started from."""
    by_name = {rung.name: rung for rung in ladder.rungs}

    def all_of(rung: RungResult) -> float:
        start = by_name.get(rung.starts_from or "")
        return rung.seconds + (all_of(start) if start else 0.0)

    return {name: all_of(rung) for name, rung in by_name.items()}


def frontier(ladder: Ladder, spent_usd: Mapping[str, float]) -> str:
    """A self-contained SVG of two panels: accuracy against seconds, and against one-off US dollars."""
    seconds = points(ladder, seconds_of(ladder))
    usd = points(ladder, {rung.name: spent_usd.get(rung.name, 0.0) for rung in ladder.rungs})
    title = f"{ladder.workload} on {ladder.profile}: right on test against what it took, with 95 % intervals"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'style="font-family:system-ui,sans-serif;font-size:11px" role="img" aria-label="{escape(summary(seconds))}">'
        f'<rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="12" y="18" font-weight="600" font-size="13">{escape(title)}</text>'
        f"{_panel(seconds, LEFT, 'time to make, logarithmic', _time, TIMES)}"
        f"{_panel(usd, 2 * LEFT + PANEL, 'US dollars to make, logarithmic', _dollars, None)}</svg>\n"
    )


def summary(points: Sequence[Point]) -> str:
    """The line in words."""
    line = ", ".join(f"{point.name} {point.value:.1%} after {_time(point.spent)}" for point in points if point.best)
    return f"The Pareto line: {line}."


def _panel(
    points: Sequence[Point],
    left: float,
    label: str,
    label_of: Callable[[float], str],
    marks_at: Sequence[float] | None,
) -> str:
    """A panel with ticks at these costs, or at powers of ten."""
    positive = [point.spent for point in points if point.spent > 0]
    least, most = (min(positive), max(positive)) if positive else (1.0, 10.0)
    first, last = math.floor(math.log10(least)), max(math.ceil(math.log10(most)), math.floor(math.log10(least)) + 1)

    def x(spent: float) -> float:
        """The x coordinate of a cost; a cost of zero is at the left edge."""
        share = (math.log10(spent) - first) / (last - first) if spent > 0 else 0.0
        return left + share * PANEL

    step = max(1, math.ceil((last - first) / 5))
    powers = [10.0**exponent for exponent in range(first, last + 1, step)]
    shown = powers if marks_at is None else [cost for cost in marks_at if 10.0**first <= cost <= 10.0**last]
    ticks = "".join(_tick(x(cost), label_of(cost)) for cost in shown)
    marks = "".join(_mark(point, x(point.spent)) for point in points) + _names(points, x, left + PANEL / 2)
    return f"{_grid(left)}{ticks}{_line(points, x, left + PANEL)}{marks}" + (
        f'<text x="{left + PANEL / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle" fill="#555">{label}</text>'
    )


def _grid(left: float) -> str:
    return "".join(
        f'<line x1="{left:.0f}" x2="{left + PANEL:.0f}" y1="{_y(share):.1f}" y2="{_y(share):.1f}" stroke="#eee"/>'
        f'<text x="{left - 6:.0f}" y="{_y(share) + 4:.1f}" text-anchor="end" fill="#777">{share:.0%}</text>'
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    )


def _tick(x: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle" fill="#777">{text}</text>'


def _line(points: Sequence[Point], x: Callable[[float], float], end: float) -> str:
    """Steps: the best accuracy for a given cost, up to the next better rung."""
    best = [point for point in points if point.best]
    corners: list[str] = []
    for index, point in enumerate(best):
        until = x(best[index + 1].spent) if index + 1 < len(best) else end
        corners += [f"{x(point.spent):.1f},{_y(point.value):.1f}", f"{until:.1f},{_y(point.value):.1f}"]
    return f'<polyline points="{" ".join(corners)}" fill="none" stroke="{GREEN}" stroke-width="1.5"/>'


def _mark(point: Point, x: float) -> str:
    color = GREEN if point.best else INK
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_y(point.low):.1f}" y2="{_y(point.high):.1f}" stroke="{color}" '
        f'stroke-width="2"/><circle cx="{x:.1f}" cy="{_y(point.value):.1f}" r="{DOT}" fill="{color}"/>'
    )


def _names(points: Sequence[Point], x: Callable[[float], float], middle_of_panel: float) -> str:
    """The points' names beside them, each moved up or down until it covers no point and no other name.

    Names of the lower half move up and those of the upper half down; those of the left half are on the right of their
    points and those of the right half on the left. So they stay within the panel.
    """
    taken = [(x(point.spent) - DOT, x(point.spent) + DOT, _y(point.value), DOT) for point in points]
    texts: list[str] = []
    for point in sorted(points, key=lambda point: abs(point.value - 0.5), reverse=True):
        name = point.name if len(point.name) <= 20 else point.name[:19] + "…"
        at, width, middle = x(point.spent), len(name) * LETTER, _y(point.value) - LINE_HEIGHT / 2 - 2
        before = at > middle_of_panel
        start = at - GAP - width if before else at + GAP
        while any(_meet(box, start, start + width, middle) for box in taken):
            middle += 1 if point.value > 0.5 else -1
        taken.append((start, start + width, middle, LINE_HEIGHT / 2))
        texts.append(
            f'<text x="{start + width if before else start:.1f}" y="{middle + LETTER / 2:.1f}" '
            f'text-anchor="{"end" if before else "start"}" fill="{GREEN if point.best else INK}">{escape(name)}</text>'
        )
    return "".join(texts)


def _meet(box: tuple[float, float, float, float], left: float, right: float, middle: float) -> bool:
    """Whether a name covers a box, which is given by its ends, its middle's height and half its height."""
    return left < box[1] and box[0] < right and abs(middle - box[2]) < box[3] + LINE_HEIGHT / 2


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def _time(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:.3g} h"
    return f"{seconds / 60:.3g} min" if seconds >= 60 else f"{seconds:.3g} s"


def _dollars(usd: float) -> str:
    return f"${usd:,.0f}" if usd >= 1 else f"${usd:.3g}"
