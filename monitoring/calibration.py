"""Limits for each column's distance under chance alone, from resamples of the reference.

The distances are Evidently's (normed Wasserstein for numbers, Jensen-Shannon for labels), computed for thousands of
resamples at once. Limits hold for all columns together, however they are correlated: each column takes an equal part
of the level (Bonferroni) in its own tail. With one multiple of the standard deviation for all, rare labels, whose
distances are skewed, would widen every column's limit. Rows of one customer or one burst are not independent: each
column uses its effective number of rows.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from monitoring.columns import Groups, Table

Distance = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
_CHUNK = 250  # resamples at once, to save memory
_TAIL = 0.05  # share of the resamples that the tail is fitted to
# Correction for few groups: the square of Student's quantile exceeds the normal's by a factor of 1 + (z² + 1) / 2 over
# its degrees of freedom; z = 4, where limits for many columns lie.
_FEW = 8.5
_FAR = 4.0  # standard errors at which limits for many columns lie
_LEAST_DEGREES = 4.0  # of freedom of a mean effect: with fewer, limits would leave nothing to see
_LAG = 3  # distance of time blocks from which they are taken as independent
_LEAST = 1e-9  # limit of a column that no resample moves
_ENOUGH = 20  # resamples beyond a quantile that suffice to read it off


def limits(table: Table, level: float, resamples: int, seed: int) -> dict[str, float]:
    """Limits of the columns' distances; without drift, the probability that any column exceeds its limit is `level`.

    Distances include both sides' noise. For numbers, a resample draws both sides' rows from the reference, so that
    correlated columns stay correlated; for labels it draws the current side, from shares that the reference allows.
    Tails are extrapolated of squared distances: those of shares near normal ones are exponential (chi-squared).
    """
    drawn = _drawn(table, resamples, np.random.default_rng(seed))
    squares = {name: beyond(np.concatenate(parts) ** 2, level / len(drawn)) for name, parts in drawn.items()}
    return {name: max(square**0.5, _LEAST) for name, square in squares.items()}


def beyond(values: np.ndarray, level: float) -> float:
    """The value that a share `level` of the values exceeds.

    If too few values are that large, the tail is extrapolated by a generalised Pareto distribution, fitted to the
    largest values by moments (Hosking and Wallis 1987). The tail is at least exponential, and the result at least the
    empirical quantile: a column that hardly varies has few possible distances, which a smooth tail may fall between.
    """
    read_off = float(np.quantile(values, 1 - level, method="higher"))
    if level * len(values) >= _ENOUGH:
        return read_off
    count = max(_ENOUGH, round(_TAIL * len(values)))
    ordered = np.sort(values)
    start, excess = ordered[-count - 1], ordered[-count:] - ordered[-count - 1]
    mean, variance = float(excess.mean()), max(float(excess.var()), 1e-18)
    shape = max(0.0, 0.5 * (1 - mean**2 / variance))
    ratio = count / len(values) / level
    extrapolated = mean * np.log(ratio) if shape < 1e-6 else mean * (1 - shape) / shape * (ratio**shape - 1)
    return max(read_off, float(start + extrapolated))


def worth(table: Table) -> dict[str, tuple[float, float]]:
    """The design effect of each column on both sides, at least 1: its number of rows over their effective number."""
    effects = [
        _effects(side.filter(table.columns), groups)
        for side, groups in zip((table.reference, table.current), table.groups, strict=True)
    ]
    return {name: (effects[0][name], effects[1][name]) for name in table.columns}


def _effects(side: pd.DataFrame, groups: Groups) -> dict[str, float]:
    """The design effects of a side's columns: each column's own by customers, and the mean of all columns by time.

    There are few time blocks, so that a single column's effect by time would be too noisy. So is the mean of few
    columns: the more they differ, the fewer degrees of freedom it has (Satterthwaite 1946).
    """
    columns = {str(name): _centred(column) for name, column in side.items()}
    in_time = np.array([_effect(*column, groups.blocks, in_time=True) for column in columns.values()])
    usual = _mean_effect(in_time) if groups.blocks is not None else 1.0
    return {name: max(usual, _effect(*column, groups.customers)) for name, column in columns.items()}


def _mean_effect(effects_C: np.ndarray) -> float:
    """The mean of the columns' effects, at least 1, widened by what its standard error is worth."""
    from scipy.stats import norm
    from scipy.stats import t as student

    mean = max(1.0, float(effects_C.mean())) if len(effects_C) else 1.0
    if len(effects_C) < 2:
        return mean
    relative = float(effects_C.var(ddof=1)) / len(effects_C) / mean**2
    return mean * (float(student.isf(norm.sf(_FAR), max(_LEAST_DEGREES, 2 / max(relative, 1e-9)))) / _FAR) ** 2


