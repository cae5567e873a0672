"""Do intervals of off-policy evaluation hold the truth? On simulated logs of policies over kinds of requests.

In each world policies answer requests of twenty kinds with one of six answers, scored right or wrong or by degree, and
another policy is evaluated on their logs. Its true score is summed exactly. Counted are logs that say that they can
tell; how many say so stands beside it.

    python -m benchmarks.off_policy --policies 20 --logs 200
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.ladder import ROOT, machine
from components.evaluation.metrics import wilson
from components.evaluation.off_policy import off_policy

KINDS, ANSWERS = 20, 6
Table = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """How many answers are logged, how far the policies are apart (deviation of logits), how scores are."""

    n: int
    apart: float
    scores: str  # of each answer to a kind: `binary` by its own chance, `rare` failures, or `graded`
    peaked: float = 1.0  # deviation of the logged policy's logits: how sure it is


WORLDS = (
    *(World(n, apart, scores) for n in (100, 200, 1000) for apart in (0.4, 0.8) for scores in ("binary", "graded")),
    *(World(n, 0.8, "rare") for n in (200, 1000)),
    *(World(n, 1.2, "binary") for n in (200, 1000)),
    *(World(n, 0.8, "binary", peaked=2.5) for n in (200, 1000)),
)


def covered(world: World, policies: int, logs: int, seed: int) -> dict[str, Any]:
    """How often the interval held the truth, of the logs that could tell."""
    rng, held, decided = np.random.default_rng([seed, world.n, int(10 * world.apart), len(world.scores)]), 0, 0
    for _ in range(policies):
        logits = world.peaked * rng.normal(size=(KINDS, ANSWERS))
        logged, other = _chances(logits), _chances(logits + world.apart * rng.normal(size=(KINDS, ANSWERS)))
        right = rng.beta(*((20.0, 0.5) if world.scores == "rare" else (1.5, 1.5)), size=(KINDS, ANSWERS))
        truth = float((other * right).sum(axis=1).mean())
        for _ in range(logs):
            kinds = rng.integers(KINDS, size=world.n)
            drawn = (logged[kinds].cumsum(axis=1) > rng.random((world.n, 1))).argmax(axis=1).clip(max=ANSWERS - 1)
            scores, ratios = _scores(world, right[kinds, drawn], rng), np.log((other / logged)[kinds, drawn])
            estimate = off_policy(scores.tolist(), ratios.tolist())
            if not estimate.silent:
                decided += 1
                held += estimate.value.low <= truth <= estimate.value.high
    share = wilson(held, decided) if decided else None
    interval = share.model_dump() if share else {}
    return {
        "n": world.n, "apart": world.apart, "scores": world.scores, "peaked": world.peaked, "logs": policies * logs,
        "told": decided, **{key: round(value, 4) for key, value in interval.items()},
    }  # fmt: skip


def _scores(world: World, right_N: Table, rng: np.random.Generator) -> Table:
    if world.scores == "graded":
        return np.clip(right_N + 0.1 * rng.uniform(-1, 1, size=len(right_N)) * np.minimum(right_N, 1 - right_N), 0, 1)
    return (rng.random(len(right_N)) < right_N).astype(float)


def _chances(logits: Table) -> Table:
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate every world and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--policies", type=int, default=20, help="pairs of policies")
    parser.add_argument("--logs", type=int, default=200, help="of each pair")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "off_policy.json")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    worlds = [covered(world, options.policies, options.logs, options.seed) for world in WORLDS]
    for figures in worlds:
        print(json.dumps(figures))
    held = sum(round(figures.get("value", 0) * figures["told"]) for figures in worlds)
    record = {
        "command": " ".join(["python -m benchmarks.off_policy", *sys.argv[1:]]), "machine": machine(),
        "date": date.today().isoformat(), "simulated": True, "seconds": round(time.monotonic() - started, 1),
        "all": wilson(held, sum(figures["told"] for figures in worlds)).model_dump(), "worlds": worlds,
    }  # fmt: skip
    print(record["all"])
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
