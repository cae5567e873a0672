"""Methods against each other: each on several workloads with several seeds, from the same data and the same start.

A row says what a rung answers right on unseen test examples, with its 95 % interval, and what it took to make it: its
own training and that of the rung that it started from, in seconds and in US dollars of the profile's machine, beside
what APIs cost. Rows that are there are not made again, so that the table grows over several calls:

    python -m benchmarks.methods --workloads triage digest --methods sft few_shot --seeds 1 2 3

Every (workload, seed) has a project folder of its own under state/bench/, whose finished stages are kept. Stages run
one by one as the flow runs them, without gate and report. A method that cannot be made leaves the reason in its row.
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

# Method → ladder and rung; the rung of a group stands for the best of it on dev.
METHODS = {
    "classical": ("continuum", "classical"),
    "prompt": ("continuum", "prompts"),
    "few_shot": ("prompting", "similar"),
    "few_shot_greedy": ("prompting", "greedy"),
    "sft": ("continuum", "sft"),
    "rejection_sampling": ("continuum", "rejection_sampling"),
    "dpo": ("continuum", "dpo"),
    "kto": ("continuum", "kto"),
    "grpo": ("continuum", "grpo"),
}
OUT = ROOT / "benchmarks" / "methods.json"
Row = dict[str, Any]


def main() -> None:
    """Make the rows that are missing, and write each as soon as it is there."""
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
        row = made(options, workload, method, seed)
        record["rows"] = sorted([*record["rows"], row], key=lambda one: (one["workload"], one["method"], one["seed"]))
        record |= {"command": "python -m benchmarks.methods", "machine": machine(), "date": date.today().isoformat()}
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(row), flush=True)


def missing(options: argparse.Namespace, rows: Sequence[Row]) -> Iterator[tuple[str, int, str]]:
    """What was asked for and is not there, the methods of one project together."""
    done = {(row["workload"], row["method"], row["seed"]) for row in rows}
    for workload in options.workloads:
        for seed in options.seeds:
            for method in options.methods:
                if (workload, method, seed) not in done:
                    yield workload, seed, method


def made(options: argparse.Namespace, workload: str, method: str, seed: int) -> Row:
    """A row: the rung made in its project, and asked."""
    ladder, rung = METHODS[method]
    run = f"{workload}-{options.profile}"
    project = WORK / f"{run}-{seed}"
    if not (project / ".git").is_dir():
        prepare(run, seed)
    command = [sys.executable, "-m", "benchmarks.methods_row", run, ladder, rung, str(options.examples)]
    environment = {**surroundings(project), "PYTHONPATH": os.pathsep.join([str(project), str(ROOT)])}
    done = subprocess.run(command, cwd=project, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    found = json.loads(done.stdout.strip().splitlines()[-1]) if done.stdout.strip() else {"failed": "no result"}
    return {"workload": workload, "method": method, "seed": seed, **found}


if __name__ == "__main__":
    main()
