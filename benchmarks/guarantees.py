"""Where the gate's promises hold: groups, adaptive challengers, undecided answers, rare losses, few clusters.

Each cell tests a promise in a world with known truth: answers are simulated, verdicts and intervals are the product's.
The record's seed was not used while the methods were chosen; other seeds were.

    python -m benchmarks.guarantees                       # all cells with the record's seed, into guarantees.json
    python -m benchmarks.guarantees --seed 1 --only power # while building: printed, written to --out alone
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.guarantees_worlds import Grouped, Kind, coverage_cells, curve_cells, money_cells
from benchmarks.ladder import machine
from components.evaluation import (
    Layout,
    Level,
    against,
    alpha_of_look,
    judge,
    shared,
    sketch,
)
from components.evaluation.bounded import bounded_z
from components.evaluation.clusters import flip_p, grouped
from components.evaluation.metrics import share_of, wilson
from components.evaluation.paired import mean_p
from components.params import GateParams, Pipeline, load
from components.records import Example, GateNumbers, Verdict
from components.stages.run import git_commit

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "benchmarks" / "guarantees.json"
RECORD_SEED = 339_148_529
EQUAL, POWER = "at most 0.05, upper end at most 0.07", "at least 0.8"
SLICES = 20
INTERVALS = 4  # times as many repetitions where a share has to be near 95 %
Cell = tuple[
    str, str, str, Callable[[np.random.Generator, int], int]
]  # promise, world, limit, and a function that counts the event


def main() -> None:
    """Run the requested cells, and merge them into the record by promise and world."""
    options = parse()
    record: dict[str, Any] = json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() else {}
    params = load(ROOT / "params/pipeline.yaml", Pipeline).gate
    for number, (promise, world, limit, count) in enumerate(cells(params)):
        if options.only and not any(part in f"{promise}, {world}" for part in options.only):
            continue
        started = time.monotonic()
        repetitions = options.repetitions * (INTERVALS if promise.startswith(("interval holds", "a warning")) else 1)
        happened = count(np.random.default_rng([options.seed, number]), repetitions)
        cell = cell_row(promise, world, limit, happened, repetitions)
        print(f"{time.monotonic() - started:5.1f} s {json.dumps(cell)}", flush=True)
        merge(record, cell)
        record["gate"] = {
            "command": "python -m benchmarks.guarantees", "arguments": sys.argv[1:], "machine": machine(),
            "date": date.today().isoformat(), "git_commit": git_commit(), "seed": options.seed, "simulated": True,
            "reserved_seed": "drawn for the record; none of the methods was chosen with it in sight",
        }  # fmt: skip
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=RECORD_SEED)
    parser.add_argument("--repetitions", type=int, default=500)
    parser.add_argument("--only", nargs="+", default=[], help="parts of names of promises and worlds")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args()


def cell_row(promise: str, world: str, limit: str, happened: int, repetitions: int) -> dict[str, Any]:
    """A cell of the record: how often the event happened, with an interval, and whether that is within the limit."""
    interval = wilson(happened, repetitions)
    return {
        "promise": promise, "world": world, "value": round(interval.value, 4), "low": round(interval.low, 4),
        "high": round(interval.high, 4), "repetitions": repetitions, "limit": limit,
        "holds": keeps(limit, interval.value, interval.high),
    }  # fmt: skip


def keeps(limit: str, value: float, high: float) -> bool:
    """Whether a share is within a limit, given as EQUAL, "at least x" or "x to y"."""
    if limit == EQUAL:
        return value <= 0.05 and high <= 0.07
    if limit.startswith("at least "):
        return value >= float(limit.removeprefix("at least "))
    low, most = map(float, limit.split(" to "))
    return low <= value <= most


def merge(record: dict[str, Any], cell: dict[str, Any]) -> None:
    """Replace the cell with the same promise and world, or append."""
    rows: list[dict[str, Any]] = record.setdefault("cells", [])
    keys = [(row["promise"], row["world"]) for row in rows]
    key = (cell["promise"], cell["world"])
    if key in keys:
        rows[keys.index(key)] = cell
    else:
        rows.append(cell)


def cells(params: GateParams) -> Iterator[Cell]:
    """All cells, in order; each has its own generator."""
    yield from equal_cells(params)
    yield from adaptive_cells(params)
    yield from graded_cells(params)
    yield from power_cells(params)
    yield from bound_cells(params)
    yield from slice_cells(params)
    yield "looks are counted", "references, order or a column changed", "at least 1", recognised
    yield from coverage_cells()
    yield from money_cells()
    yield from curve_cells()


def equal_cells(params: GateParams) -> Iterator[Cell]:
    """Ten equal challengers in succession on a sealed split of 1,000 examples."""
    for kind in (Kind(1), Kind(2), Kind(4), Kind(8), Kind(4, unequal=True)):
        yield "equal challengers promoted, ten looks", f"{kind}", EQUAL, _looks(params, kind, undecided=0.0)
        yield (
            "equal challengers promoted, ten looks", f"{kind}, 2 % undecided, wrong ones more often", EQUAL,
            _looks(params, kind, undecided=0.02),
        )  # fmt: skip


def _looks(params: GateParams, kind: Kind, undecided: float) -> Callable[[np.random.Generator, int], int]:
    def count(rng: np.random.Generator, times: int) -> int:
        promoted = 0
        for _ in range(times):
            world = Grouped.drawn(rng, 1000, kind)
            champion = world.answers(undecided)
            promoted += any(
                Bench(params).promotes(world, world.answers(undecided), champion, look)
                for look in range(1, params.looks + 1)
            )
        return promoted

    return count


Answers = tuple[NDArray[Any], NDArray[Any]]  # right, undecided


@dataclass(frozen=True)
class Bench:
    """The product's gate with these settings at a look; all answers are valid."""

    params: GateParams
    sliced: bool = False

    def verdict(
        self, world: Grouped, challenger: Answers, champion: Answers, look: int, level: Level | None = None
    ) -> Verdict:
        """The gate's verdict; undecided answers count against the challenger, as in `measure`."""
        now, was = (challenger[0] & ~challenger[1]).astype(float), (champion[0] | champion[1]).astype(float)
        best = (challenger[0] | challenger[1]).mean() - (champion[0] & ~champion[1]).mean()
        doubtful = int((challenger[1] | champion[1]).sum())
        members = {f"kind={at}": np.flatnonzero(world.slices == at) for at in range(SLICES)} if self.sliced else {}
        alone = GateNumbers(n=world.n, validity=1.0, level=wilson(float(now.sum()), world.n), undecided=doubtful)
        numbers = against(self.params, alone, (was, now), Layout(members, 0, world.groups))
        if doubtful:
            numbers = numbers.model_copy(update={"best_delta": float(best)})
        return judge(self.params, ("challenger", "champion"), numbers, level or self.level(look))

    def level(self, look: int) -> Level:
        """The gate's significance level."""
        return Level(look, alpha_of_look(self.params, look))

    def promotes(self, world: Grouped, challenger: Answers, champion: Answers, look: int) -> bool:
        """The same, skipping other checks if the test alone refuses."""
        now, was = challenger[0] & ~challenger[1], champion[0] | champion[1]
        sums = np.bincount(world.groups, weights=now.astype(float) - was)
        if sums.sum() <= 0 or flip_p(sums)[0] >= self.level(look).alpha:
            return False
        return self.verdict(world, challenger, champion, look).decision == "promoted"


