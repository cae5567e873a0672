"""The card of a registered version: what it is, its results, inputs and outputs, and how to make it again.

Kept with the run that registers it and not among the version's files, which are compared byte by byte.
"""

import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from components.records import Rung, RungResult
from components.report.words import milliseconds, percent, usd
from components.stages.run import Run

FOLDER = "card"
CARD, SIGNATURE, EXAMPLE, REQUIREMENTS = "card.md", "signature.json", "input_example.json", "requirements.txt"
PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "scikit-learn", "numpy")  # needed to open a version


def write_card(run: Run, made: Rung, result: RungResult, columns: Sequence[str], folder: Path) -> None:
    """Write a rung's card, signature, example and requirements to a folder."""
    example = run.examples("test")[0]
    inputs = {column: example.input[column] for column in columns}
    documents = {
        CARD: card(run, made, result),
        SIGNATURE: _json(signature(run, columns)),
        EXAMPLE: _json(inputs),
        REQUIREMENTS: "\n".join(requirements()) + "\n",
    }
    for name, text in documents.items():
        (folder / name).write_text(text, encoding="utf-8")


def card(run: Run, made: Rung, result: RungResult) -> str:
    """The card in Markdown."""
    base = run.profile.model.path if made.makes == "model" else "none"
    facts = [
        ("workload", f"{run.workload.name}{' (simulated data)' if run.workload.simulated else ''}"),
        ("rung", f"{made.name}, made by {made.method} from {made.starts_from or base}"),
        ("right on test", _share(result.accuracy.value, result.accuracy.low, result.accuracy.high, result.n)),
        ("valid", percent(result.validity.value)),
        ("latency", f"p50 {milliseconds(result.latency_ms.p50)}, p95 {milliseconds(result.latency_ms.p95)} a call"),
        ("cost", f"{usd(result.cost.usd_per_1k_calls)} a thousand calls"),
        ("data version", f"`{made.data_hash}`"),
        ("settings", f"`{made.params_hash}`, seed {made.seed}"),
        ("code", f"`{made.git_commit}`"),
    ]
    rows = [f"| {name} | {value} |" for name, value in facts]
    command = f"To make it again: `gradus reproduce {run.workload.name} VERSION`, with the version's number."
    return "\n".join([run.workload.description, "", "| | |", "|---|---|", *rows, "", command, ""])


def signature(run: Run, columns: Sequence[str]) -> dict[str, Any]:
    """Inputs and outputs in the form of MLflow's signatures, with the answer's schema."""
    return {
        "inputs": [{"name": column, "type": "string", "required": True} for column in columns],
        "outputs": [{"name": "answer", "type": "string", "required": True}],
        "answer": run.workload.output,
    }


def requirements() -> list[str]:
    """The packages needed to open a version, pinned as they are installed."""
    pinned: list[str] = []
    for name in PACKAGES:
        try:
            pinned.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            continue
    return pinned


def _share(value: float, low: float, high: float, n: int) -> str:
    return f"{percent(value)} (95 % interval {100 * low:.1f}–{100 * high:.1f}, {n:,} examples)"


def _json(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"
