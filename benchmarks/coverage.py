"""How often each of a report's 95 % intervals contains the truth; a section of `verdicts`.

Shares and pass@k (Wilson), differences (Tango), mean scores and pass@1 (Student), and the costs in an account
(bootstrap over calls, a machine's throughput by its spread), compared with intervals that were tried and not used.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom
from tqdm import tqdm

from components.advice.measure import headroom
from components.economics import (
    Account,
    Calls,
    Case,
    MachinePrice,
    Setting,
    calls_in_year,
    draw_up,
    net_usd,
    payback_years,
)
from components.evaluation.metrics import wilson
from components.evaluation.paired import mean_of, tango
from components.params import EconomicsParams, Traffic
from components.records import Interval


def covered(rng: np.random.Generator, most: int, times: int) -> dict[str, Any]:
    """Coverage over truths drawn from the range of real rungs, with at most `most` examples."""
    rows: dict[str, Any] = {}
    for n in (200, 500, most):
        rows[f"accuracy, Wilson, n = {n}"] = covered_shares(rng, n, (0.5, 0.99), times)
        rows[f"validity, Wilson, n = {n}"] = covered_shares(rng, n, (0.95, 0.9999), times)
    for n in (50, 100, 200, 500, most):
        rows[f"difference, Tango, n = {n}"] = covered_differences(rng, n, times, tango_ends)
    for n in (50, 100, most):
        rows[f"difference of mean scores, Student, n = {n}"] = covered_means(rng, n, times, student_ends)
    some = max(1, times // 20)
    for n in (50, 100):
        rows[f"difference, percentile bootstrap (not used), n = {n}"] = covered_differences(
            rng, n, some, bootstrap_ends
        )
        rows[f"difference of mean scores, percentile bootstrap (not used), n = {n}"] = covered_means(
            rng, n, some, bootstrap_of_means
        )
    rows |= covered_headroom(rng, 200, 8, max(1, times // 10))
    return rows | covered_money(rng, most, some)


def covered_shares(rng: np.random.Generator, n: int, truths: tuple[float, float], times: int) -> dict[str, Any]:
    """Wilson's interval over drawn truths and, exactly, at the worst truth, compared with the mid-P interval."""
    ends = np.array([(interval.low, interval.high) for interval in (wilson(k, n) for k in range(n + 1))]).T
    truth, counts = rng.uniform(*truths, times), np.arange(n + 1)
    drawn = rng.binomial(n, truth)
    covered = np.mean((ends[0][drawn] <= truth) & (truth <= ends[1][drawn]))

    def worst(ends: NDArray[Any]) -> float:
        at = np.linspace(*truths, 300)[:, None]
        return float((binom.pmf(counts, n, at) * ((ends[0] <= at) & (at <= ends[1]))).sum(axis=1).min())

    return {
        "covered": round(float(covered), 4), "n": times,
        "worst_truth": round(worst(ends), 4), "worst_truth_of_mid_p (not used)": round(worst(mid_p(n)), 4),
    }  # fmt: skip


def mid_p(n: int) -> NDArray[Any]:
    """Ends (2, n + 1) of the mid-P interval for every count (Lancaster 1961), by bisection."""
    counts = np.arange(n + 1)

    def upper(least: NDArray[Any]) -> NDArray[Any]:
        low, high = np.zeros(n + 1), np.ones(n + 1)
        for _ in range(50):
            middle = (low + high) / 2
            below = binom.cdf(least - 1, n, middle) + binom.pmf(least, n, middle) / 2 > 0.025
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.where(least == n, 1.0, high)

    return np.stack([1 - upper(n - counts), upper(counts)])


