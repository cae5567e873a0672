"""How far chance goes: limits for each column's distance, from resamples of the reference.

The distances are Evidently's (normed Wasserstein for numbers, Jensen-Shannon for labels), computed for thousands of
resamples at once. Limits hold for all columns together: the largest studentised distance of any column stays below
its quantile (single-step maxT, Westfall and Young 1993), whatever the columns have to do with each other.
"""

from collections.abc import Callable, Iterator

import numpy as np

from monitoring.columns import Table

Distance = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
_CHUNK = 250  # resamples at once: memory


def limits(table: Table, false_alarms: float, resamples: int, seed: int) -> dict[str, float]:
    """The distance of each column that a window without drift passes, in any column, with this probability.

    The noise of either side is in the distance. A resample draws both sides' rows from the reference for numbers, so
    that columns that go together do so here; for labels the current side, by shares that the reference leaves possible.
    """
    if not table.columns:
        return {}
    rng = np.random.default_rng(seed)
    found = {name: np.concatenate(parts) for name, parts in _drawn(table, resamples, rng).items()}
    means = {name: float(values.mean()) for name, values in found.items()}
    spreads = {name: max(float(values.std()), 1e-9) for name, values in found.items()}
    largest = np.max([(values - means[name]) / spreads[name] for name, values in found.items()], axis=0)
    allowed = float(np.quantile(largest, 1 - false_alarms, method="higher"))
    return {name: means[name] + allowed * spreads[name] for name in found}


def _drawn(table: Table, resamples: int, rng: np.random.Generator) -> dict[str, list[np.ndarray]]:
    """Distances of resampled pairs, the rows drawn together for all columns."""
    rows, sizes = len(table.reference), (len(table.reference), len(table.current))
    found: dict[str, list[np.ndarray]] = {name: [] for name in table.columns}
    for number in _chunks(resamples):
        first_BR, second_BR = (
            rng.multinomial(size, np.full(rows, 1 / rows), number).astype(np.float32) for size in sizes
        )
        for name in table.numbers:
            now_BR = _thinned(second_BR, float(table.current[name].notna().mean()), rng)
            found[name].append(wasserstein(table.reference[name].to_numpy(float), first_BR, now_BR))
        for name in table.labels:
            first, second = _known(table, name)
            counts_L = _counts(first, second)
            second_BL = rng.multinomial(len(second), rng.dirichlet(_possible(counts_L), number))
            found[name].append(jensen_shannon_of(np.tile(counts_L, (number, 1)), second_BL))
    return found


def _thinned(weights_BR: np.ndarray, known: float, rng: np.random.Generator) -> np.ndarray:
    """As many rows of each resample as have a value on the other side: of scores often a small share."""
    return weights_BR if known == 1 else rng.binomial(weights_BR.astype(np.int64), known).astype(np.float32)


def measured(table: Table) -> dict[str, float]:
    """The distance of every column, as `drift` has it from Evidently, without its page."""
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
    """How often the reference has each label of either side."""
    return (reference_R[:, None] == np.union1d(reference_R, current_R)).sum(0)


def _possible(counts_L: np.ndarray) -> np.ndarray:
    """The parameters of the Dirichlet distribution of shares that leaves such counts: half a row more (Jeffreys).

    A label that the reference never had is rare, not impossible, and how rare is not known: with a whole row more it
    comes by chance as often as Fisher's exact test says.
    """
    return np.where(counts_L == 0, 1.0, counts_L + 0.5)


def wasserstein(values_R: np.ndarray, first_BR: np.ndarray, second_BR: np.ndarray) -> np.ndarray:
    """Normed Wasserstein distances of weighted samples of the same values, missing ones left out.

    The weights are [pairs, rows]; the norm is the standard deviation of the first side.
    """
    known = ~np.isnan(values_R)
    order = np.argsort(values_R[known], kind="stable")
    sorted_R = values_R[known][order]
    first_BR, second_BR = _shares(first_BR[:, known][:, order]), _shares(second_BR[:, known][:, order])
    apart_BR = np.abs(np.cumsum(first_BR - second_BR, axis=1))[:, :-1]
    mean_B = first_BR @ sorted_R
    spread_B = np.sqrt(np.maximum(first_BR @ sorted_R**2 - mean_B**2, 0))
    return apart_BR @ np.diff(sorted_R) / np.maximum(spread_B, 0.001)


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
    weights_BX = weights_BX.astype(float)
    return weights_BX / np.maximum(weights_BX.sum(1, keepdims=True), 1)


def _chunks(total: int) -> Iterator[int]:
    for start in range(0, total, _CHUNK):
        yield min(_CHUNK, total - start)