def effect(column: pd.Series, numbers_R: np.ndarray | None, *, in_time: bool = False) -> float:
    """The design effect of a column (Kish 1965): the variance of its mean by groups, over that by rows.

    1 if there are no groups to compare. Time blocks are compared with near ones (von Neumann 1941), so that a single
    shift within the window, which the watch should find, does not count as variance.
    """
    return _effect(*_centred(column), numbers_R, in_time=in_time)


def _centred(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """A column's known values less their mean, [rows, X], labels as one number each; and which rows are known."""
    if column.dtype.kind == "f":
        rows_RX = column.to_numpy(float)[:, None]
        known_R = ~np.isnan(rows_RX[:, 0])
    else:
        codes_R, labels = pd.factorize(column)
        known_R, rows_RX = codes_R >= 0, (codes_R[:, None] == np.arange(len(labels))).astype(float)
    rows_RX = rows_RX[known_R]
    return rows_RX - rows_RX.mean(0) if len(rows_RX) else rows_RX, known_R


def _effect(rows_RX: np.ndarray, known_R: np.ndarray, numbers_R: np.ndarray | None, *, in_time: bool = False) -> float:
    single = float((rows_RX**2).sum())
    sums = None if numbers_R is None or single <= 0 else _sums(rows_RX, numbers_R[known_R])
    if sums is None:
        return 1.0
    if in_time:
        return _in_time(sums) * len(sums) / single
    return float((sums**2).sum()) / (len(sums) - 1) * (len(sums) + _FEW) / single


def _in_time(sums_GX: np.ndarray) -> float:
    """The long-run variance of block sums: their own variance plus twice the covariance of neighbours.

    A customer's requests may lie on both sides of a block's end. The covariance is estimated by how much less
    neighbours differ than blocks that are further apart.
    """

    def apart(lag: int) -> float:
        return float(((sums_GX[lag:] - sums_GX[:-lag]) ** 2).sum()) / 2 / (len(sums_GX) - lag)

    return apart(1) if len(sums_GX) <= _LAG else 3 * apart(_LAG) - 2 * apart(1)


def _sums(rows_RX: np.ndarray, numbers_R: np.ndarray) -> np.ndarray | None:
    """Sums by group, [groups, X]; None if there are fewer than two groups."""
    names, places = np.unique(numbers_R, return_inverse=True)
    if len(names) < 2:
        return None
    return np.stack([np.bincount(places, weights=values_R) for values_R in rows_RX.T], axis=1)


def _drawn(table: Table, resamples: int, rng: np.random.Generator) -> dict[str, list[np.ndarray]]:
    """Distances of resampled pairs, the rows drawn together for all columns."""
    rows = len(table.reference)
    distances: dict[str, list[np.ndarray]] = {name: [] for name in table.columns}
    effects = worth(table)
    numbers = {name: (table.reference[name].to_numpy(float), *_worth_now(table, name, effects[name]))
               for name in table.numbers}  # fmt: skip
    labels = {name: _of_labels(table, name, effects[name][1]) for name in table.labels}
    for number in _chunks(resamples):
        first_BR = _counted(_places(rows, rows, number, rng), rows)
        second_BS = _places(rows, len(table.current), number, rng)
        for name, (values_R, size, wider) in numbers.items():
            second_BR = _counted(second_BS[:, :size], rows)
            distances[name].append(wasserstein(values_R, first_BR, second_BR) * wider)
        for name, (counts_L, size) in labels.items():
            second_BL = rng.multinomial(size, rng.dirichlet(_possible(counts_L, effects[name][0]), number))
            distances[name].append(jensen_shannon_of(np.tile(counts_L, (number, 1)), second_BL))
    return distances


def _of_labels(table: Table, name: str, effect: float) -> tuple[np.ndarray, int]:
    """The reference's counts by label, and how many rows the current side is worth."""
    first, second = _known(table, name)
    return _counts(first, second), max(1, round(len(second) / effect))


def _places(rows: int, size: int, number: int, rng: np.random.Generator) -> np.ndarray:
    """The rows of `number` samples with replacement, [samples, size]; row r of sample s is numbered r + s · rows."""
    return rng.integers(rows, size=(number, size)) + rows * np.arange(number)[:, None]


def _counted(places_BS: np.ndarray, rows: int) -> np.ndarray:
    """How often each row is in each sample, [samples, rows]: multinomial counts, faster than numpy draws them."""
    counts = np.bincount(places_BS.ravel(), minlength=len(places_BS) * rows)
    return counts.reshape(len(places_BS), rows).astype(np.float32)


def _worth_now(table: Table, name: str, effects: tuple[float, float]) -> tuple[int, float]:
    """How many rows a resample of the current side has, and by how much its distances are widened.

    It has as many as the current side's known values are worth, so that distances are as skewed as those of so few.
    What is left is what the reference's rows are worth; distances fall with the root of their number.
    """
    before, now = int(table.reference[name].notna().sum()), int(table.current[name].notna().sum())
    known = before / len(table.reference)
    size = min(len(table.current), max(2, round(now / known / effects[1])))
    wider = (effects[0] / before + effects[1] / now) / (1 / before + 1 / (size * known))
    return size, float(np.sqrt(wider))


def measured(table: Table) -> dict[str, float]:
    """The distance of every column, as Evidently computes it for `drift`, without its page."""
    bounded = table.bounded()

    def both(sides: tuple[np.ndarray, np.ndarray], distance: Distance) -> float:
        first, second = np.repeat([[1.0, 0.0], [0.0, 1.0]], [len(side) for side in sides], axis=1)[:, None]
        return float(distance(np.concatenate(sides), first, second)[0])

    numbers = {
        name: both((bounded.reference[name].to_numpy(float), bounded.current[name].to_numpy(float)), wasserstein)
        for name in table.numbers
    }
    return {**numbers, **{name: both(_known(table, name), jensen_shannon) for name in table.labels}}


def _known(table: Table, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The labels of a column on both sides, missing ones left out."""
    first, second = (side[name].dropna().to_numpy(str) for side in (table.reference, table.current))
    return first, second


def _counts(reference_R: np.ndarray, current_R: np.ndarray) -> np.ndarray:
    """How often each label of either side occurs in the reference."""
    return (reference_R[:, None] == np.union1d(reference_R, current_R)).sum(0)


def _possible(counts_L: np.ndarray, effect: float = 1.0) -> np.ndarray:
    """The parameters of the Dirichlet distribution of shares after such counts: half a row is added (Jeffreys).

    Counts are divided by the design effect. A label that the reference never had is rare, not impossible: with a whole
    row added, it occurs by chance as often as Fisher's exact test says.
    """
    return np.where(counts_L == 0, 1.0, counts_L / effect + 0.5)


def wasserstein(values_R: np.ndarray, first_BR: np.ndarray, second_BR: np.ndarray) -> np.ndarray:
    """Normed Wasserstein distances of weighted samples of the same values, missing ones left out.

    The weights are [pairs, rows]; the norm is the standard deviation of the first side.
    """
    known = np.flatnonzero(~np.isnan(values_R))
    places = known[np.argsort(values_R[known], kind="stable")]
    sorted_R = values_R[places]
    first_BR, apart_BR = _shares(first_BR[:, places]), _shares(second_BR[:, places])
    np.subtract(first_BR, apart_BR, out=apart_BR)
    np.abs(np.cumsum(apart_BR, axis=1, out=apart_BR), out=apart_BR)
    mean_B, square_B = (first_BR @ np.stack([sorted_R, sorted_R**2], axis=1)).T
    spread_B = np.sqrt(np.maximum(square_B - mean_B**2, 0))
    return apart_BR[:, :-1] @ np.diff(sorted_R) / np.maximum(spread_B, 0.001)


def jensen_shannon(labels_R: np.ndarray, first_BR: np.ndarray, second_BR: np.ndarray) -> np.ndarray:
    """Jensen-Shannon distances (natural logarithm) of weighted samples of the same labels; weights [pairs, rows]."""
    labels_RL = (labels_R[:, None] == np.unique(labels_R)).astype(np.float32)
    return jensen_shannon_of(first_BR @ labels_RL, second_BR @ labels_RL)


def jensen_shannon_of(first_BL: np.ndarray, second_BL: np.ndarray) -> np.ndarray:
    """Jensen-Shannon distances of pairs of counts by label."""
    first_BL, second_BL = _shares(first_BL), _shares(second_BL)
    middle_BL = (first_BL + second_BL) / 2

    def divergence(side_BL: np.ndarray) -> np.ndarray:
        ratio_BL = np.divide(side_BL, middle_BL, out=np.ones_like(side_BL), where=side_BL > 0)
        return (side_BL * np.log(ratio_BL)).sum(1)

    return np.sqrt(np.maximum((divergence(first_BL) + divergence(second_BL)) / 2, 0))


def _shares(weights_BX: np.ndarray) -> np.ndarray:
    shares_BX = weights_BX.astype(float)
    shares_BX /= np.maximum(shares_BX.sum(1, keepdims=True), 1)
    return shares_BX


def _chunks(total: int) -> Iterator[int]:
    for start in range(0, total, _CHUNK):
        yield min(_CHUNK, total - start)
