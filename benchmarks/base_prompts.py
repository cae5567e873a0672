"""The prompt rung for a base model: every prompt of a workload, answered freely and constrained to the schema.

The questions are the first dev examples of each workload, the same for every model. Each row has the shares of answers
that the workload's scorer passes, of valid answers, and of right values for each compared field (in answers that parse
as objects, valid or not), with 95 % intervals (Wilson), and the tokens per question and answer. Decoding is greedy, so
nothing depends on a seed. `majority` is the result of a constant answer: the share of the most frequent reference,
field by field. Triage's tickets and the other workloads' texts are simulated.

    python -m benchmarks.base_prompts --models models/nano --workloads triage normalise digest
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.ladder import machine
from components.data.prepare import prepare
from components.data.sources import input_columns
from components.engines import Engine, open_engine
from components.evaluation.metrics import wilson
from components.opening import over
from components.params import Profile, Workload, load
from components.prompts import load_prompt
from components.records import Completion, Example, Score, read_jsonl
from components.scorers import JsonSchemaScorer, build, score_all
from components.tracking import NullTracker

ROOT = Path(__file__).resolve().parents[1]
SEED = 20261127


def main() -> None:
    """Measure, print a line per row, and write the record after each workload."""
    options = parse()
    import torch

    torch.set_num_threads(options.threads)
    profile = load(ROOT / "params" / "profiles" / "nano.yaml", Profile)
    workloads = [load(ROOT / "params" / "workloads" / f"{name}.yaml", Workload) for name in options.workloads]
    engines = {
        os.path.relpath(path, ROOT): open_engine(profile.engine, path, options.precision) for path in options.models
    }
    rows: list[dict[str, Any]] = []
    constant: dict[str, dict[str, float]] = {}
    for workload in workloads:
        dev = dev_examples(workload, options.examples)
        constant[workload.name] = majority(workload, dev)
        for name, engine in engines.items():
            for row in measured(engine, workload, profile, dev, options.shown):
                rows.append({"model": name, "workload": workload.name, **row})
                print(line(rows[-1]), flush=True)
        write(options, rows, constant)


def write(options: argparse.Namespace, rows: list[dict[str, Any]], constant: dict[str, dict[str, float]]) -> None:
    """Write the record of the finished workloads."""
    record = {
        "rows": rows, "majority": constant,
        "examples": options.examples, "precision": options.precision, "threads": options.threads,
        "command": " ".join(["python -m benchmarks.base_prompts", *sys.argv[1:]]), "machine": machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"Written: {options.out}")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, nargs="+", default=[ROOT / "models" / "nano"], help="model folders")
    parser.add_argument("--workloads", nargs="+", default=["triage", "normalise", "digest"])
    parser.add_argument("--examples", type=int, default=250, help="dev examples of each workload")
    parser.add_argument("--shown", type=int, default=0, help="answers printed of each row, beside the right ones")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "base-prompts.json")
    return parser.parse_args()


def dev_examples(workload: Workload, n: int) -> list[Example]:
    """The first dev examples from the stage `data`'s split without token limits, the same for every model."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "data"
        prepare(workload, ROOT / "data" / workload.name, out, NullTracker())
        return read_jsonl(out / "dev.jsonl", Example)[:n]


def measured(
    engine: Engine, workload: Workload, profile: Profile, dev: Sequence[Example], shown: int
) -> list[dict[str, Any]]:
    """A row for each prompt, free and constrained; prompts without a schema are not constrained."""
    rows: list[dict[str, Any]] = []
    for name in workload.prompts:
        prompt = load_prompt(ROOT / "params" / "prompts" / workload.name, name, input_columns(workload))
        for held in (False, True) if name in workload.constrained else (False,):
            wanted = workload.model_copy(update={"constrained": (name,) if held else ()})
            answers = over(engine, prompt, wanted, profile).answer(dev, SEED).completions
            rows.append({"prompt": name, "constrained": held, **scored(workload, dev, answers)})
            for example, completion in list(zip(dev, answers, strict=True))[:shown]:
                print(f"  asked   {example.input}\n  right   {example.reference}\n  answer  {completion.text}")
    return rows


def scored(workload: Workload, dev: Sequence[Example], completions: Sequence[Completion]) -> dict[str, Any]:
    """The scores and the tokens of a row's answers."""
    pairs = list(zip(dev, completions, strict=True))
    scores = [
        outcome for outcome in score_all(build(workload.scorer, workload.output), pairs) if isinstance(outcome, Score)
    ]
    schema = JsonSchemaScorer(workload.output)
    return {
        "n": len(scores),
        "right": share([score.passed for score in scores]),
        "valid": share([schema.score(*pair).passed for pair in pairs]),
        "fields": {
            name: share([bool(score.parts.get(name, 0.0)) for score in scores])
            for name in workload.fields
            if any(name in score.parts for score in scores)
        },
        "prompt_tokens": round(statistics.mean(outcome.usage.input_tokens for outcome in completions), 1),
        "answer_tokens": round(statistics.mean(outcome.usage.output_tokens for outcome in completions), 1),
    }


def share(passed: Sequence[bool]) -> dict[str, float]:
    """A proportion with its interval."""
    interval = wilson(sum(passed), len(passed))
    return {"value": round(interval.value, 4), "low": round(interval.low, 4), "high": round(interval.high, 4)}


def majority(workload: Workload, dev: Sequence[Example]) -> dict[str, float]:
    """Field → share of its most frequent reference."""
    answers = [json.loads(example.reference) for example in dev]
    return {
        name: round(Counter(json.dumps(answer.get(name)) for answer in answers).most_common(1)[0][1] / len(answers), 4)
        for name in workload.fields
    }


def line(row: dict[str, Any]) -> str:
    """A row as text."""
    fields = ", ".join(f"{name} {100 * interval['value']:.0f}" for name, interval in row["fields"].items())
    right, valid = (
        f"{100 * row[name]['value']:.1f} ({100 * row[name]['low']:.1f} to {100 * row[name]['high']:.1f})"
        for name in ("right", "valid")
    )
    held = "held to the schema" if row["constrained"] else "free"
    return (
        f"{row['model']}, {row['workload']}, {row['prompt']}, {held}: right {right} %, valid {valid} %, "
        f"{row['prompt_tokens']:.0f} + {row['answer_tokens']:.0f} tokens; {fields}"
    )


if __name__ == "__main__":
    main()
