"""Makes a row of `benchmarks.methods` in its project folder: `RUN LADDER RUNG EXAMPLES`.

Runs the stages that the rung depends on, unless they have a record, and prints its accuracy as a line of JSON.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.errors import GradusError
from components.evaluation.metrics import wilson
from components.evaluation.sample import sample
from components.records import Rung, read_record
from components.stages.answers import judge, opened_rung
from components.stages.graph import StageNode, nodes
from components.stages.run import Run, StageRecord


def main() -> None:
    """Make and evaluate a rung."""
    name, ladder, rung, examples = sys.argv[1:]
    workload, _, profile = name.partition("-")
    try:
        run = Run.of(workload, profile, ladder)
        if failed := make(run, needed(nodes(run), rung if rung not in run.groups else f"best-{rung}")):
            print(json.dumps({"failed": failed}))
            return
        print(json.dumps(asked(run, run.rung(run.resolved(rung) or rung), int(examples))))
    except GradusError as error:
        print(json.dumps({"failed": str(error)}))


def needed(stages: Sequence[StageNode], rung: str) -> list[StageNode]:
    """The stage that makes a rung or finds the best of a group, and its dependencies, in order."""
    names = {rung if rung.startswith("best-") else f"rung-{rung}"}
    for node in reversed(stages):
        if node.name in names:
            names |= {
                stage.name for stage in stages if any(_feeds(out, dep) for out in stage.outs for dep in node.deps)
            }
    return [node for node in stages if node.name in names]


def _feeds(out: str, dep: str) -> bool:
    """Whether a stage's output is, is in, or contains another stage's dependency."""
    first, second = Path(out), Path(dep)
    return first == second or first in second.parents or second in first.parents


def make(run: Run, stages: Sequence[StageNode]) -> str:
    """Run stages without a record; return the reason of a failure, "" if none."""
    for node in stages:
        record = run.folder / "stages" / f"{node.name}.json"
        if record.is_file():
            continue
        command = [sys.executable, "-m", "components.stages", *node.command]
        done = subprocess.run(command, stdout=sys.stderr, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode or not record.is_file():
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            return f"{node.name}: {lines[-1] if lines else 'no reason given'}"
    return ""


def asked(run: Run, made: Rung, examples: int) -> dict[str, Any]:
    """A rung's accuracy on a sample of test, and the cost of making it."""
    test = sample(run.examples("test"), examples, run.seed)
    judged = judge(run, made.name, test, opened_rung(run, made).answer(test, run.seed).completions)
    decided = [answer.score.passed for answer in judged if answer.score is not None]
    right, seconds = wilson(sum(decided), len(decided)), sum(rung.seconds for rung in chain(run, made))
    usd = run.prices.machine(run.profile.machine).usd(seconds)
    records = (run.folder / "stages" / f"rung-{rung.name}.json" for rung in chain(run, made))
    usd += sum(read_record(path, StageRecord).judge_usd for path in records)
    numbers = {"value": right.value, "low": right.low, "high": right.high}
    return {**{key: round(value, 4) for key, value in numbers.items()}, "n": len(decided),
            "seconds": round(seconds, 1), "usd": round(usd, 6)}  # fmt: skip


def chain(run: Run, made: Rung) -> list[Rung]:
    """A rung, and those that it started from."""
    return [made, *(chain(run, run.rung(made.starts_from)) if made.starts_from else [])]


if __name__ == "__main__":
    main()
