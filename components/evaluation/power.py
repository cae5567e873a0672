"""Sample sizes for comparisons: the chance to detect a difference, and the smallest sufficient n. Pure."""

import math
from functools import lru_cache
from statistics import NormalDist


def mcnemar_power(n: int, discordant: float, delta: float, alpha: float) -> float:
    """The chance that McNemar's exact two-sided test on n examples detects a gain of `delta` at `alpha`.

    `discordant` is the share of examples that change sides. Their number m is Binomial(n, discordant), and
    Binomial(m, (discordant + delta) / (2 discordant)) of them are fixed: computed exactly, as a sum over m.
    """
    import numpy as np
    from scipy.stats import binom

    spread = 8 * math.sqrt(n * discordant)
    m = np.arange(max(0, math.floor(n * discordant - spread)), min(n, math.ceil(n * discordant + spread)) + 1)
    least = binom.isf(alpha / 2, m, 0.5) + 1  # fixed examples, of m, that suffice
    won = binom.sf(least - 1, m, min(1.0, (discordant + delta) / (2 * discordant)))
    return float(np.sum(binom.pmf(m, n, discordant) * won))


@lru_cache(maxsize=4096)
def mcnemar_examples(discordant: float, delta: float, alpha: float, power: float) -> int:
    """The number of examples for that power, to within half a percent; `discordant` is raised to at least `delta`.

    The search starts at the normal approximation, which is slightly too small for an exact test.
    """
    share = max(discordant, delta)

    def enough(n: int) -> bool:
        return mcnemar_power(n, share, delta, alpha) >= power

    low = high = mean_examples(math.sqrt(share), delta, alpha, power)
    while not enough(high):
        low, high = high, math.ceil(1.1 * high) + 1
    while low > 1 and enough(low):
        low, high = math.floor(0.9 * low), low
    while high - low > max(1, high // 200):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def mean_examples(deviation: float, delta: float, alpha: float, power: float) -> int:
    """The number of examples to detect a mean difference of `delta`, two-sided at `alpha`, by normal approximation.

    ((z(1 − alpha/2) + z(power)) · deviation / delta)²; `deviation` is the standard deviation of an example's
    difference.
    """
    z = NormalDist().inv_cdf(1 - alpha / 2) + NormalDist().inv_cdf(power)
    return math.ceil((z * deviation / delta) ** 2)
