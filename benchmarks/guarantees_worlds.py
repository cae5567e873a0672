"""The simulated worlds of `guarantees`: answers in groups, and the cells on the coverage of intervals."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.advice.curve import learning
from components.advice.measure import headroom
from components.economics import Calls, MachinePrice, Setting, draw_up
from components.economics.account import DOMINATED
from components.economics.draws import share_of_dearest
from components.evaluation.agreement import kappa_interval, share
from components.evaluation.compare import compare_values
from components.evaluation.metrics import share_of
from components.evaluation.paired import mean_of
from components.params import EconomicsParams, Traffic
from components.records import Interval

Count = Callable[[np.random.Generator, int], int]
MANY, FEW = "0.93 to 0.97", "at least 0.9"


@dataclass(frozen=True)
class Kind:
    """The sizes of groups: constant, or geometric from 1 with this mean."""

    size: int
    unequal: bool = False

    def __str__(self) -> str:
        return "independent" if self.size == 1 else f"groups of {'1 to many, mean ' * self.unequal}{self.size}"

    def sizes(self, rng: np.random.Generator, groups: int) -> NDArray[Any]:
        """The sizes of so many groups."""
        return rng.geometric(1 / self.size, groups) if self.unequal else np.full(groups, self.size)


@dataclass(frozen=True)
class Grouped:
    """Examples in groups that are right or wrong together; a fifth of the groups are hard.

    `slices` are 20 of five per cent each, of whole groups. 12 % of the groups change sides between equal contenders.
    """

    rng: np.random.Generator
    groups: NDArray[Any]
    chance: NDArray[Any]
    slices: NDArray[Any]

    @classmethod
    def drawn(cls, rng: np.random.Generator, n: int, kind: Kind) -> "Grouped":
        """N examples, with the last group cut to fit."""
        sizes = kind.sizes(rng, n)
        groups = np.repeat(np.arange(n), sizes)[:n]
        k = int(groups[-1]) + 1
        return cls(rng, groups, np.where(rng.random(k) < 0.2, 0.55, 0.99), rng.integers(0, 20, k)[groups])

    @property
    def n(self) -> int:
        """The number of examples."""
        return len(self.groups)

    def answers(self, undecided: float, gain: float = 0.0) -> tuple[NDArray[Any], NDArray[Any]]:
        """Whether each is right, with the chance raised by `gain`, and whether the scorer leaves it undecided.

        Wrong answers are left undecided four times as often as right ones.
        """
        k = len(self.chance)
        base = self.rng.random(k) < self.chance
        mended = self.rng.random(k) < max(gain, 0.0) / (1 - self.chance.mean())
        spoiled = self.rng.random(k) < max(-gain, 0.0) / self.chance.mean()
        right = ((base | mended) & ~spoiled)[self.groups]
        often = undecided / (0.9 + 0.4)
        return right, self.rng.random(self.n) < np.where(right, often, 4 * often)

    def joined(self, more: "Grouped") -> "Grouped":
        """Both, with the other's groups after its own."""
        groups = np.concatenate([self.groups, more.groups + len(self.chance)])
        return Grouped(self.rng, groups, np.concatenate([self.chance, more.chance]),
                       np.concatenate([self.slices, more.slices]))  # fmt: skip


def coverage_cells() -> Iterator[tuple[str, str, str, Count]]:
    """The coverage of each reported 95 % interval for correlated groups."""
    figures = {
        "accuracy": _share, "difference of accuracies": _difference, "mean score": _score, "pass@1": _pass_1,
        "pass@8": _pass_8, "certificate's error rate": _error_rate, "kappa": _kappa,
    }  # fmt: skip
    unequal = Kind(4, unequal=True)
    worlds = [(125, Kind(2)), (125, Kind(4)), (125, Kind(8)), (125, unequal), (30, Kind(4)), (10, Kind(4))]
    for name, covers in figures.items():
        for k, kind in worlds:
            yield f"interval holds: {name}", f"{k} {kind}", MANY if k >= 30 else FEW, _times(covers, k, kind)
    seldom = "0.5 % failures, else alike, n = 200"
    yield "interval holds: mean score", seldom, "at least 0.93", _times(_failures, 200, Kind(1))


