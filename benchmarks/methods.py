"""Compares methods: each on several workloads with several seeds, from the same data and the same start.

A row has a rung's accuracy on unseen test examples with a 95 % interval, and the cost of making it, including the rung
that it started from: seconds, and US dollars for the profile's machine and for APIs. Existing rows are not made again,
so that the table can grow over several calls:

    python -m benchmarks.methods --workloads triage digest --methods sft few_shot --seeds 1 2 3

Each (workload, seed) has its own project folder under state/bench/, whose finished stages are kept. Stages run one by
one as in the flow, without gate and report. If a method fails, its row has the reason.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.ladder import ROOT, WORK, machine, prepare, surroundings

# Method → ladder and rung; a group's rung is the best of it on dev.
METHODS = {
    "classical": ("continuum", "classical"),
    "prompt": ("continuum", "prompts"),
    "few_shot": ("prompting", "similar"),
    "few_shot_greedy": ("prompting", "greedy"),
    "sft": ("continuum", "sft"),
    "rejection_sampling": ("continuum", "rejection_sampling"),
    "dpo": ("continuum", "dpo"),
    "kto": ("preferences", "kto"),
    "grpo": ("continuum", "grpo"),
}
OUT = ROOT / "benchmarks" / "methods.json"
Row = dict[str, Any]


def main() -> None:
    """Make the missing rows, and write each as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workloads", nargs="+", default=["triage", "digest"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--profile", default="nano")
    parser.add_argument("--examples", type=int, default=500, help="of test, that every rung of a seed is asked")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    record: dict[str, Any] = {"rows": []}
    if options.out.is_file():
        record = json.loads(options.out.read_text(encoding="utf-8"))
    for workload, seed, method in missing(options, record["rows"]):
        row = made(options, workload, method, seed) | {"machine": machine(), "date": date.today().isoformat()}
        record["rows"] = sorted(
            [*record["rows"], row], key=lambda other: (other["workload"], other["method"], other["seed"])
        )
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(row), flush=True)


def missing(options: argparse.Namespace, rows: Sequence[Row]) -> Iterator[tuple[str, int, str]]:
    """The requested rows that are missing, grouped by project."""
    done = {(row["workload"], row["method"], row["seed"]) for row in rows}
    for workload in options.workloads:
        for seed in options.seeds:
            for method in options.methods:
                if (workload, method, seed) not in done:
                    yield workload, seed, method


def made(options: argparse.Namespace, workload: str, method: str, seed: int) -> Row:
    """A row: make the rung in its project, and evaluate it."""
    ladder, rung = METHODS[method]
    run = f"{workload}-{options.profile}"
    project = WORK / f"{run}-{seed}"
    if not (project / ".git").is_dir():
        prepare(run, seed)
    command = [sys.executable, "-m", "benchmarks.methods_row", run, ladder, rung, str(options.examples)]
    environment = {**surroundings(project), "PYTHONPATH": os.pathsep.join([str(project), str(ROOT)])}
    done = subprocess.run(command, cwd=project, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    result = json.loads(done.stdout.strip().splitlines()[-1]) if done.stdout.strip() else {"failed": "no result"}
    return {"workload": workload, "method": method, "seed": seed, **result}


if __name__ == "__main__":
    main()
