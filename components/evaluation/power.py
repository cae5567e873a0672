"""How many examples a comparison takes: the chance to find a difference, and the least n that gives it. Pure."""

import math
from functools import lru_cache
from statistics import NormalDist


def mcnemar_power(n: int, discordant: float, delta: float, alpha: float) -> float:
    """The chance that n examples show a gain of `delta` by McNemar's exact two-sided test below `alpha`.

    `discordant` is the share of examples that change sides. Their number is Binomial(n, discordant), and of m such
    examples Binomial(m, (discordant + delta) / (2 discordant)) are fixed: the sum over m, without an approximation.
    """
    import numpy as np
    from scipy.stats import binom

    spread = 8 * math.sqrt(n * discordant)
    m = np.arange(max(0, math.floor(n * discordant - spread)), min(n, math.ceil(n * discordant + spread)) + 1)
    least = binom.isf(alpha / 2, m, 0.5) + 1  # fixed examples of m that suffice
    won = binom.sf(least - 1, m, min(1.0, (discordant + delta) / (2 * discordant)))
    return float(np.sum(binom.pmf(m, n, discordant) * won))


@lru_cache(maxsize=4096)
def mcnemar_examples(discordant: float, delta: float, alpha: float, power: float) -> int:
    """The number of examples with that power, to within half a percent; of the discordant share at least `delta`.

    Searched for around what the normal distribution says, which is somewhat too few for an exact test.
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
    """The examples in which a mean difference of `delta` is found two-sided below `alpha`, by the normal distribution.

    ((z(1 − alpha/2) + z(power)) · deviation / delta)²; `deviation` is that of one example's difference.
    """
    z = NormalDist().inv_cdf(1 - alpha / 2) + NormalDist().inv_cdf(power)
    return math.ceil((z * deviation / delta) ** 2)
