"""Makes benchmarks/methods.json of what `benchmarks.methods_gpu` left: every rung's accuracy, and each against SFT.

What was measured on SNIPS also goes into benchmarks/real.json.

    python -m benchmarks.methods_record WORLDS.tar.gz OUT
"""

import argparse
import json
import sys
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from benchmarks import real_noise
from benchmarks.ladder import ROOT
from benchmarks.methods_gpu import NOISY
from components.economics import load_prices
from components.evaluation.compare import compare_values
from components.evaluation.metrics import share_of
from components.evaluation.trials import tries_of
from components.records import Completion, Example, Judged

OUT = ROOT / "benchmarks" / "methods.json"
NOTE = (
    "Accuracies have 95 % intervals, differences are paired over the examples of all seeds; both respect groups: "
    "customers, an agent's task with its tries, and examples that are in the test data of several seeds. What chance "
    "does in training, only the seeds show, whose differences stand beside. Seconds are of a rung alone, on a card "
    "that twelve processes shared, and US dollars are those of a whole H100 for so long: both are too high by as much "
    "as they waited."
)
MACHINE = "gpu_h100"
Passed = dict[str, bool]


def main() -> None:
    """Read, compare, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("worlds", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--record", type=Path, default=OUT)
    parser.add_argument("--real", type=Path, default=ROOT / "benchmarks" / "real.json")
    options = parser.parse_args()
    rungs = [json.loads(line) for line in (options.out / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    rungs.sort(key=lambda row: (row["world"], row["method"], row["seed"]))
    older = json.loads(options.record.read_text(encoding="utf-8")) if options.record.is_file() else {}
    here = {key_of(rung | {"workload": rung["world"]}) for rung in rungs}
    kept = [old for old in older.get("rows", ()) if key_of(old) not in here]
    groups, answers = groups_of(options.worlds), answers_of(options.out / "answers.tar.gz")
    compared = list(against_sft(answers, groups))
    anew = {(line["workload"], line["method"]) for line in compared}
    record: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks.methods_record", *sys.argv[1:]]),
        "machine": rungs[0]["machine"],
        "date": date.today().isoformat(),
        "note": NOTE,
        "rows": sorted([*kept, *(row(rung, answers, groups) for rung in rungs)], key=key_of),
        "against_sft": sorted(
            [*compared, *(old for old in older.get("against_sft", ()) if (old["workload"], old["method"]) not in anew)],
            key=lambda line: (line["workload"], line["method"]),
        ),
        "failed": failed(options.out, here, older.get("failed", ())),
    }
    options.record.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    add_real(record, answers, options.real)
    for line in record["against_sft"]:
        print(f"{line['workload']:12} {line['method']:20} {100 * line['delta']:+5.1f} ({100 * line['low']:+.1f} to "
              f"{100 * line['high']:+.1f}), p {line['p_value']:.2g}, n {line['n']:,}; by seed "
              f"{', '.join(f'{100 * delta:+.1f}' for delta in line['by_seed'].values())}")  # fmt: skip


def key_of(made: dict[str, Any]) -> tuple[str, str, int]:
    """What a row is known by."""
    return made["workload"], made["method"], made["seed"]


def groups_of(worlds: Path) -> dict[str, dict[str, str]]:
    """World and seed → test example → group."""
    groups: dict[str, dict[str, str]] = {}
    with tarfile.open(worlds) as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            if path.name == "test.jsonl" and (file := archive.extractfile(member)):
                examples = [Example.model_validate_json(line) for line in file]
                groups[path.parts[0]] = {example.id: example.group or example.id for example in examples}
    return groups


def answers_of(packed: Path) -> dict[tuple[str, str], dict[str, list[Any]]]:
    """(world and seed, method) → its completions and verdicts."""
    answers: dict[tuple[str, str], dict[str, list[Any]]] = defaultdict(dict)
    with tarfile.open(packed) as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            if "answers" in path.parts and (file := archive.extractfile(member)):
                record = Judged if path.name.endswith(".scores.jsonl") else Completion
                key = path.parts[0], path.parts[-2]
                answers[key][record.__name__] = [record.model_validate_json(line) for line in file]
    return answers


def passed_of(answers: dict[str, list[Any]]) -> Passed:
    """Example → whether its answer is right; undecided ones are left out."""
    return {verdict.example_id: verdict.score.passed for verdict in answers["Judged"] if verdict.score is not None}


def group_of(world: str, seed: str, example: str, groups: dict[str, dict[str, str]]) -> str:
    """The group of an example or of one of its tries; real data are the same for every seed."""
    known = groups[f"{world}-{seed}"]
    group = known[example] if example in known else known[example.rpartition("#")[0]]
    return group if world.startswith("snips") else f"{seed}/{group}"


def row(rung: dict[str, Any], answers: Any, groups: dict[str, dict[str, str]]) -> dict[str, Any]:
    """A rung's figures."""
    world, seed, method = rung["world"], str(rung["seed"]), rung["method"]
    mine = answers[f"{world}-{seed}", method]
    passed = passed_of(mine)
    share = share_of(passed.values(), [group_of(world, seed, example, groups) for example in passed])
    usd = load_prices(ROOT / "params" / "prices.yaml").machine(MACHINE).usd(rung["seconds"])
    numbers = {"value": share.value, "low": share.low, "high": share.high, "valid": rung["valid"]}
    line = {
        "workload": world, "method": method, "seed": rung["seed"], **{k: round(v, 4) for k, v in numbers.items()},
        "n": len(passed), "seconds": rung["seconds"], "usd": round(usd, 5), "dev_score": round(rung["dev_score"], 4),
        "machine": rung["machine"],
    }  # fmt: skip
    if tries := tries_of(mine["Completion"], mine["Judged"]):
        line |= {"tries": json.loads(tries.model_dump_json())}
    return line


