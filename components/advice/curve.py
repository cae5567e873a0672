"""The learning curve: accuracy after training on subsets, extrapolated to more demonstrations.

The error falls as a power of their number to a floor, err(n) = c + a·n^(−b) (Hestness et al. 2017, arXiv:1712.00409).
A few points do not show whether there is a floor, so the expectation is the mean of the fits with and without one. The
interval spans both, and also curves that stay level and, if the last doubling lowered the accuracy, curves that go on
falling: models learn the demonstrations' mistakes better with every doubling. Every point is redrawn from a binomial
with its effective number of examples. If a curve still gets steeper with every doubling, as in a small model's first
steps, it has no upper bound.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.advice.evidence import Learning
from components.errors import DataError
from components.evaluation.metrics import share_design, share_of
from components.records import Interval

_DRAWS = 400
_POWERS = np.linspace(0.05, 1.5, 30)
_FORMS = (np.linspace(0.0, 1.0, 41), np.zeros(1))  # candidate floors: any height, and none


def learning(
    passes: Mapping[int, Sequence[bool]], demonstrations: int, seed: int, groups: Sequence[str] | None = None
) -> Learning:
    """Extrapolate from passes on dev by number of demonstrations; `groups` names the group of each dev example.

    Raises:
        DataError: There is no subset, or one without examples.
    """
    if not passes or not all(passes.values()):
        raise DataError("expected passes on dev for at least one subset of the demonstrations, found none")
    sizes = np.array(sorted(passes), dtype=float)
    right, n = (np.array([measure(passes[int(size)]) for size in sizes]) for measure in (sum, len))
    points = {int(size): share_of(passes[int(size)], groups) for size in sizes}
    worth = np.maximum(1.0, np.round(n / _effect(passes, groups)))
    rng, at = np.random.default_rng(seed), np.array([demonstrations, 2 * demonstrations], dtype=float)
    chance = _smoothed(right, n)
    drawn = rng.binomial(worth.astype(int), chance, size=(_DRAWS, len(n))) / worth
    fits = np.concatenate([
        *(extrapolate(sizes, drawn, at, floors) for floors in _FORMS), *_turned(sizes, drawn, at)
    ])  # fmt: skip
    best = np.mean([extrapolate(sizes, (right / n)[None], at, floors)[0] for floors in _FORMS], axis=0)
    open_end = len(right) >= 3 and bool(np.diff(right / n, 2)[-1] > 0)  # still getting steeper
    noise = rng.normal(0.0, np.sqrt(chance[-1] * (1 - chance[-1]) / worth[-1]), size=len(fits))
    return Learning(
        points=tuple(points.items()),
        full=_interval(best[0], np.clip(fits[:, 0] + noise, 0, 1), open_end),
        doubled=_interval(best[1], np.clip(fits[:, 1] + noise, 0, 1), open_end),
        doubling=_interval(best[1] - best[0], fits[:, 1] - fits[:, 0]),
    )


def _effect(passes: Mapping[int, Sequence[bool]], groups: Sequence[str] | None) -> float:
    """The largest design effect of a point."""
    return max(share_design(np.array(point, dtype=float), groups).effect for point in passes.values())


def _turned(sizes: NDArray[Any], accuracies_D_S: NDArray[Any], at: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Accuracies (D, A) of curves that stay level, and of curves that fall on as in their last doubling."""
    level = np.repeat(accuracies_D_S[:, -1:], len(at), axis=1)
    if len(sizes) < 2:
        return level, level
    step = (accuracies_D_S[:, -1] - accuracies_D_S[:, -2]) / np.log2(sizes[-1] / sizes[-2])
    fallen = level + np.minimum(0.0, step)[:, None] * np.log2(at / sizes[-1])[None]
    return level, np.clip(fallen, 0.0, 1.0)


def extrapolate(
    sizes: NDArray[Any], accuracies_D_S: NDArray[Any], at: NDArray[Any], floors: NDArray[Any]
) -> NDArray[Any]:
    """Accuracies (D, A) at other sizes by the least squares fit of the power law to each of D curves over S sizes.

    With fewer than three sizes nothing is extrapolated: the last accuracy is kept.
    """
    if len(sizes) < 3:
        return np.repeat(accuracies_D_S[:, -1:], len(at), axis=1)
    errors = 1 - accuracies_D_S
    shapes_P_S, wanted_P_A = ((x / sizes[-1]) ** -_POWERS[:, None] for x in (sizes, at))
    # Slope and loss of every power, floor and curve at once, from sums over sizes.
    squares, rest = (shapes_P_S**2).sum(axis=1), errors[None, None] - floors[None, :, None, None]
    products = np.einsum("ps,fds->pfd", shapes_P_S, rest[0])
    slopes = np.clip(products / squares[:, None, None], 0.0, None)  # an error that never rises
    losses = (rest**2).sum(axis=3) - 2 * slopes * products + slopes**2 * squares[:, None, None]
    best = losses.reshape(-1, len(errors)).argmin(axis=0)
    power, floor = np.unravel_index(best, losses.shape[:2])
    slope = slopes[power, floor, np.arange(len(errors))]
    return np.clip(1 - (floors[floor, None] + slope[:, None] * wanted_P_A[power]), 0.0, 1.0)


def _smoothed(right: NDArray[Any], n: NDArray[Any]) -> NDArray[Any]:
    return (right + 1) / (n + 2)


def _interval(value: float, draws: NDArray[Any], open_end: bool = False) -> Interval:
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(value=float(value), low=float(min(low, value)), high=1.0 if open_end else float(max(high, value)))
