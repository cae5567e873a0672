"""The learning curve: accuracy after training on subsets, extrapolated to more demonstrations.

The error falls as a power of their number to a floor, err(n) = c + a·n^(−b) (Hestness et al. 2017, arXiv:1712.00409).
A few points do not tell whether there is a floor: the expectation is the mean of the fits with and without one, and
the interval spans both, with every point redrawn from its own binomial. That the form is right at all is assumed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.advice.evidence import Learning
from components.errors import DataError
from components.evaluation.metrics import wilson
from components.records import Interval

_DRAWS = 400
_POWERS = np.linspace(0.05, 1.5, 30)
_FORMS = (np.linspace(0.0, 1.0, 41), np.zeros(1))  # with a floor of any height, and without one


def learning(passes: Mapping[int, Sequence[bool]], demonstrations: int, seed: int) -> Learning:
    """Extrapolate from passes on dev by number of demonstrations.

    Raises:
        DataError: There is no subset, or one without examples.
    """
    if not passes or not all(passes.values()):
        raise DataError("expected passes on dev for at least one subset of the demonstrations, found none")
    sizes = np.array(sorted(passes), dtype=float)
    right, n = (np.array([measure(passes[int(size)]) for size in sizes]) for measure in (sum, len))
    rng, at = np.random.default_rng(seed), np.array([demonstrations, 2 * demonstrations], dtype=float)
    chance = _smoothed(right, n)
    drawn = rng.binomial(n, chance, size=(_DRAWS, len(n))) / n
    fits = np.array([extrapolate(sizes, one, at, floors) for one in drawn for floors in _FORMS])
    best = np.mean([extrapolate(sizes, right / n, at, floors) for floors in _FORMS], axis=0)
    noise = rng.normal(0.0, np.sqrt(chance[-1] * (1 - chance[-1]) / n[-1]), size=len(fits))
    return Learning(
        points=tuple((int(size), wilson(int(r), int(m))) for size, r, m in zip(sizes, right, n, strict=True)),
        full=_interval(best[0], np.clip(fits[:, 0] + noise, 0, 1)),
        doubled=_interval(best[1], np.clip(fits[:, 1] + noise, 0, 1)),
        doubling=_interval(best[1] - best[0], fits[:, 1] - fits[:, 0]),
    )


def extrapolate(sizes: NDArray[Any], accuracies: NDArray[Any], at: NDArray[Any], floors: NDArray[Any]) -> NDArray[Any]:
    """Accuracy at other sizes by the least squares fit of the power law; of fewer than three points the last."""
    if len(sizes) < 3:
        return np.full(len(at), accuracies[-1])
    errors = 1 - accuracies
    scaled, wanted = sizes / sizes[-1], at / sizes[-1]
    best, found = np.inf, np.full(len(at), accuracies[-1])
    for power in _POWERS:
        shape = scaled[:, None] ** -power
        rest = errors[:, None] - floors[None, :]
        slopes = np.clip((shape * rest).sum(axis=0) / (shape**2).sum(axis=0), 0.0, None)  # an error that never rises
        losses = ((rest - shape * slopes) ** 2).sum(axis=0)
        place = int(np.argmin(losses))
        if losses[place] < best - 1e-12:
            best = losses[place]
            found = 1 - (floors[place] + slopes[place] * wanted**-power)
    return np.clip(found, 0.0, 1.0)


def _smoothed(right: NDArray[Any], n: NDArray[Any]) -> NDArray[Any]:
    return (right + 1) / (n + 2)


def _interval(value: float, draws: NDArray[Any]) -> Interval:
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(value=float(value), low=float(min(low, value)), high=float(max(high, value)))