def _times(covers: Callable[..., bool], k: int, kind: Kind) -> Count:
    def count(rng: np.random.Generator, times: int) -> int:
        return sum(covers(rng, np.repeat(np.arange(k), kind.sizes(rng, k))) for _ in range(times))

    return count


def _holds(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def _share(rng: np.random.Generator, groups: NDArray[Any]) -> bool:
    truth = rng.uniform(0.6, 0.95)
    right = rng.random(groups.max() + 1) < truth
    return _holds(share([(f"{group}", bool(right[group])) for group in groups]), truth)


def _error_rate(rng: np.random.Generator, groups: NDArray[Any]) -> bool:
    """Errors that are persistent per example in half of the groups, and independent in the others."""
    truth = rng.uniform(0.05, 0.3)
    sticks, of_group = rng.random(groups.max() + 1) < 0.5, rng.random(groups.max() + 1) < truth
    errs = np.where(sticks[groups], of_group[groups], rng.random(len(groups)) < truth)
    return _holds(share([(f"{group}", bool(error)) for group, error in zip(groups, errs, strict=True)]), truth)


def _difference(rng: np.random.Generator, groups: NDArray[Any]) -> bool:
    moved, up = rng.uniform(0.08, 0.3), rng.uniform(0.3, 0.7)
    changed = rng.random(groups.max() + 1) < moved
    change = np.where(changed, np.where(rng.random(len(changed)) < up, 1.0, -1.0), 0.0)[groups]
    interval = compare_values(np.zeros(len(change)), change, 0, "accuracy", groups)
    return interval.low <= moved * (2 * up - 1) <= interval.high


def _score(rng: np.random.Generator, groups: NDArray[Any]) -> bool:
    a, b = rng.uniform(2, 8), rng.uniform(1, 4)
    return _holds(mean_of(rng.beta(a, b, groups.max() + 1)[groups], groups, (0.0, 1.0)), a / (a + b))


def _failures(rng: np.random.Generator, groups: NDArray[Any]) -> bool:
    scores = np.where(rng.random(len(groups)) < 0.005, 0.0, 0.9)
    return _holds(mean_of(scores, None, (0.0, 1.0)), 0.9 * 0.995)


def _tries(rng: np.random.Generator, groups: NDArray[Any]) -> tuple[NDArray[Any], float, float]:
    """Eight tries at prompts that share their group's chance, and the true pass@1 and pass@8."""
    a, b = rng.uniform(0.5, 2), rng.uniform(0.5, 2)
    chance = rng.beta(a, b, groups.max() + 1)[groups]
    missed = float(np.prod([(b + i) / (a + b + i) for i in range(8)]))
    return rng.random((len(groups), 8)) < chance[:, None], a / (a + b), 1 - missed


def _pass_1(rng: np.random.Generator, groups: NDArray[Any]) -> bool:
    passed, ones, _ = _tries(rng, groups)
    nothing = Interval(value=0.0, low=0.0, high=0.0)
    return _holds(headroom(passed, nothing, [f"{group}" for group in groups]).pass_1, ones)


def _pass_8(rng: np.random.Generator, groups: NDArray[Any]) -> bool:
    """As `headroom` computes it, without pass@1, which takes most of its time."""
    passed, _, eight = _tries(rng, groups)
    return _holds(share_of(np.asarray(passed.any(axis=1)).tolist(), [f"{group}" for group in groups]), eight)


def _kappa(rng: np.random.Generator, groups: NDArray[Any]) -> bool:
    """Half of the answers are right; the scorer errs on whole groups."""
    k = groups.max() + 1
    right, wrong = rng.random(k) < 0.5, rng.uniform(0.05, 0.25)
    errs = rng.random(k) < wrong
    interval = kappa_interval([f"{group}" for group in groups], right[groups].tolist(), (right ^ errs)[groups].tolist())
    return _holds(interval, 1 - 2 * wrong)


def money_cells() -> Iterator[tuple[str, str, str, Count]]:
    """Dollars per API call, and the warning if a few calls make up the cost."""
    name = "interval holds: dollars a call"
    yield name, "lognormal, sigma 0.8, n = 500", MANY, _money(500, 0.8, Kind(1))
    yield name, "lognormal, sigma 0.8, 125 groups of 4", MANY, _money(125, 0.8, Kind(4))
    yield name, "lognormal, sigma 0.8, 10 groups of 4", FEW, _money(10, 0.8, Kind(4))
    yield name, "lognormal, sigma 2, n = 500", MANY, _money(500, 2.0, Kind(1))
    yield name, "1 % of calls 50 times as long, n = 500", MANY, _money(500, -50.0, Kind(1))
    warned = "a warning is printed where a few calls make up the cost"
    yield warned, "lognormal, sigma 2, n = 500", "at least 0.95", _money(500, 2.0, Kind(1), warned=True)
    yield warned, "1 % of calls 50 times as long, n = 500", "at least 0.95", _money(500, -50.0, Kind(1), warned=True)


def _money(k: int, spread: float, kind: Kind, *, warned: bool = False) -> Count:
    """Lognormal calls with a spread; if negative, one call in a hundred is so many times as long."""
    machine = MachinePrice(
        description="simulated", usd_per_hour=2.0, utilisation=0.5, source="simulated", date=date(2026, 1, 1)
    )

    def count(rng: np.random.Generator, times: int) -> int:
        hits = 0
        for seed in range(times):
            groups = np.repeat(np.arange(k), kind.sizes(rng, k))
            if spread > 0:
                usd, truth = np.exp(rng.normal(0, spread, k))[groups], float(np.exp(spread**2 / 2))
            else:
                usd = (rng.uniform(0.5, 1.5, k) * np.where(rng.random(k) < 0.01, -spread, 1.0))[groups]
                truth = 0.99 - 0.01 * spread
            if warned:
                hits += share_of_dearest(usd) > DOMINATED
                continue
            calls = [Calls("api", usd, np.ones(len(usd)), owned=False)]
            setting = Setting(Traffic(calls_per_year=1000), EconomicsParams(), machine, date(2026, 1, 1), seed,
                              [f"{group}" for group in groups])  # fmt: skip
            account = draw_up(calls, "api", setting)
            hits += _holds(account.rungs[0].usd_per_1k_calls, 1000 * truth)
        return hits

    return count


def curve_cells() -> Iterator[tuple[str, str, str, Count]]:
    """SFT's expected accuracy at 8,000 demonstrations, from trials of 500, 1,000 and 2,000 on 500 dev examples."""
    for shape in ("power law", "plateau", "falls", "turns down"):
        yield "interval holds: SFT's expected accuracy", shape, "at least 0.93", _curve(shape)


def _curve(shape: str) -> Count:
    def count(rng: np.random.Generator, times: int) -> int:
        hits = 0
        for seed in range(times):
            truth = _shaped(shape, rng)
            passes = {size: (rng.random(500) < truth(size)).tolist() for size in (500, 1000, 2000)}
            hits += _holds(learning(passes, 8000, seed).full, truth(8000))
        return hits

    return count


def _shaped(shape: str, rng: np.random.Generator) -> Callable[[int], float]:
    """A true curve: accuracy by number of demonstrations."""
    top, slope = rng.uniform(0.6, 0.9), rng.uniform(0.0, 0.03)
    a, b, floor = rng.uniform(2, 6), rng.uniform(0.2, 0.6), rng.uniform(0, 0.15)
    return {
        "power law": lambda n: 1 - min(1.0, floor + a * n**-b),
        "plateau": lambda n: top - (0.1 if n < 1000 else 0.0),
        "falls": lambda n: top - slope * np.log2(n / 500),
        "turns down": lambda n: top - (0.05 if n < 1000 else 0.0) - slope * max(0.0, np.log2(n / 1000)),
    }[shape]
