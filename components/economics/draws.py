"""Bootstrap draws of dollars per call and of shares right from a sample of calls. Pure.

Dollars are drawn by bootstrap-t (Efron 1981; Hall 1988), because costs are skewed: the expensive calls that drive the
mean are rare in a sample. Shares are drawn by a bootstrap of groups, widened to Student's t if there are few groups;
so are dollars of fewer than `FEW` groups, whose spread a draw of them does not tell.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
DRAWS = 2000
FEW = 8  # groups: with fewer, draws of nearly equal groups are so frequent that bootstrap-t has no upper end
_ALIKE = 1e-6  # of the mean: standard errors below it are rounding, of groups that cost the same
_BLOCK = 250  # draws at once: 250 × 10,000 groups take less than 20 MB


def resampled(
    usd_N_C: Array, right_N_C: Array, groups: Sequence[str] | None, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Dollars per call and share right of C rungs in each draw, both (C, DRAWS), from N calls of each.

    Groups of calls are drawn with replacement, the same for all rungs. Identical groups are counted together.
    """
    columns, c = np.concatenate([usd_N_C, right_N_C.astype(float)], axis=1), usd_N_C.shape[1]
    rows, counts = np.unique(_summed(columns, groups), axis=0, return_counts=True)
    sums, sizes, k = rows[:, :-1], rows[:, -1:], int(counts.sum())
    drawn = [_means(_counted(counts, rng), sums, sizes) for _ in range(DRAWS // _BLOCK)]
    means, errors = (np.concatenate(part) for part in zip(*drawn, strict=True))
    mean, error = (part[0] for part in _means(counts[None], sums, sizes))
    usd = [
        np.maximum(_studentised(means[:, i], errors[:, i], float(mean[i]), float(error[i]), k), usd_N_C[:, i].min())
        for i in range(c)
    ]
    right = [_widened(means[:, i], float(mean[i]), k, rng) for i in range(c, 2 * c)]
    return np.stack(usd), np.stack(right)


def share_of_dearest(usd: Array) -> float:
    """The share of the cost that is due to the most expensive hundredth of calls."""
    total = float(usd.sum())
    return float(np.sort(usd)[-max(1, len(usd) // 100) :].sum()) / total if total > 0 and len(usd) >= 100 else 0.0


def _summed(columns: Array, groups: Sequence[str] | None) -> Array:
    """The sums of each group, with its size in the last column."""
    sized = np.concatenate([columns, np.ones((len(columns), 1))], axis=1)
    if groups is None:
        return sized
    codes = np.unique(np.asarray(groups, dtype=object), return_inverse=True)[1]
    sums = np.zeros((int(codes.max()) + 1, sized.shape[1]))
    np.add.at(sums, codes, sized)
    return sums


def _counted(counts: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """How often each kind of group is in a draw (_BLOCK, kinds); with many kinds, groups are drawn one by one."""
    k, kinds = int(counts.sum()), len(counts)
    if kinds < k / 8:
        return rng.multinomial(k, counts / k, size=_BLOCK)
    chosen = np.repeat(np.arange(kinds), counts)[rng.integers(0, k, (_BLOCK, k))]
    bins = chosen + kinds * np.arange(_BLOCK)[:, None]
    return np.bincount(bins.ravel(), minlength=_BLOCK * kinds).reshape(_BLOCK, kinds)


def _means(weights: NDArray[Any], sums: Array, sizes: Array) -> tuple[Array, Array]:
    """Each draw's means per call, with standard errors between groups; `weights` (draws, groups) counts each group."""
    n = weights @ sizes
    mean = weights @ sums / n
    squares = weights @ sums**2 - 2 * mean * (weights @ (sums * sizes)) + mean**2 * (weights @ sizes**2)
    return mean, np.sqrt(np.maximum(squares, 0.0)) / n


def _studentised(means: Array, errors: Array, mean: float, error: float, k: int) -> Array:
    """Draws of dollars whose quantiles are the ends of bootstrap-t intervals, ordered like the drawn means.

    Computed on a log scale, where errors depend less on the mean. Of few groups the draws are widened instead; of one
    group all are the mean.
    """
    if k < 2 or not error > _ALIKE * abs(mean) or mean <= 0:
        return np.full(len(means), mean)
    if k < FEW:
        return mean * (means / mean) ** _wider(k)
    from scipy.stats import t

    most = float(t.ppf(0.999, k - 1))  # further out a draw's groups are alike by chance
    spread = np.where(errors > _ALIKE * means, errors, error)
    moved = np.clip(np.log(np.maximum(means, 1e-300) / mean) / (spread / np.maximum(means, 1e-300)), -most, most)
    drawn = np.empty(len(means))
    drawn[np.argsort(means)] = np.sort(mean * np.exp(-moved * error / mean))
    return drawn


def _widened(means: Array, mean: float, k: int, rng: np.random.Generator) -> Array:
    """Draws of a share, widened for k groups; if all calls agree, from the posterior under Jeffreys' prior."""
    if mean in {0.0, 1.0}:
        return rng.beta(k * mean + 0.5, k * (1 - mean) + 0.5, size=len(means))
    if k < 2:
        return rng.random(len(means))
    return np.clip(mean + _wider(k) * (means - mean), 0.0, 1.0)


def _wider(k: int) -> float:
    """How much wider than a bootstrap of k groups, at least two, Student's interval is."""
    from scipy.stats import norm, t

    return float(t.ppf(0.975, k - 1) / norm.ppf(0.975)) * (k / (k - 1)) ** 0.5
