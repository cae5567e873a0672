"""Speed at real shapes on one GPU, with random weights: SFT of 8 billion weights, rollouts and GRPO of 0.6 billion.

    python -m benchmarks.gpu_shapes --out OUT

SFT has the shape of Llama-3.1-8B and its profile's adapters, rollouts and GRPO those of Qwen3-0.6B. Bare TRL, and
transformers' `generate`, have the same weights, rows and adapters. Each part is a process of its own, started early
for its imports; what it measures is written to OUT/gpu_shapes.json at once.

With adapters this project packs no rows, and compiles no layers. `full rows` need no padding; `short rows` are padded
here and packed by bare TRL. Both store activations, for which one card has the memory; the profile recomputes them, in
larger micro-batches: part `sft_settings`. Part `sft_compiled`, not among the default ones, is what compiled layers
would bring.

`mfu` counts what LoRA needs: 4 FLOPs per token and weight of the blocks, forward and for the gradients of activations,
as much for the output embedding at answer tokens, and 6 x layers x width x the sum of squared lengths for causal
attention. Nothing is counted for the adapters, for recomputed activations, and for padding. `mfu_6n` is the usual 6
FLOPs per token and parameter and 12 x layers x width x length per token (Chowdhery et al. 2022, PaLM, arXiv:2204.02311,
appendix B), though frozen weights have no gradients. The peak is that of dense bfloat16 in the card's data sheet.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.gpu_shapes_rollouts import grpo, rollouts
from benchmarks.gpu_shapes_training import FULL, PROFILE, SHORT, TWO, bare_sft, our_sft, sft
from benchmarks.ladder import machine


@dataclass(frozen=True)
class Part:
    """What measures, what it imports before its turn, and its seconds at most; what one leaves, the others have."""

    run: Callable[..., None]
    imports: str
    seconds: float


SFT = "components.methods.sft.trainer"
PARTS = {
    "sft": Part(sft(our_sft, (FULL, SHORT)), SFT, 50),
    "rollouts": Part(rollouts, "components.engines.transformers_engine", 35),
    "sft_bare": Part(sft(bare_sft, (FULL, SHORT)), SFT, 50),
    "grpo": Part(grpo, "components.methods.grpo.trainer", 50),
    "sft_settings": Part(sft(our_sft, (PROFILE, TWO)), SFT, 60),
    "sft_compiled": Part(sft(our_sft, (FULL,), compiled=True), SFT, 120),
}
LEAST = 10.0  # seconds without which no part is begun
GRACE = 4.0  # between the time at which a part is to end and that at which it is ended


def work(part: str, tiny: bool, pipe: Any) -> None:
    """A part's process: imports, waits for its turn, and sends what it measures."""
    try:
        importlib.import_module(PARTS[part].imports)
        pipe.send(("ready", None))
        seconds: float = pipe.recv()
        pipe.send(("machine", machine()))
        PARTS[part].run(tiny, time.perf_counter() + seconds, lambda row: pipe.send(("row", row)))
    except Exception:  # a failed part must not end the others; it is reported with its cause
        pipe.send(("failed", {"failed": traceback.format_exc()[-2000:]}))
    pipe.send(("done", {}))


class Board:
    """The record, written after each message."""

    def __init__(self, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self._path, self._began = out / "gpu_shapes.json", time.perf_counter()
        self.record: dict[str, Any] = {
            "command": " ".join(["python -m benchmarks.gpu_shapes", *sys.argv[1:]]), "machine": None,
            "date": date.today().isoformat(),
            "versions": {name: version(name) for name in ("torch", "transformers", "trl", "peft", "accelerate")},
            "rows": {}, "ratios": {},
        }  # fmt: skip

    def seconds(self) -> float:
        """Since the start."""
        return time.perf_counter() - self._began

    def take(self, part: str, kind: str, content: Any) -> None:
        """Write what a part sends, and print it."""
        if kind == "machine":
            self.record["machine"] = content
        elif kind not in ("ready", "done"):
            self.record["rows"].setdefault(part, []).append(content)
            print(f"{self.seconds():5.1f} s {part}: {json.dumps(content)}", flush=True)
        self.record["ratios"] = ratios(self.record["rows"])
        self.record["seconds"] = self.seconds()
        part_file = self._path.with_name(self._path.name + ".part")
        part_file.write_text(json.dumps(self.record, indent=1) + "\n", encoding="utf-8")
        part_file.replace(self._path)


def ratios(rows: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """How many times as fast as the bare side, by part and kind of rows."""
    bare = {
        (row["name"], row["longest"]): row["tokens_per_second"] for row in rows.get("sft_bare", []) if "name" in row
    }
    trained = [row for row in rows.get("sft", []) if (row.get("name"), row.get("longest")) in bare]
    drawn = [row for row in rows.get("rollouts", []) if "ratio" in row]
    steps = [row for row in rows.get("grpo", []) if "ratio" in row]
    return (
        {f"sft, {row['name']}": row["tokens_per_second"] / bare[row["name"], row["longest"]] for row in trained}
        | {f"rollouts, {row['shared_prompt_tokens']} shared tokens": row["ratio"] for row in drawn}
        | {f"grpo, {row['new_tokens']} new tokens": row["ratio"] for row in steps}
    )


def follow(board: Board, part: str, process: Any, pipe: Any, limit: float) -> None:
    """Let a part run for as long as it may, once it has its imports, and take what it sends."""
    until = limit
    try:
        while pipe.poll(max(0.0, until - board.seconds())):
            kind, content = pipe.recv()
            board.take(part, kind, content)
            if kind == "ready":
                until = min(limit, board.seconds() + PARTS[part].seconds)
                pipe.send(until - board.seconds() - GRACE)
            if kind == "done":
                return
        board.take(part, "failed", {"failed": f"ended at {board.seconds():.0f} s"})
    except (EOFError, OSError):
        process.join(1)
        board.take(part, "failed", {"failed": f"the process died with exit code {process.exitcode}"})


def main() -> None:
    """Run the parts one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="a folder")
    parser.add_argument("--limit-seconds", type=float, default=150)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS)[:-1])
    parser.add_argument("--tiny", action="store_true", help="tiny shapes, to try the script on CPUs")
    options = parser.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TQDM_DISABLE": "1"}
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    board, context, started = Board(options.out), multiprocessing.get_context("spawn"), dict[str, Any]()
    for part in options.parts:
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(part, options.tiny, theirs), daemon=True)
        process.start()
        theirs.close()  # so that a death is an end of file
        started[part] = process, ours
    for part, (process, pipe) in started.items():
        if options.limit_seconds - board.seconds() < LEAST:
            board.take(part, "row", {"left_out": "out of time"})
        else:
            follow(board, part, process, pipe, options.limit_seconds)
        process.kill()  # which releases the GPU's memory
        process.join()
    print(json.dumps(board.record["ratios"], indent=1))


if __name__ == "__main__":
    main()