def adaptive_cells(params: GateParams) -> Iterator[Cell]:
    """Challengers assembled, slice by slice, from what earlier looks revealed."""
    ways: dict[str, Way] = {
        "routed by what verdicts tell of slices": Router.by_slices,
        "routed by differences of the whole": Router.by_the_whole,
        "routed by decisions over a weak rung": Router.over_a_weak_rung,
        "routed, split grown by drawn examples after each look": Router.while_it_grows,
    }
    for kind in (Kind(1), Kind(4)):
        for undecided in (0.0, 0.02):
            world = f"{kind}" + (", 2 % undecided" if undecided else "")
            for name, way in ways.items():
                yield (
                    "equal challengers promoted, ten looks", f"{world}, {name}", EQUAL,
                    _routed(params, kind, undecided, way),
                )  # fmt: skip


def _routed(params: GateParams, kind: Kind, undecided: float, way: "Way") -> Callable[[np.random.Generator, int], int]:
    def count(rng: np.random.Generator, times: int) -> int:
        promoted = 0
        for _ in range(times):
            world = Grouped.drawn(rng, 1000, kind)
            router = Router(params, world, world.answers(undecided), world.answers(undecided))
            promoted += way(router, undecided)
        return promoted

    return count


def tale_of(verdict: Verdict) -> float:
    """What a verdict tells of a challenger's gain: the difference, or else what its decision and its advice say."""
    numbers = verdict.numbers
    assert numbers is not None
    if numbers.versus is not None:
        return numbers.versus.delta
    level = 0.0 if numbers.level is None else numbers.level.value
    return level + numbers.validity - 1 + (verdict.decision == "promoted") - (not verdict.undecided)


