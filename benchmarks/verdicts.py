"""Whether the gate's verdicts are reliable: simulated challengers of known quality, judged by the product.

Answers are simulated, right or wrong with known chances on examples of varying difficulty; they are counted, tested and
judged by the code in `components/evaluation` with the settings of params/pipeline.yaml. Sections: promotions of equal
challengers, singly, ten in succession on a sealed split, and in whole climbs; challengers that are better by the
margin, at the sample size that the gate requests; the benefit and the cost of the slice veto; and the coverage of each
interval in a report.

    python -m benchmarks.verdicts            # all of it with its seed, some minutes on one core
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.coverage import covered
from benchmarks.ladder import machine
from components.evaluation import (
    NO_CHAMPION,
    Layout,
    Level,
    against,
    alpha_of_look,
    holm_climb,
    judge,
)
from components.evaluation.metrics import mcnemar_exact, wilson
from components.params import GateParams, Pipeline, load
from components.records import GateNumbers, Verdict
from components.stages.run import git_commit

ROOT = Path(__file__).resolve().parents[1]
Members = dict[str, NDArray[Any]]  # slice → indices of its examples
# Share of hard examples and the chances to be right on easy and hard ones: 4, 12 and 22 % of examples change sides
# between two contenders of equal quality.
WORLDS = {"few": (0.05, 0.99, 0.6), "some": (0.2, 0.99, 0.55), "many": (0.4, 0.98, 0.6)}
# The shares of a slice's values; the second value of `region` is the one of 15 %.
SLICED = {"region": (0.4, 0.15, 0.25, 0.2), "channel": (0.5, 0.3, 0.2), "kind": (0.05,) * 20}


def main() -> None:
    """Run all sections, print and write the record."""
    options = parse()
    params = load(ROOT / "params/pipeline.yaml", Pipeline).gate
    earlier: dict[str, Any] = json.loads(options.out.read_text(encoding="utf-8")) if options.only else {}
    record: dict[str, Any] = {
        "command": "python -m benchmarks.verdicts", "arguments": sys.argv[1:], "machine": machine(),
        "seed": options.seed, "simulated": True,
        "settings": params.model_dump(), "worlds": WORLDS, "slices": SLICED, "sections": earlier.get("sections", {}),
    }  # fmt: skip
    for name, section in Bench(params, options).sections().items():
        if options.only and name not in options.only:
            continue
        started = time.monotonic()
        record["sections"][name] = {
            **section(), "seconds": round(time.monotonic() - started, 1), "date": date.today().isoformat(),
            "git_commit": git_commit(),
        }  # fmt: skip
        print(f"{name}: {json.dumps(record['sections'][name])}", flush=True)
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"Written: {options.out}")


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--challengers", type=int, default=2000, help="equal ones; of the others a quarter to a tenth")
    parser.add_argument("--examples", type=int, default=1000, help="of a sealed split")
    parser.add_argument("--seed", type=int, default=540657370)
    parser.add_argument("--only", nargs="+", default=[], help="sections; the others stay as --out has them")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "verdicts.json")
    return parser.parse_args()


class World:
    """Examples of varying difficulty, and contenders with known chances to answer them."""

    def __init__(self, rng: np.random.Generator, n: int, kind: str) -> None:
        hard, easy_chance, hard_chance = WORLDS[kind]
        self.rng, self.n = rng, n
        self.chance = np.where(rng.random(n) < hard, hard_chance, easy_chance)
        self.labels = {name: rng.choice(len(shares), n, p=np.array(shares) / sum(shares))
                       for name, shares in SLICED.items()}  # fmt: skip

    @property
    def members(self) -> dict[str, NDArray[Any]]:
        """Slice → indices of its examples."""
        return {f"{name}={value}": np.flatnonzero(values == value)
                for name, values in self.labels.items() for value in np.unique(values)}  # fmt: skip

    def right(self, gain: NDArray[Any] | float = 0.0) -> NDArray[Any]:
        """Whether a contender answers each example right, with a mean chance higher by `gain`.

        A gain mends wrong answers and a loss spoils right ones, in the share that gives exactly this difference.
        """
        base, draws = self.rng.random(self.n) < self.chance, self.rng.random(self.n)
        change = np.broadcast_to(gain, base.shape)
        mended = ~base & (draws < np.maximum(change, 0) / (1 - self.chance.mean()))
        spoiled = base & (draws < np.maximum(-change, 0) / self.chance.mean())
        return (base | mended) & ~spoiled


class Bench:
    """All sections; each has its own generator, so that they can be run separately."""

    def __init__(self, params: GateParams, options: argparse.Namespace) -> None:
        self.params, self.n, self.times, self.seed = params, options.examples, options.challengers, options.seed

    def sections(self) -> dict[str, Callable[[], dict[str, Any]]]:
        """Name → measurement."""
        return {
            "equal_challengers": self.equal, "ten_looks": self.ten_looks, "ten_climbs": self.ten_climbs,
            "better_by_the_margin": self.better, "not_worse": self.not_worse, "slices": self.slices,
            "coverage": self.coverage,
        }  # fmt: skip

    def rng(self, section: int) -> np.random.Generator:
        """The generator of a section."""
        return np.random.default_rng([self.seed, section])

    def verdict(self, world: World, challenger: NDArray[Any], champion: NDArray[Any], **how: Any) -> Verdict:
        """The gate's verdict at a look, with or without slices."""
        params, look = how.get("params", self.params), how.get("look", 1)
        numbers = self.numbers(params, challenger, champion, world.members if how.get("sliced") else {})
        return judge(params, ("challenger", "champion"), numbers, Level(look, alpha_of_look(params, look)))

    def numbers(
        self, params: GateParams, challenger: NDArray[Any], champion: NDArray[Any] | None, members: Members
    ) -> GateNumbers:
        """The gate's numbers; all answers are valid."""
        alone = GateNumbers(n=len(challenger), validity=1.0, level=wilson(int(challenger.sum()), len(challenger)))
        if champion is None:
            return alone
        return against(params, alone, (champion.astype(float), challenger.astype(float)), Layout(members, self.seed))

    def equal(self) -> dict[str, Any]:
        """Equal challengers, each on its own sealed split."""
        rng, promotions = self.rng(1), dict[str, Any]()
        for kind in WORLDS:
            promoted = 0
            for _ in tqdm(range(self.times), f"equal, {kind}", leave=False):
                world = World(rng, self.n, kind)
                promoted += self.verdict(world, world.right(), world.right()).decision == "promoted"
            promotions[kind] = share(promoted, self.times)
        return promotions

    def ten_looks(self) -> dict[str, Any]:
        """Ten equal challengers in succession on a sealed split; a promoted one becomes champion.

        Also other ways to divide alpha, for the same comparisons: how many equal challengers they promote in ten looks,
        and how many that are better by the margin at a look, after equal ones.
        """
        rng, looks, promotions = self.rng(2), self.params.looks, dict[str, Any]()
        for kind in WORLDS:
            promoted, equal, gains = 0, [], []
            for _ in tqdm(range(self.times), f"ten looks, {kind}", leave=False):
                world = World(rng, self.n, kind)
                champion, any_promoted, row = world.right(), False, []
                first = champion
                for look in range(1, looks + 1):
                    challenger = world.right()
                    row.append(p_better(first, challenger))
                    if self.verdict(world, challenger, champion, look=look).decision == "promoted":
                        champion, any_promoted = challenger, True
                promoted += any_promoted
                equal.append(row)
                gains.append(p_better(first, world.right(self.params.margin * 2)))
            promotions[kind] = {**share(promoted, self.times), "other_ways": ways(np.array(equal), np.array(gains))}
        return promotions

    def ten_climbs(self) -> dict[str, Any]:
        """Ten whole climbs on a sealed split: four equal contenders, and the previous climb's champion."""
        rng, times, promotions = self.rng(3), max(1, self.times // 10), dict[str, Any]()
        for kind in WORLDS:
            anywhere = replaced = 0
            for _ in tqdm(range(times), f"ten climbs, {kind}", leave=False):
                world, any_won, any_replaced = World(rng, self.n, kind), False, False
                outcomes: dict[str, NDArray[Any]] = {}
                registered = NO_CHAMPION
                for look in range(1, self.params.looks + 1):
                    rungs = [f"{look}.{rung}" for rung in range(4)]
                    outcomes |= {rung: world.right() for rung in rungs}
                    won = [
                        verdict
                        for verdict in self.climb(outcomes, rungs, registered, look)
                        if verdict.decision == "promoted"
                    ]
                    over = registered != NO_CHAMPION and won[-1].champion == registered
                    any_won |= any(verdict.champion != NO_CHAMPION for verdict in won)
                    any_replaced |= over
                    registered = won[-1].challenger if over or registered == NO_CHAMPION else registered
                anywhere, replaced = anywhere + any_won, replaced + any_replaced
            promotions[kind] = {"any_rung": share(anywhere, times), "champion_replaced": share(replaced, times)}
        return promotions

    def climb(
        self, outcomes: dict[str, NDArray[Any]], rungs: list[str], registered: str, look: int
    ) -> Sequence[Verdict]:
        """The procedure of `components/stages/climb.py` for these rungs."""

        @cache
        def counted(challenger: str, champion: str) -> GateNumbers:
            return self.numbers(self.params, outcomes[challenger], outcomes.get(champion), {})

        def walk(alpha: float) -> list[Verdict]:
            champion, verdicts = NO_CHAMPION, list[Verdict]()
            for names in [(rung, None) for rung in rungs] + [(None, registered)] * (registered != NO_CHAMPION):
                pair = names[0] or champion, names[1] or champion
                verdicts.append(judge(self.params, pair, counted(*pair), Level(look, alpha)))
                champion = pair[0] if verdicts[-1].decision == "promoted" else champion
            return verdicts

        return holm_climb(alpha_of_look(self.params, look), len(rungs), walk)

    def better(self) -> dict[str, Any]:
        """Challengers better by the margin: a first look at a few examples, a second at the requested number.

        The second look includes the first one's examples and counts as the second, with slices judged.
        """
        rng, times, promotions = self.rng(4), max(1, self.times // 4), dict[str, Any]()
        for kind in WORLDS:
            at_first = at_second = unasked = 0
            sizes: list[int] = []
            for _ in tqdm(range(times), f"better, {kind}", leave=False):
                first = World(rng, self.n // 2, kind)
                sides = first.right(self.params.margin), first.right()
                verdict = self.verdict(first, *sides, sliced=True)
                at_first += verdict.decision == "promoted"
                unasked += verdict.decision == "kept" and not verdict.undecided
                if verdict.undecided:
                    sizes.append(first.n + verdict.more_examples)
                    both = joined(first, World(rng, verdict.more_examples, kind), sides, self.params.margin)
                    at_second += self.verdict(*both, look=2, sliced=True).decision == "promoted"
            promotions[kind] = {
                "promoted": share(at_first + at_second, times), "at_first_look": at_first, "asked": len(sizes),
                "of_those_asked": share(at_second, len(sizes)), "kept_for_good": unasked,
                "first_examples": self.n // 2, "median_examples_asked": float(np.median(sizes)),
            }  # fmt: skip
        return promotions

    def not_worse(self) -> dict[str, Any]:
        """Non-inferiority: challengers worse by the margin, and equal ones at the requested size."""
        rng, times, promotions = self.rng(5), max(1, self.times // 10), dict[str, Any]()
        params = self.params.model_copy(update={"test": "non_inferiority"})
        for kind in WORLDS:
            passed = {"worse_by_the_margin": 0, "equal_at_first_or_asked": 0}
            for _ in tqdm(range(times), f"not worse, {kind}", leave=False):
                world = World(rng, self.n, kind)
                worse = self.verdict(world, world.right(-params.margin), world.right(), params=params)
                passed["worse_by_the_margin"] += worse.decision == "promoted"
                first = World(rng, self.n // 2, kind)
                sides = first.right(), first.right()
                verdict = self.verdict(first, *sides, params=params)
                if verdict.undecided:
                    both = joined(first, World(rng, verdict.more_examples, kind), sides, 0.0)
                    verdict = self.verdict(*both, params=params, look=2)
                passed["equal_at_first_or_asked"] += verdict.decision == "promoted"
            promotions[kind] = {name: share(count, times) for name, count in passed.items()}
        return promotions

    def slices(self) -> dict[str, Any]:
        """Challengers better by 3 points overall and worse by 10 on a slice of 15 %; and the veto's cost to others."""
        rng, times, shares = self.rng(6), max(1, self.times // 5), dict[str, Any]()
        for n in (self.n // 2, self.n, 2 * self.n):
            for kind in WORLDS:
                vetoed: Counter[str] = Counter(harmful=0, equal=0, better=0)
                promoted = 0
                for _ in tqdm(range(times), f"slices, {n}, {kind}", leave=False):
                    world = World(rng, n, kind)
                    hurt = world.labels["region"] == 1
                    # 0.03 = 0.85 · gain − 0.15 · 0.1
                    gains = {"harmful": np.where(hurt, -0.1, 0.045 / 0.85), "equal": 0.0, "better": 0.03}
                    champion = world.right()
                    for name, gain in gains.items():
                        numbers = self.numbers(self.params, world.right(gain), champion, world.members)
                        vetoed[name] += numbers.sliced is not None and bool(numbers.sliced.against)
                        verdict = judge(self.params, ("challenger", "champion"), numbers, Level(1, self.params.alpha))
                        promoted += name == "harmful" and verdict.decision == "promoted"
                shares[f"{n} examples, {kind}"] = {
                    **{name: share(count, times) for name, count in vetoed.items()},
                    "harmful_promoted": share(promoted, times),
                }
        return shares

    def coverage(self) -> dict[str, Any]:
        """The coverage of 95 % intervals, over truths drawn from the range of real rungs."""
        return covered(self.rng(7), self.n, 10 * self.times)


def joined(first: World, more: World, sides: tuple[NDArray[Any], NDArray[Any]], gain: float) -> Any:
    """A world with more examples, and the answers of challenger and champion to all of them."""
    both = more
    more_sides = more.right(gain), more.right()
    both.n += first.n
    both.chance = np.concatenate([first.chance, more.chance])
    both.labels = {name: np.concatenate([first.labels[name], more.labels[name]]) for name in SLICED}
    return both, *(np.concatenate([old, new]) for old, new in zip(sides, more_sides, strict=True))


def p_better(champion: NDArray[Any], challenger: NDArray[Any]) -> float:
    """McNemar's p-value if the challenger is better, else 1."""
    fixed, broken = int(np.sum(challenger & ~champion)), int(np.sum(champion & ~challenger))
    return mcnemar_exact(fixed, broken) if fixed > broken else 1.0


def ways(equal: NDArray[Any], gains: NDArray[Any]) -> dict[str, Any]:
    """What other ways to divide alpha = 0.05 over ten looks promote: equal challengers, and better ones by look."""
    look = np.arange(1, equal.shape[1] + 1)
    levels = {
        "no correction": np.full(len(look), 0.05),
        "Bonferroni": np.full(len(look), 0.05 / len(look)),
        "Bonferroni, one-sided 0.05": np.full(len(look), 0.1 / len(look)),
        "6 / (pi look)^2": 0.05 * 6 / (np.pi * look) ** 2,
        "1 / (look (look + 1))": 0.05 / (look * (look + 1)),
        "the gate's": np.array([alpha_of_look(GateParams(looks=len(look)), int(look_number)) for look_number in look]),
    }
    return {
        name: {
            "equal_promoted": round(float(np.mean((equal < level).any(axis=1))), 4),
            "better_by_twice_the_margin_promoted": {
                f"look {look_number}": round(float(np.mean(gains < level[look_number - 1])), 3)
                for look_number in (1, 2, 5, len(look))
            },
        }
        for name, level in levels.items()
    }


def share(count: int, n: int) -> dict[str, Any]:
    """A share with its interval."""
    interval = wilson(int(count), n)
    return {"share": round(interval.value, 4), "low": round(interval.low, 4), "high": round(interval.high, 4), "n": n}


if __name__ == "__main__":
    main()
