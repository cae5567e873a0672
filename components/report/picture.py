"""The geometry of curves: points, ticks and marks in SVG coordinates. Pure."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from components.report.evidence import Curve

WIDTH, HEIGHT = 320.0, 168.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 12.0, 12.0, 24.0
_ZERO = 1e-9
MOST_POINTS = 400  # more than there are pixels would only add bytes
SMOOTHED_FROM = 40
EXACT = ("dev_score", "learning_rate")  # curves without noise

# The name that training writes → title, unit of the value axis; other curves are shown under their own name.
TITLES = {
    "loss": ("Loss", ""),
    "train_loss": ("Loss on train", ""),
    "dev_loss": ("Loss on dev", ""),
    "dev_score": ("Score on dev", ""),
    "reward": ("Reward", ""),
    "reward_std": ("Spread of the reward", ""),
    "kl": ("KL from its start", "nats"),
    "entropy": ("Entropy", "nats"),
    "zero_variance_share": ("Zero-variance groups", ""),
    "completion_length": ("Completion length", "tokens"),
    "completion_tokens": ("Completion length", "tokens"),
    "length": ("Completion length", "tokens"),
    "learning_rate": ("Learning rate", ""),
    "grad_norm": ("Gradient norm", ""),
}


@dataclass(frozen=True)
class Tick:
    """A position on an axis and its label."""

    at: float
    label: str


@dataclass(frozen=True)
class Chart:
    """A drawn curve: SVG points, ticks on both axes, its best or last point, and a description."""

    title: str
    unit: str
    points: str
    average: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    mark: tuple[float, float]
    mark_label: str
    summary: str


def chart(name: str, curve: Curve) -> Chart | None:
    """The drawing of a curve, None if it has no finite value; a score is marked at its best, others at their end.

    Long curves are drawn twice: faintly as they are, and as a moving average, whose end is then marked.
    """
    finite = [(step, value) for step, value in curve if math.isfinite(step) and math.isfinite(value)]
    if not finite:
        return None
    key = name.rsplit("/", 1)[-1]
    title, unit = TITLES.get(key, (key.replace("_", " ").capitalize(), ""))
    steps, values = ticks(*_range(step for step, _ in finite)), ticks(*_range(value for _, value in finite))
    to_x, to_y = _scale(steps, LEFT, WIDTH - RIGHT), _scale(values, HEIGHT - BOTTOM, TOP)
    mean = smooth(finite) if len(finite) >= SMOOTHED_FROM and key not in EXACT else []
    mark = max(finite, key=lambda point: point[1]) if key == "dev_score" else (mean or finite)[-1]
    label = f"{'best' if key == 'dev_score' else 'last'} {_short(mark[1])}"
    return Chart(
        title=title,
        unit=unit,
        points=_points(finite, to_x, to_y),
        average=_points(mean, to_x, to_y),
        x_ticks=tuple(Tick(to_x(value), _short(value)) for value in steps),
        y_ticks=tuple(Tick(to_y(value), _short(value)) for value in values),
        mark=(to_x(mark[0]), to_y(mark[1])),
        mark_label=label,
        summary=f"{title}: {_short(finite[0][1])} at step {finite[0][0]:g}, {label}, over {finite[-1][0]:g} steps.",
    )


def smooth(curve: Curve) -> Curve:
    """The centred moving average over a fifteenth of the points, with shorter windows at the ends."""
    reach = max(1, len(curve) // 30)
    windows = [curve[max(0, index - reach) : index + reach + 1] for index in range(len(curve))]
    means = [sum(value for _, value in window) / len(window) for window in windows]
    return [(step, mean) for (step, _), mean in zip(curve, means, strict=True)]


def thin(curve: Curve) -> Curve:
    """At most MOST_POINTS points, including the first and the last."""
    if len(curve) <= MOST_POINTS:
        return curve
    stride = (len(curve) - 1) / (MOST_POINTS - 1)
    return [curve[round(number * stride)] for number in range(MOST_POINTS)]


def ticks(low: float, high: float) -> tuple[float, ...]:
    """Round values (in steps of 1, 2, 2.5 or 5 times a power of ten) that enclose a range, widened if it is one value.

    Ends that differ by less than a millionth of their size, or by less than 1e-15, are one value.
    """
    if high - low <= 1e-6 * max(abs(low), abs(high), _ZERO):
        spread = abs(low) / 2 if abs(low) > _ZERO else 0.5
        low, high = low - spread, high + spread
    raw = (high - low) / 4
    exponent = math.floor(math.log10(raw))
    step = next(factor * 10.0**exponent for factor in (1, 2, 2.5, 5, 10) if factor * 10.0**exponent >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(number * step, max(0, 2 - exponent)) for number in range(first, last + 1))


def _range(values: Iterable[float]) -> tuple[float, float]:
    listed = list(values)
    return min(listed), max(listed)


def _scale(values: tuple[float, ...], start: float, end: float) -> Callable[[float], float]:
    """The linear map from the range of the ticks to coordinates."""
    low, high = values[0], values[-1]
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _points(curve: Curve, to_x: Callable[[float], float], to_y: Callable[[float], float]) -> str:
    return " ".join(f"{to_x(step):.1f},{to_y(value):.1f}" for step, value in thin(curve))


def _short(value: float) -> str:
    """A number with at most three significant digits."""
    if value and abs(value) < 0.001:
        mantissa, exponent = f"{value:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    if abs(value) >= 10_000:
        return f"{value / 1000:.3g}k"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
