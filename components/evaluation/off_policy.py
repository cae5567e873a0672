"""Off-policy evaluation: what another policy than the one that was logged would score, from logs alone.

Self-normalised importance sampling with clipped weights (Swaminathan and Joachims, NeurIPS 2015; Ionides, JCGS 2008):
each logged answer counts as much as the other policy is likelier to give it. Pure: numbers in, numbers out. Decides
when logs are inconclusive: too few answers count, or too much of the weight had to be clipped.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.errors import DataError
from components.records import Interval, Record


class OffPolicy(Record):
    """A policy's mean score by logs of another, in [0, 1], with its 95 % interval.

    `effective` is how many answers drawn from the policy itself would say as much (Kish's effective sample size);
    `clipped` is the share of all weight that clipping took off, which is what the estimate may be biased by. `silent`
    says why logs cannot tell; empty where they can.
    """

    value: Interval
    n: int
    effective: float
    clipped: float
    silent: str = ""


@dataclass(frozen=True)
class Limits:
    """Where weights are clipped, and what logs must have to tell.

    Their effective size must be at least `least_answers` and `least_effective` of all; no more than `most_clipped` of
    the weight may be clipped.
    """

    clip: float = 50.0
    least_effective: float = 0.05
    least_answers: int = 30
    most_clipped: float = 0.05


def effective_size(weights: Sequence[float] | NDArray[np.float64]) -> float:
    """Kish's effective sample size of weights that are at least 0: n where all are equal, 1 where one has all."""
    weight_N = np.asarray(weights, dtype=float)
    squares = float((weight_N**2).sum())
    return float(weight_N.sum()) ** 2 / squares if squares else 0.0


def off_policy(scores: Sequence[float], log_ratios: Sequence[float], limits: Limits = Limits()) -> OffPolicy:
    """A policy's mean score, from logged scores in [0, 1] and log(policy / logged) of each answer's probability.

    Raises:
        DataError: There are fewer than two answers, or a number is not finite.
    """
    reward_N, ratio_N = np.asarray(scores, dtype=float), np.asarray(log_ratios, dtype=float)
    if len(reward_N) < 2 or len(reward_N) != len(ratio_N):
        raise DataError(f"expected at least two scores, each with a ratio, found {len(reward_N)} and {len(ratio_N)}")
    if not (np.isfinite(reward_N).all() and np.isfinite(ratio_N).all()):
        raise DataError("expected finite scores and probabilities, found some that are not")
    clipped_N = np.minimum(ratio_N, math.log(limits.clip))
    # The largest weight after clipping is the unit: beside the largest before it, all could round to 0.
    weight_N = np.exp(clipped_N - clipped_N.max())
    left = math.exp(float(np.logaddexp.reduce(clipped_N) - np.logaddexp.reduce(ratio_N)))
    effective, clipped = effective_size(weight_N), 1.0 - left
    estimate = OffPolicy(value=_interval(reward_N, weight_N, effective), n=len(reward_N), effective=effective,
                      clipped=clipped)  # fmt: skip
    return estimate.model_copy(update={"silent": _silent(estimate, limits)})


def _interval(reward_N: NDArray[np.float64], weight_N: NDArray[np.float64], effective: float) -> Interval:
    """The weighted mean with the interval of its linearisation, Student's with as many answers as count.

    Its variance counts two answers of the usual weight in, one scored 1 and one 0 (Agresti and Caffo 2000): without
    them it would be nothing where failures are so rare that none was logged.
    """
    from scipy.stats import t

    value = float(weight_N @ reward_N) / float(weight_N.sum())
    usual = float((weight_N**2).sum() / weight_N.sum())
    counted, reward = np.append(weight_N, [usual, usual]), np.append(reward_N, [1.0, 0.0])
    share = counted / counted.sum()
    # Each answer's own pull on the mean is taken out of its residual (HC3), which a few large weights would hide.
    residual = (reward - float(share @ reward)) / np.maximum(1.0 - share, 1e-9)
    deviation = math.sqrt(float((share**2) @ residual**2))
    half = float(t.ppf(0.975, max(1.0, effective - 1.0))) * deviation
    return Interval(value=value, low=max(0.0, value - half), high=min(1.0, value + half))


def _silent(estimate: OffPolicy, limits: Limits) -> str:
    needed = max(limits.least_answers, math.ceil(limits.least_effective * estimate.n))
    if estimate.effective < needed:
        return (
            f"{estimate.n:,} logged answers say as much as {estimate.effective:,.0f} of its own, where {needed:,} are "
            "needed: it answers differently from what was logged"
        )
    if estimate.clipped > limits.most_clipped:
        return f"{estimate.clipped:.0%} of the weight had to be clipped, where {limits.most_clipped:.0%} are allowed"
    return ""