def against_sft(answers: Any, groups: dict[str, dict[str, str]]) -> Iterator[dict[str, Any]]:
    """Each method's paired difference from SFT, over the seeds that have both."""
    seeds: dict[tuple[str, str], list[str]] = defaultdict(list)
    for project, method in sorted(answers):
        world, _, seed = project.rpartition("-")
        if method != "sft" and (project, "sft") in answers:
            seeds[world, method].append(seed)
    for (world, method), those in sorted(seeds.items()):
        before, after, names = list[bool](), list[bool](), list[str]()
        by_seed = dict[str, float]()
        for seed in those:
            old, new = (passed_of(answers[f"{world}-{seed}", name]) for name in ("sft", method))
            both = [example for example in old if example in new]
            before += [old[example] for example in both]
            after += [new[example] for example in both]
            names += [group_of(world, seed, example, groups) for example in both]
            by_seed[seed] = round(sum(new[example] - old[example] for example in both) / len(both), 4)
        result = compare_values(np.array(before, float), np.array(after, float), 0, "accuracy", names)
        yield {"workload": world, "method": method, "n": len(names), "groups": len(set(names)), "by_seed": by_seed,
               **json.loads(result.model_dump_json())}  # fmt: skip


def add_real(record: dict[str, Any], answers: Any, path: Path) -> None:
    """Replace nano's rows in the record of real data by the SNIPS rows of this one."""
    real = json.loads(path.read_text(encoding="utf-8"))
    real["rows"] = [entry for entry in real["rows"] if entry["model"] != "nano"]
    of_snips = [
        entry for entry in record["rows"] if (f"{entry['workload']}-{entry['seed']}", entry["method"]) in answers
    ]
    of_snips = [entry for entry in of_snips if entry["workload"].startswith("snips")]
    for entry in sorted(of_snips, key=lambda entry: list(NOISY).index(entry["method"])):
        noise = int(entry["workload"].rpartition("-")[2]) / 100
        passed = passed_of(answers[f"{entry['workload']}-{entry['seed']}", entry["method"]])
        published = share_of([right for example, right in passed.items() if example.startswith("test-")])
        same = {"set": "snips", "model": "nano", "method": entry["method"], "noise": noise, "seed": entry["seed"]}
        rest = {"train_examples": real_noise.SUBSET, "seconds": entry["seconds"], "machine": record["machine"]}
        for metric, share, n in (
            ("exact", entry, entry["n"]),
            ("exact_test", published.model_dump(), sum(example.startswith("test-") for example in passed)),
        ):
            real["rows"].append({**same, "metric": metric, **{key: share[key] for key in ("value", "low", "high")},
                                 "n": n, **rest})  # fmt: skip
    real["nano"] = {
        **{key: record[key] for key in ("command", "machine", "date")},
        "against_sft": [
            comparison for comparison in record["against_sft"] if comparison["workload"].startswith("snips")
        ],
        "failed": [line for line in record["failed"] if line.startswith("snips")],
    }
    path.write_text(json.dumps(real, indent=1) + "\n", encoding="utf-8")


def failed(out: Path, here: set[tuple[str, str, int]], older: Iterable[str]) -> list[str]:
    """The rungs that were not made, now or in an older record, with the last line of their log."""
    path = out / "failed.log"
    parts = path.read_text(encoding="utf-8").split("--- ")[1:] if path.is_file() else []
    lines = dict(line.split(": ", 1) for line in older)
    lines |= {part.splitlines()[0]: part.strip().splitlines()[-1] for part in parts}
    made = {f"{world}/{seed}/{method}" for world, method, seed in here}
    return [f"{rung}: {line}" for rung, line in lines.items() if rung not in made]


if __name__ == "__main__":
    main()
