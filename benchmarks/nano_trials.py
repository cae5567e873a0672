"""Short trainings of variants of the base model, one after the other, for the comparison in its card.

Every variant gets the shipped settings but for what its name says, the same seed and the same number of tokens.
What a short run shows is how fast a variant starts, not where it would end.
"""

import argparse
import json
import logging
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import torch

from components.base import pretrain
from components.params import PretrainParams, load

PROBES = 3
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "shipped": {},
    "Llama (attention only)": {"architecture": {"type": "llama", "layers": ["attention"] * 6}},
    "four wider layers": {
        "architecture": {
            "layers": ["conv", "attention", "conv", "attention"], "hidden_size": 320, "intermediate_size": 768,
            "heads": 5,
        }
    },
    "vocabulary 1,024": {"tokenizer": {"vocabulary": 1024}},
    "Muon 0.01": {"optimisation": {"muon_lr": 0.01}},
    "Muon 0.001": {"optimisation": {"muon_lr": 0.001}},
    "batch of 16 rows": {"optimisation": {"rows": 16}},
}  # fmt: skip


def variant(shipped: PretrainParams, changes: dict[str, dict[str, Any]], tokens: int) -> PretrainParams:
    """The shipped settings with some values changed, for a training of `tokens`."""
    values = shipped.model_dump()
    for section, changed in changes.items():
        values[section] |= changed
    chosen = values["optimisation"]
    steps = tokens // (chosen["rows"] * chosen["row_tokens"])
    chosen |= {"tokens": tokens, "probe_every_steps": max(1, steps // PROBES), "checkpoint_every_steps": steps + 1}
    return PretrainParams.model_validate(values)


def measure(name: str, params: PretrainParams) -> dict[str, Any]:
    """Train one variant in a temporary folder and read its record."""
    with tempfile.TemporaryDirectory() as folder:
        pretrain.run(params, Path(folder) / "model", Path(folder) / "work")
        record = json.loads((Path(folder) / "model" / "training.json").read_text(encoding="utf-8"))
    curve = record["curve"][:PROBES]
    return {
        "name": name,
        "parameters": record["parameters"],
        "tokens_per_second": round(record["tokens"] / record["seconds"]),
        "losses": [point["loss"] for point in curve],
    }


def main() -> None:
    """Run all variants and write their comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=1_500_000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/nano-trials.json"))
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    shipped = load(Path("params/profiles/nano.yaml"), PretrainParams, "pretrain")
    trials = [measure(name, variant(shipped, changes, options.tokens)) for name, changes in VARIANTS.items()]
    record = {
        "command": f"make bench-nano-trials (python -m benchmarks.nano_trials --tokens {options.tokens})",
        "machine": pretrain.hardware(torch.device("cpu")),
        "date": date.today().isoformat(),
        "tokens": options.tokens,
        "trials": trials,
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for one in trials:
        print(f"{one['name']:<26} {one['tokens_per_second']:>7,} tokens/s  losses {one['losses']}")


if __name__ == "__main__":
    main()
