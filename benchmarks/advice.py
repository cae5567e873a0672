"""Is the advice right, and are its intervals valid? Measured on simulated workloads (`worlds`) with known truth.

Right is the most valuable rung; near is one that is worth less by no more than a point of accuracy, which the rule
takes as the same.

`gather` measures a world like a real run, from finite samples, and `choose` advises. `WORLDS`, with several seeds
each, check the advised rung; random worlds check whether the 95 % interval of the expected gain contains the actual
gain, for every rung that qualifies.

    python -m benchmarks.advice --seeds 1 2 3 4 5 --drawn 300
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.ladder import machine
from benchmarks.worlds import HORIZON, LEARNS_FROM_SCORES, Simulated, World
from components.advice import Evidence, choose, gather
from components.advice.gates import trusted
from components.evaluation.metrics import wilson
from components.params import AdviceParams

ROOT = Path(__file__).resolve().parents[1]

WORLDS = (
    World("good demonstrations, nothing trained"),
    World("good demonstrations, prompts as good", prompts=(0.90, 0.94, 0.97)),
    World("no headroom, low volume", prompts=(0.955, 0.96, 0.965), calls_per_year=20_000),
    World("training is dear, prompts differ", prompts=(0.35, 0.55, 0.75), calls_per_year=1_000_000,
          usd_setup=20_000.0),
    World("demonstrations wrong where prompts are right", prompts=(0.70, 0.75, 0.78), wrong_kinds=0.45),
    World("noisy demonstrations learnt, scorer exact", stands="sft", wrong_kinds=0.3, wrong_share=0.7),
    World("noisy demonstrations learnt, scorer lets errors pass", stands="sft", wrong_kinds=0.3,
          false_positives=0.4),
    World("noisy demonstrations learnt, scorer refuses right answers", stands="sft", wrong_kinds=0.3,
          false_negatives=0.5),
    World("errors learnt for good: no answer is ever right", stands="sft", wrong_kinds=0.25,
          wrong_share=1.0, slips=0.0),
    World("trained on clean demonstrations", stands="sft", slips=0.0, demonstrations=20_000),
    World("trained by RL, nothing left", stands="grpo", wrong_kinds=0.3),
    World("few demonstrations, scorer lets errors pass", stands="sft", demonstrations=400,
          false_positives=0.4, usd_per_label=0.2),
    World("people disagree, a verifier decides", disputed=0.8, reads_reference=False, prompts=(0.4, 0.5, 0.6)),
    World("people disagree, the scorer reads references", disputed=0.8),
    World("people disagree, the scorer is blind", disputed=0.8, reads_reference=False, false_positives=0.5),
    World("no demonstrations, the scorer is blind", demonstrations=0, reads_reference=False,
          false_positives=0.5),
    World("no demonstrations, a verifier decides", demonstrations=0, reads_reference=False),
    World("the task moves faster than training pays", prompts=(0.45, 0.6, 0.75), moves_per_year=1.5),
    World("examples say what words do not, training is dear", prompts=(0.5, 0.52, 0.54), reads_examples=0.8,
          calls_per_year=1_000_000, usd_setup=20_000.0),
    World("hardly anything is labelled, examples are read", prompts=(0.5, 0.52, 0.54), reads_examples=0.8,
          demonstrations=150, calls_per_year=100_000),
    World("the model reads no examples, training is dear", prompts=(0.75, 0.76, 0.77), reads_examples=0.02,
          calls_per_year=300_000, usd_setup=20_000.0),
    World("a weak prompt that words mend", prompts=(0.5, 0.51), mended_by_words=0.7, demonstrations=0,
          reads_reference=False, calls_per_year=500_000, usd_setup=20_000.0),
    World("errors that neighbours contradict, nothing trained", prompts=(0.5, 0.55, 0.6), wrong_kinds=0.25,
          wrong_share=0.8, family=6, false_positives=0.4),
    World("errors that neighbours contradict, learnt", stands="sft", wrong_kinds=0.25, wrong_share=0.8, family=6,
          false_positives=0.4),
    World("errors that neighbours contradict, learnt, labels are dear", stands="sft", wrong_kinds=0.25, wrong_share=0.8,
          family=6, false_positives=0.4, usd_per_label=10.0),
    World("errors that nothing contradicts, learnt", stands="sft", wrong_kinds=0.25, wrong_share=0.8, family=6, odd=0.9,
          false_positives=0.4),
    World("a little headroom, scorer exact", stands="sft", wrong_kinds=0.06, wrong_share=0.6),
    World("corrections at hand, scorer lets errors pass", stands="sft", wrong_kinds=0.3, false_positives=0.4,
          pairs=6000, usd_per_label=5.0),
    World("few corrections, scorer lets errors pass", stands="sft", wrong_kinds=0.3, false_positives=0.4, pairs=200),
    World("thumbs at hand, scorer lets errors pass", stands="sft", wrong_kinds=0.3, wrong_share=0.55,
          false_positives=0.4, thumbs=6000, usd_per_label=5.0),
    World("scored logs, scorer lets errors pass", stands="sft", wrong_kinds=0.35, wrong_share=0.55,
          false_positives=0.4, logs=8000, usd_per_label=5.0),
    World("few labels, a strong prompted model to learn from", prompts=(0.85, 0.88, 0.9), demonstrations=250,
          teacher=0.9, teacher_stands=True, inputs=20_000),
    World("demonstrations wrong, a better teacher behind an API", stands="sft", wrong_kinds=0.4, false_positives=0.4,
          teacher=0.95, usd_per_label=5.0),
    World("demonstrations wrong, a better teacher's weights", stands="sft", wrong_kinds=0.4, false_positives=0.4,
          teacher=0.95, teacher_here=True, usd_per_label=5.0),
    World("a teacher that is no better", stands="sft", wrong_kinds=0.08, false_positives=0.4, teacher=0.85,
          usd_per_label=50.0),
    World("a long prompt of one's own model, few labels", prompts=(0.92, 0.925, 0.93), demonstrations=120,
          long_prompt_usd=0.0003, usd_setup=500.0, false_positives=0.4),
    World("a slice that train hardly has, a generator", stands="sft", demonstrations=3000, thin=0.2, generator=True,
          false_positives=0.4, usd_per_label=5.0),
    World("a slice that train hardly has, nothing makes more", stands="sft", demonstrations=3000, thin=0.2,
          false_positives=0.4, usd_per_label=0.2),
)  # fmt: skip


def drawn(seed: int) -> World:
    """A random world; most have learnable demonstrations and a scorer with few errors."""
    rng = np.random.default_rng([seed, 21])
    middle, spread = rng.uniform(0.3, 0.85), rng.uniform(0.02, 0.12)
    return World(
        name="drawn",
        stands=("prompt", "sft", "grpo")[int(rng.choice(3, p=(0.45, 0.45, 0.1)))],
        demonstrations=int(np.exp(rng.uniform(np.log(300), np.log(12_000)))),
        dev=int(rng.choice((300, 500, 1000))),
        prompts=tuple(np.clip(rng.normal(middle, spread, size=int(rng.integers(2, 5))), 0.05, 0.97)),
        wrong_kinds=float(rng.uniform(0.0, 0.4)),
        wrong_share=float(rng.uniform(0.4, 0.95)),
        slips=float(rng.uniform(0.0, 0.08)),
        reads_reference=bool(rng.random() < 0.5),
        false_positives=float(rng.choice((0.0, 0.03, 0.06))),
        false_negatives=float(rng.choice((0.0, 0.03, 0.08))),
        rl_steps=int(rng.choice((24, 48, 96, 192))),
        rl_rate=float(rng.choice((0.5, 1.0, 2.0))),
        usd_setup=0.0,
        usd_per_label=0.0,
        seed=seed,
        **at_hand(rng),
    )


def at_hand(rng: np.random.Generator) -> dict[str, Any]:
    """What methods between prompts and RL need, each in some worlds."""
    some: dict[str, Any] = {
        "reads_examples": float(rng.uniform(0.05, 0.9)), "mended_by_words": float(rng.uniform(0.1, 0.9)),
        "family": int(rng.integers(4, 11)), "teacher": float(rng.uniform(0.7, 0.97)),
        "pairs": int(np.exp(rng.uniform(np.log(200), np.log(8000)))),
        "thumbs": int(np.exp(rng.uniform(np.log(200), np.log(8000)))),
        "logs": int(np.exp(rng.uniform(np.log(200), np.log(8000)))), "thin": float(rng.uniform(0.08, 0.3)),
    }  # fmt: skip
    taken = {name: value for name, value in some.items() if rng.random() < 0.35}
    return taken | {
        "odd": float(rng.uniform(0.02, 0.5)),
        "opinion_noise": float(rng.uniform(0.0, 0.15)),
        "teacher_here": bool(rng.random() < 0.5),
        "generator": "thin" in taken,
    }


def judged(world: World, params: AdviceParams) -> dict[str, Any]:
    """A world with a seed: the advised rung, the best rung, and the difference between them."""
    simulated = Simulated(world)
    evidence = gather(simulated, params, world.seed)
    choice = choose(evidence, params)
    best = simulated.best()
    worth = {} if best == "define" else simulated.worth()
    point = params.min_gain * world.usd_per_error * world.calls_per_year * HORIZON
    return {
        "world": world.name,
        "seed": world.seed,
        "advised": choice.rung,
        "best": best,
        "right": choice.rung == best,
        "near": choice.rung == best or (choice.rung in worth and worth[choice.rung] >= worth[best] - point),
        "gain": choice.gain.model_dump(),
        "worth_usd": {name: round(value) for name, value in worth.items()},
        "scorable": world.false_positives <= 0.1 and world.false_negatives <= 0.2,
        "gain_made": None if choice.rung == "stay" else simulated.gained(choice.rung, by_scorer(evidence, params)),
    }


def covered(seeds: Sequence[int], params: AdviceParams) -> dict[str, Any]:
    """By rung, how often its interval contained the actual gain, and the median width, over random worlds."""
    by_rung: dict[str, list[tuple[bool, float]]] = {}
    for seed in tqdm(seeds, "worlds drawn", leave=False):
        simulated = Simulated(drawn(seed))
        evidence = gather(simulated, params, seed)
        choice = choose(evidence, params)
        for option in choice.options:
            gained = (
                None
                if option.out or option.gain is None
                else simulated.gained(option.rung, by_scorer(evidence, params))
            )
            if gained is not None and option.gain is not None:
                inside = option.gain.low <= gained <= option.gain.high
                by_rung.setdefault(option.rung, []).append((inside, option.gain.high - option.gain.low))
    by_rung["all"] = [option for pairs in list(by_rung.values()) for option in pairs]
    return {name: _share(pairs) for name, pairs in by_rung.items()}


def by_scorer(evidence: Evidence, params: AdviceParams) -> bool:
    """Whether accuracies in this evidence are by the scorer rather than by comparison with references."""
    return not evidence.standing.trained or (evidence.scoring is not None and trusted(evidence.scoring, params))


def _share(pairs: Sequence[tuple[bool, float]]) -> dict[str, Any]:
    share = wilson(sum(inside for inside, _ in pairs), len(pairs))
    return {
        "covered": round(share.value, 4), "low": round(share.low, 4), "high": round(share.high, 4), "n": len(pairs),
        "median_width": round(float(np.median([width for _, width in pairs])), 4),
    }  # fmt: skip


def main() -> None:
    """Advise on every world with every seed, print a table and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--drawn", type=int, default=300, help="worlds drawn at random")
    parser.add_argument("--first", type=int, default=5000, help="the first one's seed")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "advice.json")
    options = parser.parse_args()
    started, params = time.monotonic(), AdviceParams()
    rows = [judged(replace(world, seed=seed), params) for world in WORLDS for seed in options.seeds]
    intervals = covered(range(options.first, options.first + options.drawn), params)
    record: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks.advice", *sys.argv[1:]]),
        "machine": machine(),
        "date": date.today().isoformat(),
        "simulated": True,
        "seconds": round(time.monotonic() - started, 1),
        "summary": summary(rows, len(options.seeds)),
        "intervals": intervals,
        "advice": rows,
    }
    for line in record["summary"]["worlds"]:
        shares = f"{line['right']} ({line['near']})/{line['seeds']}"
        print(f"{shares}  {line['world']}: best {line['best']}, advised {line['advised']}")
    print(json.dumps({key: value for key, value in record["summary"].items() if key != "worlds"}, indent=1))
    print(json.dumps(intervals, indent=1))
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"Written: {options.out}")


