"""Which production promises hold under dependence: watch, canary, hacking watch, harvest.

Each cell draws its worlds from a seed and calls the product's own decision functions; its value is the share of
repetitions with an event, which must be at most `limit` (or at least, if the promise is to detect something). A cell
holds if its value is within the limit. All worlds are simulated. Cells in the record with the same promise and world
are replaced, others are kept.

    python -m benchmarks.guarantees_watch --repetitions 500 --seed 1
"""

import argparse
import json
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.guarantees_production import CELLS, Cell
from benchmarks.ladder import machine
from components.stages.run import git_commit

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "benchmarks" / "guarantees.json"


def main() -> None:
    """Repeat the requested cells, and write each as soon as it is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a part of the names of promises or worlds")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    for cell in CELLS:
        if options.only in f"{cell.promise}: {cell.world}":
            started, number = time.process_time(), cell.repetitions or options.repetitions
            draws = (np.random.default_rng([options.seed, CELLS.index(cell), at]) for at in range(number))
            hits = sum(map(cell.happens, draws))
            write(options.out, described(cell, hits, number), options.seed)
            seconds = time.process_time() - started
            print(f"{cell.promise} | {cell.world}: {hits} of {number} ({seconds:.0f} s)", flush=True)


def described(cell: Cell, hits: int, number: int) -> dict[str, Any]:
    """A cell's record, with the exact 95 % interval of its share (Clopper and Pearson 1934)."""
    from scipy.stats import binomtest

    ends = binomtest(hits, number).proportion_ci(0.95, "exact")
    holds = hits / number >= cell.limit if cell.at_least else hits / number <= cell.limit
    return {
        "promise": cell.promise, "world": cell.world, "value": hits / number, "low": float(ends.low),
        "high": float(ends.high), "repetitions": number, "limit": cell.limit, "holds": bool(holds),
    }  # fmt: skip


def write(path: Path, cell: dict[str, Any], seed: int) -> None:
    """Write a cell to the record, replacing one with the same promise and world."""
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"cells": []}
    others = [row for row in record["cells"] if (row["promise"], row["world"]) != (cell["promise"], cell["world"])]
    command = " ".join(["python -m benchmarks.guarantees_watch", *sys.argv[1:]])
    record |= {"cells": [*others, cell], "machine": machine(), "date": date.today().isoformat()}
    record["command"] = " && ".join(dict.fromkeys([*record.get("command", "").split(" && "), command])).strip(" &")
    record |= {"git_commit": git_commit(), "seed": seed}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
