"""Speed of scorers, in answers per second, on the embedded workloads' demonstrations, of which about 90 % are right.

Each row scores different answers in one call, in several rounds with a fresh scorer; the median round counts. `sql` has
its references cached, as in RL and from an evaluation's second rung on; `sql, new references` has not, and runs two
queries on three databases per answer. `unit tests` runs each program in a separate process in the sandbox, with a
worker per core. Besides wall time, this process's CPU time is given, which a busy machine does not affect; it does not
include programs in the sandbox.

    python -m benchmarks.scorers
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.ladder import machine
from components.data.sources import generated_example
from components.params import Workload, load
from components.params.sandbox import SandboxParams, UnitTestsParams
from components.records import Completion, Score
from components.scorers import JsonSchemaScorer, Pair, Scorer, build, score_all
from components.scorers.answers import read_object
from components.scorers.sql_execution import SqlExecutionScorer
from components.scorers.unit_tests import UnitTestsScorer

ROOT = Path(__file__).resolve().parents[1]
SEED = 20261123
TARGETS = {"schema": 50_000, "sql": 1_000, "unit tests": 40}


@dataclass(frozen=True)
class Row:
    """A measurement: a factory for the scorer, its answers, and answers to score beforehand."""

    make: Callable[[], Scorer]
    pairs: list[Pair]
    before: list[Pair] | None = None


def main() -> None:
    """Measure, print a table, and write the record."""
    options = parse()
    measured = {name: rates(row, options.rounds) for name, row in tqdm(rows(options).items(), desc="scorers")}
    for name, target in TARGETS.items():
        measured[name] |= {"target": target, "met": measured[name]["per_second"] >= target}
    show(measured)
    record = {
        "answers_per_second": measured, "rounds": options.rounds, "seed": SEED, "workers": options.workers,
        "cores": os.cpu_count(), "load_average": os.getloadavg()[0], "machine": machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m benchmarks.scorers", *sys.argv[1:]]),
    }  # fmt: skip
    part = options.output.with_name(options.output.name + ".part")
    part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    part.replace(options.output)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=int, default=20_000, help="of the schema's row; others have fewer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="of the sandbox")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "scorers.json")
    return parser.parse_args()


def rows(options: argparse.Namespace) -> dict[str, Row]:
    """The measurements, by name."""
    from components.workloads import snippets, text2sql, triage

    tickets, ticket = answers("triage", triage.generate, options.answers)
    questions, question = answers("text2sql", text2sql.generate, options.answers // 10)
    requests, _ = answers("snippets", snippets.generate, options.answers // 50)
    sql = question.scorer.sql_execution
    assert sql is not None
    on_duckdb = sql.model_copy(update={"dialect": "duckdb"})
    unit_tests = UnitTestsParams(sandbox=SandboxParams(workers=options.workers))
    # An answer to each question, the reference itself, lets the scorer cache the references' results.
    seen = [(example, completion.model_copy(update={"text": example.reference})) for example, completion in questions]
    return {
        "schema": Row(lambda: JsonSchemaScorer(ticket.output), tickets),
        "schema and fields": Row(lambda: build(ticket.scorer, ticket.output), tickets),
        "sql": Row(lambda: SqlExecutionScorer(sql, question.output), respelled(questions), seen),
        "sql, new references": Row(lambda: SqlExecutionScorer(sql, question.output), questions),
        "sql, new references, DuckDB": Row(lambda: SqlExecutionScorer(on_duckdb, question.output), questions[:200]),
        "unit tests": Row(lambda: UnitTestsScorer(unit_tests), requests),
    }


def answers(name: str, generate: Callable[[int, int], Iterable[Any]], n: int) -> tuple[list[Pair], Workload]:
    """A workload's demonstrations as completions, without duplicates."""
    workload = load(ROOT / "params" / "workloads" / f"{name}.yaml", Workload)
    by_text: dict[str, Pair] = {}
    for item in generate(2 * n, SEED):
        example = generated_example(workload, item)
        by_text[example.demonstration] = (example, Completion.of_text(example.id, example.demonstration))
    return list(by_text.values())[:n], workload


def respelled(pairs: list[Pair]) -> list[Pair]:
    """The same queries with an additional space, so that their texts are new to the scorer."""
    return [
        (example, completion.model_copy(update={"text": completion.text.replace('"}', ' "}')}))
        for example, completion in pairs
    ]


def rates(row: Row, rounds: int) -> dict[str, Any]:
    """Answers per second of wall time and of CPU time in the median round, and the share of right ones."""
    wall, busy, right = list[float](), list[float](), 0
    for _ in range(rounds):
        scorer = row.make()
        score_all(scorer, row.before or row.pairs[:1])  # one-off work of a process: imports, workers, databases
        read_object.cache_clear()
        started, computed = time.perf_counter(), time.process_time()
        outcomes = score_all(scorer, row.pairs)
        wall.append(len(row.pairs) / (time.perf_counter() - started))
        busy.append(len(row.pairs) / (time.process_time() - computed))
        right = sum(isinstance(outcome, Score) and outcome.passed for outcome in outcomes)
    return {
        "per_second": statistics.median(wall), "per_computed_second": statistics.median(busy), "rounds": wall,
        "answers": len(row.pairs), "right": right / len(row.pairs),
    }  # fmt: skip


def show(measured: dict[str, dict[str, Any]]) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    table = Table("scorer", "answers", "right", "per second", "per computed second", "target")
    for name, row in measured.items():
        target = f"{row['target']:,}{' ✓' if row['met'] else ' ✗'}" if "target" in row else ""
        speed = (f"{row['per_second']:,.0f}", f"{row['per_computed_second']:,.0f}")
        table.add_row(name, f"{row['answers']:,}", f"{row['right']:.1%}", *speed, target)
    Console().print(table)


if __name__ == "__main__":
    main()
