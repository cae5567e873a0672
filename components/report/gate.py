"""The gate on the page: a line per decision of the climb, and a picture of the last comparison's slices.

Decides which parts of a verdict are shown and where its marks go; every number comes from the verdict. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from components.records import Verdict
from components.report.picture import Tick, ticks

MOST_SLICES = 24
WIDTH, ROW, LEFT, RIGHT, TOP, BOTTOM = 640.0, 22.0, 190.0, 110.0, 8.0, 26.0


@dataclass(frozen=True)
class SliceMark:
    """A slice's difference and its interval, in SVG coordinates and in words."""

    name: str
    n: int
    y: float
    low: float
    at: float
    high: float
    worse: bool
    summary: str


@dataclass(frozen=True)
class SlicePicture:
    """A comparison's slices, the worst first, over an axis of percentage points."""

    challenger: str
    champion: str
    marks: tuple[SliceMark, ...]
    ticks: tuple[Tick, ...]
    zero: float
    width: float
    height: float
    left: float
    right: float
    hidden: int


def slice_picture(verdicts: Sequence[Verdict]) -> SlicePicture | None:
    """The slices of the last comparison that has any, or None; at most the MOST_SLICES worst are drawn."""
    with_slices = [part for part in verdicts if part.numbers and part.numbers.slices]
    if not with_slices:
        return None
    verdict = with_slices[-1]
    assert verdict.numbers is not None
    worst = sorted(verdict.numbers.slices, key=lambda part: (part.delta, part.name))
    shown = worst[:MOST_SLICES]
    axis = ticks(min(0.0, *(part.low for part in shown)), max(0.0, *(part.high for part in shown)))
    scale = (WIDTH - LEFT - RIGHT) / (axis[-1] - axis[0])

    def x(delta: float) -> float:
        return LEFT + (delta - axis[0]) * scale

    return SlicePicture(
        challenger=verdict.challenger,
        champion=verdict.champion,
        marks=tuple(
            SliceMark(
                part.name, part.n, TOP + ROW * place, x(part.low), x(part.delta), x(part.high), part.high < 0,
                f"{part.name}, {part.n:,} examples: {100 * part.delta:+.1f} points, {100 * part.low:+.1f} to "
                f"{100 * part.high:+.1f}",
            )
            for place, part in enumerate(shown)
        ),
        ticks=tuple(Tick(x(value), f"{100 * value:+.0f}") for value in axis),
        zero=x(0.0),
        width=WIDTH,
        height=TOP + ROW * len(shown) + BOTTOM,
        left=LEFT,
        right=WIDTH - RIGHT,
        hidden=len(worst) - len(shown),
    )  # fmt: skip