@dataclass(frozen=True)
class Router:
    """Routes each slice to the champion or to an equal model, by what verdicts tell of earlier routes."""

    params: GateParams
    world: Grouped
    champion: Answers
    model: Answers

    def answers(self, chosen: Collection[int]) -> Answers:
        """The answers with these slices routed to the model."""
        routed = np.isin(self.world.slices, list(chosen))
        return np.where(routed, self.model[0], self.champion[0]), np.where(routed, self.model[1], self.champion[1])

    def by_slices(self, undecided: float) -> bool:
        """Whether any of ten looks promotes a router that uses the model where a verdict names a gain."""
        chosen, named = set(range(SLICES)), True
        for look in range(1, self.params.looks + 1):
            challenger, bench = self.answers(chosen), Bench(self.params, sliced=True)
            if not named and look < self.params.looks:  # the last verdict named no slice: only the decision matters
                if bench.promotes(self.world, challenger, self.champion, look):
                    return True
                chosen = set(np.flatnonzero(self.world.rng.random(SLICES) < 0.5).tolist())
                continue
            verdict = bench.verdict(self.world, challenger, self.champion, look)
            if verdict.decision == "promoted":
                return True
            gains = [part.name for part in verdict.numbers.slices if part.delta > 0] if verdict.numbers else []
            named = bool(gains)
            chosen = {int(name.removeprefix("kind=")) for name in gains} or chosen
        return False

    def by_the_whole(self, undecided: float, *, grows: bool = False) -> bool:
        """The same by whatever verdicts tell of the whole.

        Each look routes two slices to the model, and the last one all pairs that are told to have gained, and at least
        as much as the middle one. The split may grow by a twentieth of drawn examples after each look.
        """
        this, tales = self, dict[int, float]()
        for look in range(1, self.params.looks + 1):
            pairs = [look]
            if look == self.params.looks:
                middle = sorted(tales.values())[len(tales) // 2]
                pairs = [at for at, tale in tales.items() if tale >= max(0.0, middle)] or list(tales)
            challenger = this.answers({part for at in pairs for part in (2 * at - 2, 2 * at - 1)})
            verdict = Bench(self.params).verdict(this.world, challenger, this.champion, look)
            if verdict.decision == "promoted":
                return True
            tales[look] = tale_of(verdict)
            this = this.grown(undecided) if grows else this
        return False

    def while_it_grows(self, undecided: float) -> bool:
        """The same on a split that grows."""
        return self.by_the_whole(undecided, grows=True)

    def grown(self, undecided: float) -> "Router":
        """With a twentieth more examples, drawn before they were answered and labelled in full."""
        size = Kind(max(1, round(self.world.n / len(self.world.chance))))
        more = Grouped.drawn(self.world.rng, self.world.n // 20, size)
        ours, theirs = more.answers(undecided), more.answers(undecided)
        return Router(
            self.params, self.world.joined(more), joined(self.champion, theirs), joined(self.model, ours)
        )  # fmt: skip

    def over_a_weak_rung(self, undecided: float) -> bool:
        """The same by another tale: each climb also compares the router with a rung that it beats half of the time.

        Both comparisons share the level. The pairs with which it beat the weak rung are routed at the last look.
        """
        weak, gained = self.world.answers(undecided, -0.033), set[int]()
        for look in range(1, self.params.looks + 1):
            bench, level = Bench(self.params), Level(look, alpha_of_look(self.params, look) / 2)
            pair = {2 * look - 2, 2 * look - 1}
            chosen = gained or set(range(SLICES)) if look == self.params.looks else pair
            router = self.answers(chosen)
            if bench.verdict(self.world, router, self.champion, look, level).decision == "promoted":
                return True
            if bench.verdict(self.world, router, weak, look, level).decision == "promoted":
                gained |= pair
        return False


Way = Callable[[Router, float], bool]  # with the share that the scorer cannot decide: whether it gets promoted


def graded_cells(params: GateParams) -> Iterator[Cell]:
    """Graded scores with mean difference 0, where losses, or gains, are rare and large."""
    for rare, sign in ((0.005, -1), (0.01, -1), (0.02, -1), (0.01, 1), (0.02, 1)):
        what = "losses" if sign < 0 else "gains"
        yield (
            "equal challengers promoted, graded scores, one look", f"{rare:.1%} large {what}, n = 200", EQUAL,
            _rare(params, rare, sign, 1),
        )  # fmt: skip
    yield (
        "equal challengers promoted, graded scores, one look", "2.0% large losses, groups of 4, n = 200", EQUAL,
        _rare(params, 0.02, -1, 4),
    )  # fmt: skip
    yield (
        "worse by the margin promoted, graded scores, non-inferiority", "1.0% large losses, n = 200", EQUAL,
        _rare(params, 0.01, -1, 1, shift=params.margin),
    )  # fmt: skip


def rare_changes(rng: np.random.Generator, n: int, rare: float, sign: int, size: int) -> NDArray[Any]:
    """Differences with mean 0: rarely 0.9 to one side, otherwise a little to the other; groups change together."""
    seldom = np.repeat(rng.random(n // size) < rare, size)
    return np.where(seldom, sign * 0.9, -sign * 0.9 * rare / (1 - rare)) + rng.uniform(-0.002, 0.002, n)


def _rare(
    params: GateParams, rare: float, sign: int, size: int, shift: float = 0.0
) -> Callable[[np.random.Generator, int], int]:
    def count(rng: np.random.Generator, times: int) -> int:
        promoted, groups = 0, np.repeat(np.arange(200 // size), size)
        for seed in range(times):
            change = rare_changes(rng, 200, rare, sign, size) - shift
            if change.mean() <= -shift or bounded_z(grouped(change, groups), (-1.0, 1.0), -shift) < 1.9:
                continue  # the test is the greater of two p-values, and this one alone says no
            two_sided, greater = mean_p(change, groups, seed, shift)
            p_value = 2 * greater if shift else two_sided
            promoted += p_value < params.alpha
        return promoted

    return count


def power_cells(params: GateParams) -> Iterator[Cell]:
    """Challengers better by the margin: a first look at 500 examples, a second at the requested number."""
    for kind in (Kind(4), Kind(8), Kind(1), Kind(4, unequal=True)):
        yield "better by the margin promoted at the size asked for", f"{kind}", POWER, _power(params, kind)
    yield (
        "better by the margin promoted at the size asked for", f"{Kind(1)}, 0.5 % undecided", POWER,
        _power(params, Kind(1), 0.005),
    )  # fmt: skip


def _power(params: GateParams, kind: Kind, undecided: float = 0.0) -> Callable[[np.random.Generator, int], int]:
    def count(rng: np.random.Generator, times: int) -> int:
        promoted = 0
        for _ in range(times):
            first = Grouped.drawn(rng, 500, kind)
            sides = first.answers(undecided, params.margin), first.answers(undecided)
            verdict = Bench(params).verdict(first, *sides, 1)
            if verdict.undecided:
                more = Grouped.drawn(rng, verdict.more_examples, kind)
                both = first.joined(more)
                added = more.answers(undecided, params.margin), more.answers(undecided)
                ours, theirs = (joined(*pair) for pair in zip(sides, added, strict=True))
                promoted += Bench(params).promotes(both, ours, theirs, 2)
            promoted += verdict.decision == "promoted"
        return promoted

    return count


def joined(some: Answers, more: Answers) -> Answers:
    """A contender's answers to both parts."""
    return np.concatenate([some[0], more[0]]), np.concatenate([some[1], more[1]])


def bound_cells(params: GateParams) -> Iterator[Cell]:
    """Validity below its bound."""
    for true in (0.94, 0.95):
        for kind in (Kind(1), Kind(4)):
            of = f"true share {true:.0%}, n = 200" + (f", {kind}" if kind.size > 1 else "")
            yield "validity below its bound passes", of, EQUAL, _valid(params, true, kind)


def _valid(params: GateParams, true: float, kind: Kind) -> Callable[[np.random.Generator, int], int]:
    groups = [f"{at}" for at in np.repeat(np.arange(200 // kind.size), kind.size)]

    def count(rng: np.random.Generator, times: int) -> int:
        passed = 0
        for _ in range(times):
            valid = np.repeat(rng.random(200 // kind.size) < true, kind.size)
            passed += share_of(valid.tolist(), groups).low >= params.min_validity
        return passed

    return count


def slice_cells(params: GateParams) -> Iterator[Cell]:
    """Better by 3 points overall, and worse on a slice, with 1,000 examples."""
    for part, loss in ((0.105, 0.1), (0.095, 0.1), (0.05, 0.3), (0.02, 0.7), (0.01, 1.0)):
        yield (
            "harmful challengers vetoed by a slice", f"worse by {loss:.0%} on {part:.1%} of 1,000", POWER,
            _harmed(params, part, loss),
        )  # fmt: skip


def _harmed(params: GateParams, part: float, loss: float) -> Callable[[np.random.Generator, int], int]:
    def count(rng: np.random.Generator, times: int) -> int:
        vetoed = 0
        for _ in range(times):
            hurt = np.arange(1000) < round(1000 * part)
            was = hurt & (rng.random(1000) < 0.99) | ~hurt & (rng.random(1000) < 0.88)
            kept = np.where(hurt, rng.random(1000) >= loss, rng.random(1000) >= 0.03)
            now = (was & kept) | (~was & ~hurt & (rng.random(1000) < 0.45))
            rest = 1 + rng.integers(0, 10, 1000)
            members = {f"kind={at}": np.flatnonzero(np.where(hurt, 0, rest) == at) for at in range(11)}
            alone = GateNumbers(n=1000, validity=1.0, level=wilson(int(now.sum()), 1000))
            numbers = against(params, alone, (was.astype(float), now.astype(float)), Layout(members, 0))
            vetoed += numbers.sliced is not None and numbers.sliced.against > 0
        return vetoed

    return count


def recognised(rng: np.random.Generator, times: int) -> int:
    """Splits that are recognised after their references were reworded, reordered, or got another column."""
    count = 0
    for _ in range(times):
        texts = [f"{number:x}" for number in rng.integers(0, 1 << 60, 150)]
        before = [_example(f"e{at}", {"text": text}, "a") for at, text in enumerate(texts)]
        order = rng.permutation(150)
        after = [_example(f"e{at}", {"text": texts[at], "more": f"{rng.random()}"}, "b") for at in order]
        count += shared(sketch(after), sketch(before)) >= 0.5
    return count


def _example(name: str, columns: dict[str, str], reference: str) -> Example:
    return Example(id=name, input=columns, demonstration="", reference=reference, group=name)


if __name__ == "__main__":
    main()
