"""The geometry of curves: round ticks, points inside the drawing, marks where they belong."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components.report.picture import BOTTOM, HEIGHT, LEFT, MOST_POINTS, RIGHT, TOP, WIDTH, chart, smooth, thin, ticks

finite = st.floats(-1e6, 1e6, allow_nan=False)


def points(text: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in text.split())]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, (0, 0.25, 0.5, 0.75, 1)),
        (0.9, 0.966, (0.9, 0.92, 0.94, 0.96, 0.98)),
        (1, 376, (0, 100, 200, 300, 400)),
        (47.0, 47.0, (20, 30, 40, 50, 60, 70, 80)),
    ],
)
def test_ticks_are_round_and_enclose_the_range(low: float, high: float, expected: tuple[float, ...]) -> None:
    values = ticks(low, high)
    if low < high:
        assert values == pytest.approx(expected)
    assert values[0] <= low and values[-1] >= high


@example(1e-9, 3e-9)
@given(finite, finite)
def test_there_are_never_fewer_than_two_nor_more_than_eight_ticks(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    values = ticks(low, high)
    slack = 1e-6 * max(abs(low), abs(high), 1e-9)
    assert 2 <= len(values) <= 8
    assert values[0] <= low + slack and values[-1] >= high - slack


def test_a_straight_line_runs_from_corner_to_corner() -> None:
    drawn = chart("sft/loss", [(0, 1.0), (100, 0.0)])
    assert drawn is not None and drawn.title == "Loss"
    assert points(drawn.points) == [(LEFT, TOP), (WIDTH - RIGHT, HEIGHT - BOTTOM)]
    assert drawn.mark == (WIDTH - RIGHT, HEIGHT - BOTTOM)
    assert drawn.summary == "Loss: 1 at step 0, last 0, over 100 steps."


def test_a_dev_score_is_marked_at_its_best() -> None:
    drawn = chart("dev_score", [(0, 0.5), (10, 1.0), (20, 0.75)])
    assert drawn is not None and drawn.mark_label == "best 1"
    assert drawn.mark == pytest.approx(((LEFT + WIDTH - RIGHT) / 2, TOP))


def test_values_that_are_not_numbers_are_left_out() -> None:
    drawn = chart("reward", [(0, 0.5), (1, math.nan), (2, 0.75), (3, math.inf)])
    assert drawn is not None and len(points(drawn.points)) == 2
    assert chart("reward", [(0, math.nan)]) is None and chart("reward", []) is None


@example([(0, 0.0), (1, 1e-134)])
@example([(0, 1e6), (1, 1e6 + 0.5)])
@given(st.lists(st.tuples(st.integers(0, 10_000), finite), min_size=1, max_size=60))
def test_every_point_lies_inside_the_drawing(curve: list[tuple[float, float]]) -> None:
    drawn = chart("anything", sorted(curve))
    assert drawn is not None
    for x, y in [*points(drawn.points), *points(drawn.average)]:
        assert LEFT - 0.2 <= x <= WIDTH - RIGHT + 0.2 and TOP - 0.2 <= y <= HEIGHT - BOTTOM + 0.2


def test_a_long_curve_keeps_its_ends_and_becomes_short() -> None:
    curve = [(float(step), float(step)) for step in range(10_000)]
    short = thin(curve)
    assert len(short) == MOST_POINTS and (short[0], short[-1]) == (curve[0], curve[-1])


def test_the_moving_average_of_a_line_is_the_line_away_from_its_ends() -> None:
    curve = [(float(step), 3.0 * step) for step in range(60)]  # 60 points: two on each side
    means = [mean for _, mean in smooth(curve)]
    assert means[2:-2] == pytest.approx([value for _, value in curve[2:-2]])
    assert means[0] == pytest.approx(3.0)  # the mean of 0, 3 and 6


def test_schedules_are_not_averaged_and_long_rough_curves_are() -> None:
    curve = [(float(step), float(step % 2)) for step in range(100)]
    rate, reward = chart("learning_rate", curve), chart("reward", curve)
    assert rate is not None and not rate.average
    assert reward is not None and reward.average
