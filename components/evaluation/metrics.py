"""The numbers that describe a rung, with intervals. Pure: from scores to numbers; randomness comes from a seed."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.errors import DataError
from components.evaluation.clusters import INDEPENDENT, Design, design
from components.records import Example, Interval, Latency, Score


def wilson(successes: float, n: float, confidence: float = 0.95, design: Design = INDEPENDENT) -> Interval:
    """A proportion in [0, 1] with an interval (Wilson 1927, without continuity correction).

    For grouped examples, the interval uses their effective number (Korn and Graubard 1998).

    Raises:
        DataError: There are no examples.
    """
    if n < 1:
        raise DataError(f"expected at least one example for a proportion, found {n}")
    z = design.critical(confidence)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At 0 and n the bound equals the proportion; rounding must not put it on the wrong side.
    return Interval(value=share, low=max(0.0, min(share, centre - half)), high=min(1.0, max(share, centre + half)))


def accuracy(scores: Iterable[Score], groups: Sequence[str] | None = None) -> Interval:
    """The share of scores that passed; `groups` names each one's group."""
    return share_of([score.passed for score in scores], groups)


def share_of(outcomes: Iterable[bool], groups: Sequence[str] | None = None) -> Interval:
    """The share of true outcomes, with an interval that accounts for groups."""
    values = np.array(list(outcomes), dtype=float)
    return wilson(float(values.sum()), len(values), design=share_design(values, groups))


def share_design(outcomes: NDArray[Any], groups: Sequence[str] | None) -> Design:
    """The design of a share."""
    return design(outcomes, groups, (0.0, 1.0)) if len(outcomes) and groups is not None else INDEPENDENT


def effective(outcomes: Iterable[bool], groups: Sequence[str]) -> float | None:
    """The effective number of independent outcomes; None if each is its own group."""
    if len(set(groups)) == len(groups):
        return None
    values = np.array(list(outcomes), dtype=float)
    return len(values) / share_design(values, groups).effect


def field_accuracy(scores: Sequence[Score], fields: Iterable[str]) -> dict[str, float]:
    """The mean of each field that the scorer reports on, in [0, 1]; an answer that a gate stopped counts 0 in each."""
    return {
        field: float(np.mean([score.parts.get(field, 0.0) for score in scores]))
        for field in fields
        if any(field in score.parts for score in scores)
    }


def slice_accuracy(
    examples: Iterable[Example], scores: Mapping[str, Score], slices: Iterable[str]
) -> dict[str, dict[str, float]]:
    """Slice → its value → share passed; examples without the slice are left out."""
    passed: dict[str, dict[str, list[bool]]] = {name: defaultdict(list) for name in slices}
    for example in examples:
        for name in passed.keys() & example.slices.keys():
            passed[name][example.slices[name]].append(scores[example.id].passed)
    return {
        name: {value: sum(outcomes) / len(outcomes) for value, outcomes in sorted(values.items())}
        for name, values in passed.items()
    }


def slice_sizes(examples: Iterable[Example], slices: Iterable[str]) -> dict[str, dict[str, int]]:
    """Slice → its value → number of examples; examples without the slice are left out."""
    counts = {name: Counter[str]() for name in slices}
    for example in examples:
        for name in counts.keys() & example.slices.keys():
            counts[name][example.slices[name]] += 1
    return {name: dict(sorted(values.items())) for name, values in counts.items()}


def mcnemar_exact(fixed: int, broken: int) -> float:
    """The two-sided exact p-value of McNemar's test (1947): fixed ~ Binomial(fixed + broken, ½) if nothing changed."""
    from scipy.stats import binom

    return min(1.0, 2 * float(binom.cdf(min(fixed, broken), fixed + broken, 0.5)))


def latency_percentiles(latencies_ms: Iterable[float]) -> Latency:
    """The median and 95th percentile, linearly interpolated.

    Raises:
        DataError: There are no calls.
    """
    latencies = list(latencies_ms)
    if not latencies:
        raise DataError("expected the latency of at least one call, found none")
    p50, p95 = np.percentile(latencies, [50, 95])
    return Latency(p50=float(p50), p95=float(p95))


def zero_variance_share(rewards_P_G: NDArray[Any]) -> float:
    """The share of P prompts whose G rewards are all equal, so that their advantages teach nothing.

    Raises:
        DataError: The array is not P × G, or empty.
    """
    if rewards_P_G.ndim != 2 or not rewards_P_G.size:
        raise DataError(f"expected rewards of prompts × generations, found shape {rewards_P_G.shape}")
    return float(np.mean(rewards_P_G.max(axis=1) == rewards_P_G.min(axis=1)))
