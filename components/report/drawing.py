"""The ladder as a picture: a row per rung, with its accuracy as a dot on its 95 % interval. Pure."""

from html import escape

from components.records import Ladder, RungResult
from components.report.words import champion, percent

WIDTH, ROW, TOP, LEFT, RIGHT = 720, 34, 46, 190, 90
_STYLE = "font-family:system-ui,sans-serif;font-size:13px"


def drawing(ladder: Ladder) -> str:
    """A self-contained SVG; the champion is green."""
    top = champion(ladder)
    height = TOP + ROW * len(ladder.rungs) + 14
    marks = [f'<line x1="{_x(share):.0f}" x2="{_x(share):.0f}" y1="{TOP - 6}" y2="{height - 10}" stroke="#ddd"/>'
             f'<text x="{_x(share):.0f}" y="{TOP - 12}" text-anchor="middle" fill="#777">{share:.0%}</text>'
             for share in (0.0, 0.25, 0.5, 0.75, 1.0)]  # fmt: skip
    rows = [_row(rung, TOP + ROW * number + ROW // 2, rung is top) for number, rung in enumerate(ladder.rungs)]
    title = f"{ladder.workload} on {ladder.profile}: right on test, with 95 % intervals"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'style="{_STYLE}" role="img"><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="12" y="18" font-weight="600">{escape(title)}</text>{"".join(marks)}{"".join(rows)}</svg>\n'
    )


def _row(rung: RungResult, y: int, top: bool) -> str:
    color = "#0a7d4f" if top else "#3465a4"
    value, low, high = (_x(share) for share in (rung.accuracy.value, rung.accuracy.low, rung.accuracy.high))
    name = escape(rung.name if len(rung.name) <= 24 else rung.name[:23] + "…")
    return (
        f'<text x="{LEFT - 14}" y="{y + 4}" text-anchor="end" font-weight="{600 if top else 400}">'
        f"{name}</text>"
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="{color}" stroke-width="3"/>'
        f'<circle cx="{value:.1f}" cy="{y}" r="5.5" fill="{color}"/>'
        f'<text x="{WIDTH - 12}" y="{y + 4}" text-anchor="end" fill="{color}">{percent(rung.accuracy.value)}</text>'
    )


def _x(share: float) -> float:
    """The x coordinate of a share in [0, 1]."""
    return LEFT + share * (WIDTH - LEFT - RIGHT)