def covered_differences(
    rng: np.random.Generator, n: int, times: int, ends: Callable[[int, int, int], tuple[float, float]]
) -> dict[str, Any]:
    """An interval for a difference: discordance from 3 to 30 %, gains from none to all of it."""
    covered = 0
    for _ in tqdm(range(times), f"coverage, {n}", leave=False):
        discordant, tilt = rng.uniform(0.03, 0.3), rng.uniform(0.1, 0.9)
        fixed, broken, _ = rng.multinomial(n, [discordant * tilt, discordant * (1 - tilt), 1 - discordant])
        low, high = ends(int(fixed), int(broken), n)
        covered += low <= discordant * (2 * tilt - 1) <= high
    return {"covered": round(covered / times, 4), "n": times}


def covered_means(
    rng: np.random.Generator, n: int, times: int, ends: Callable[[NDArray[Any]], tuple[float, float]]
) -> dict[str, Any]:
    """An interval for the mean of graded differences: two thirds are 0, the others are on both sides."""
    covered = 0
    for _ in tqdm(range(times), f"coverage of means, {n}", leave=False):
        gain = rng.uniform(-0.1, 0.1)
        low, high = ends(np.where(rng.random(n) < 1 / 3, np.clip(rng.normal(gain, 0.2, n), -1, 1), 0.0).round(2))
        covered += low <= gain / 3 <= high
    return {"covered": round(covered / times, 4), "n": times}


def student_ends(change: NDArray[Any]) -> tuple[float, float]:
    """The ends of the interval that is used for mean scores."""
    interval = mean_of(change)
    return interval.low, interval.high


def bootstrap_of_means(change: NDArray[Any]) -> tuple[float, float]:
    """The ends of the rejected percentile bootstrap (Efron 1979), drawn as counts of each distinct difference."""
    kinds, counts = np.unique(change, return_counts=True)
    n = len(change)
    means = np.random.default_rng(0).multinomial(n, counts / n, size=2000) @ kinds / n
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def tango_ends(fixed: int, broken: int, n: int) -> tuple[float, float]:
    """The ends of the interval that is used."""
    interval = tango(fixed, broken, n)
    return interval.low, interval.high


def bootstrap_ends(fixed: int, broken: int, n: int) -> tuple[float, float]:
    """The ends of the rejected one, for right and wrong answers."""
    return bootstrap_of_means(np.repeat([1.0, -1.0, 0.0], [fixed, broken, n - fixed - broken]))


def covered_headroom(rng: np.random.Generator, prompts: int, k: int, times: int) -> dict[str, Any]:
    """pass@1 and pass@k of a rung that always solves many prompts, never some, and the others sometimes."""
    counts: Counter[str] = Counter()
    for _ in tqdm(range(times), "coverage of pass@k", leave=False):
        shares, a, b = rng.dirichlet((8, 1, 3)), *rng.uniform(0.3, 3.0, size=2)
        kinds = rng.choice(3, size=prompts, p=shares)
        chance = np.where(kinds == 0, 1.0, np.where(kinds == 1, 0.0, rng.beta(a, b, size=prompts)))
        estimate = headroom(rng.random((prompts, k)) < chance[:, None], Interval(value=0.0, low=0.0, high=0.0))
        missed = np.prod([(b + i) / (a + b + i) for i in range(k)])  # E[(1 − p)^k] of the beta distribution
        counts["1"] += estimate.pass_1.low <= shares[0] + shares[2] * a / (a + b) <= estimate.pass_1.high
        counts[str(k)] += estimate.pass_k.low <= shares[0] + shares[2] * (1 - missed) <= estimate.pass_k.high
    return {
        f"pass@{name}, {prompts} prompts": {"covered": round(counts[name] / times, 4), "n": times}
        for name in ("1", str(k))
    }


