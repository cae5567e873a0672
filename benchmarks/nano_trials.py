"""Short trainings of variants of the base model, for the comparison in the model card.

Each variant has the starting settings with the changes in its name, the same seed and the same number of tokens. A
short run shows how fast a variant starts, not where it would end.
"""

import argparse
import json
import logging
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import date
from pathlib import Path
from typing import Any

from components.base import pretrain
from components.params import PretrainParams, load

PROBES = 5
NOTE = (
    "The curriculum is that of the pretraining, in rows of 1,024 tokens. From this table the shipped model took seven "
    "layers, the vocabulary of 1,024 and Muon at 0.001."
)
START: dict[str, dict[str, Any]] = {
    "architecture": {"layers": ["conv", "conv", "attention", "conv", "attention", "attention"]},
    "tokenizer": {"vocabulary": 2048},
    "optimisation": {"rows": 32, "row_tokens": 1024, "muon_lr": 0.003},
}
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "start: six layers, three with attention; vocabulary 2,048; Muon 0.003": {},
    "Llama (attention only)": {"architecture": {"type": "llama", "layers": ["attention"] * 6}},
    "four wider layers": {
        "architecture": {
            "layers": ["conv", "attention", "conv", "attention"], "hidden_size": 320, "intermediate_size": 768,
            "heads": 5,
        }
    },
    "vocabulary 1,024": {"tokenizer": {"vocabulary": 1024}},
    "seven layers, four with attention": {
        "architecture": {"layers": ["conv", "attention", "conv", "attention", "conv", "attention", "attention"]}
    },
    "Muon 0.01": {"optimisation": {"muon_lr": 0.01}},
    "Muon 0.001": {"optimisation": {"muon_lr": 0.001}},
}  # fmt: skip


def variant(shipped: PretrainParams, changes: dict[str, dict[str, Any]], tokens: int) -> PretrainParams:
    """The shipped settings with the starting ones and then `changes` applied, for a training of `tokens`."""
    values = shipped.model_dump()
    for section, changed in (*START.items(), *changes.items()):
        values[section] |= changed
    chosen = values["optimisation"]
    steps = tokens // (chosen["rows"] * chosen["row_tokens"])
    chosen |= {"tokens": tokens, "probe_every_steps": max(1, steps // PROBES), "checkpoint_every_steps": steps + 1}
    return PretrainParams.model_validate(values)


def measure(name: str, params: PretrainParams) -> dict[str, Any]:
    """Train a variant in a temporary folder and read its record."""
    with tempfile.TemporaryDirectory() as folder:
        pretrain.run(params, Path(folder) / "model", Path(folder) / "work")
        record = json.loads((Path(folder) / "model" / "training.json").read_text(encoding="utf-8"))
    curve = record["curve"][:PROBES]
    return {
        "name": name,
        "parameters": record["parameters"],
        "tokens_per_second": round(record["tokens"] / record["seconds"]),
        "losses": [point["loss"] for point in curve],
        "held_out": {skill: curve[-1][skill] for skill in params.curriculum.weights},
        "machine": record["hardware"],
    }


def main() -> None:
    """Run all variants and write their comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=1_500_000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/nano-trials.json"))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--jobs", type=int, default=1, help="Trainings at a time, on a GPU that one does not fill.")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    shipped = load(Path("params/profiles/nano.yaml"), PretrainParams, "pretrain")
    trials: list[dict[str, Any]] = []
    with ProcessPoolExecutor(options.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        todo = [(name, variant(shipped, VARIANTS[name], options.tokens)) for name in options.variants]
        for done in as_completed([pool.submit(measure, name, params) for name, params in todo]):
            trials.append(result := done.result())
            print(
                f"{result['name']:<34} {result['tokens_per_second']:>9,} tokens/s  losses {result['losses']}",
                flush=True,
            )
            record = {
                "command": f"python -m benchmarks.nano_trials --tokens {options.tokens} --jobs {options.jobs}",
                "machine": result["machine"],
                "date": date.today().isoformat(),
                "tokens": options.tokens,
                "note": NOTE,
                "trials": sorted(trials, key=lambda trial: list(VARIANTS).index(trial["name"])),
            }
            options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