def summary(rows: Sequence[dict[str, Any]], seeds: int) -> dict[str, Any]:
    """The summary, by world and overall."""
    lines: list[dict[str, Any]] = []
    for world in dict.fromkeys(row["world"] for row in rows):
        mine = [row for row in rows if row["world"] == world]
        lines.append({
            "world": world, "seeds": seeds, "right": sum(row["right"] for row in mine),
            "near": sum(row["near"] for row in mine),
            "best": dict(Counter(row["best"] for row in mine)),
            "advised": dict(Counter(row["advised"] for row in mine)),
        })  # fmt: skip
    made = [row for row in rows if row["gain_made"] is not None]
    within = [row["gain"]["low"] <= row["gain_made"] <= row["gain"]["high"] for row in made]
    return {
        "worlds": lines,
        "worlds_always_right": sum(line["right"] == line["seeds"] for line in lines),
        "worlds_mostly_right": sum(line["right"] > line["seeds"] / 2 for line in lines),
        "of_worlds": len(lines),
        "right": sum(row["right"] for row in rows),
        "near": sum(row["near"] for row in rows),
        "of": len(rows),
        "rl_without_a_scorable_outcome": sum(
            row["advised"] in LEARNS_FROM_SCORES and not row["scorable"] for row in rows
        ),
        "gains_within_interval": sum(within),
        "of_gains": len(within),
    }


if __name__ == "__main__":
    main()