def covered_money(rng: np.random.Generator, n: int, times: int) -> dict[str, Any]:
    """An account's figures: n calls to an API paid by tokens, and to a model on a machine with known spread."""
    economics = EconomicsParams(usd_per_error=0.02, usd_setup=4000.0, throughput_spread=0.1)
    machine = MachinePrice(
        description="simulated", usd_per_hour=2.0, utilisation=0.5, source="simulated", date=date(2026, 1, 1)
    )
    setting = Setting(Traffic(calls_per_year=2_000_000, growth_per_year=0.2), economics, machine, date(2026, 1, 1), 1)
    counts: Counter[str] = Counter()
    for _ in tqdm(range(times), "coverage of money", leave=False):
        world = Money.drawn(rng)
        account = draw_up(world.calls(rng, n, economics.throughput_spread), "api", setting)
        counts.update(name for name, inside in world.inside(account, setting).items() if inside)
    return {f"{name}, n = {n}": {"covered": round(counts[name] / times, 4), "n": times} for name in Money.FIGURES}


@dataclass(frozen=True)
class Money:
    """The truth about an API and an owned model: dollars per call, and shares right."""

    FIGURES: ClassVar = (
        "dollars a call, API", "dollars a call, own", "dollars a right call, API", "dollars a right call, own",
        "dollars of the second year, own", "years to payback", "dollars at the horizon",
    )  # fmt: skip
    api_usd: float
    api_spread: float
    own_usd: float
    api_right: float
    own_right: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Money":
        """Draw from the range of triage-like workloads."""
        return cls(
            api_usd=float(np.exp(rng.uniform(np.log(2e-4), np.log(4e-3)))), api_spread=float(rng.uniform(0.1, 0.8)),
            own_usd=float(np.exp(rng.uniform(np.log(2e-6), np.log(2e-4)))),
            api_right=float(rng.uniform(0.7, 0.97)), own_right=float(rng.uniform(0.8, 0.99)),
        )  # fmt: skip

    def calls(self, rng: np.random.Generator, n: int, spread: float) -> list[Calls]:
        """N measured calls of both."""
        api = self.api_usd * np.exp(rng.normal(-(self.api_spread**2) / 2, self.api_spread, size=n))
        own = np.full(n, self.own_usd * np.exp(rng.normal(0.0, spread)))
        hard = rng.random(n)  # the same examples are difficult for both
        right = [np.where(rng.random(n) < 0.5, hard, rng.random(n)) < share for share in self._shares]
        return [
            Calls("api", api, right[0].astype(float), owned=False),
            Calls("own", own, right[1].astype(float), owned=True, spent_usd={"set-up": 4000.0}),
        ]

    @property
    def _shares(self) -> tuple[float, float]:
        return self.api_right, self.own_right

    def inside(self, account: Account, setting: Setting) -> dict[str, bool]:
        """Which of the account's intervals contain the truth."""
        api, own = account.rungs
        case = Case(
            incumbent_usd=self.api_usd, owned_usd=self.own_usd, calls_per_year=float(setting.traffic.calls_per_year),
            investment_usd=4000.0, growth_per_year=setting.traffic.growth_per_year,
            usd_per_error=setting.economics.usd_per_error, incumbent_error=1 - self.api_right,
            owned_error=1 - self.own_right,
        )  # fmt: skip
        second = float(calls_in_year(case, 2)) * self.own_usd
        payback, years = own.payback, float(payback_years(case))
        assert payback and api.usd_per_1k_correct and own.usd_per_1k_correct
        low, high = (np.inf if end is None else end for end in (payback.low, payback.high))
        net = float(net_usd(case, setting.economics.horizon_years))
        return dict(zip(self.FIGURES, (
            _holds(api.usd_per_1k_calls, 1000 * self.api_usd), _holds(own.usd_per_1k_calls, 1000 * self.own_usd),
            _holds(api.usd_per_1k_correct, 1000 * self.api_usd / self.api_right),
            _holds(own.usd_per_1k_correct, 1000 * self.own_usd / self.own_right),
            _holds(own.usd_per_year[2], second), bool(low <= years <= high), _holds(payback.net_usd, net),
        ), strict=True))  # fmt: skip


def _holds(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high
