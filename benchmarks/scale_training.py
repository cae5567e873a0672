"""One training by one process and by two, with whole copies (DDP) and with shared-out weights (FSDP2): is it the same?

A random model of two layers is trained by `sft` for 20 steps on CPUs, over gloo: correctness, no speed. Losses are
compared step by step and published weights one by one; a training that two processes began is resumed by one.
`make bench-scale-training` writes the result into benchmarks/scale.json.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

from benchmarks.engine_speed import machine, write
from components.errors import TrainingError
from components.params import LauncherParams
from components.records import Example

RECORD = Path(__file__).resolve().parent / "scale.json"
FIELD = "training_on_two_processes"
MODEL = Path(__file__).resolve().parents[1] / "models" / "nano"  # its tokenizer and its architecture
STEPS, EVALUATIONS, BATCH = 20, 4, 8
LEFT_AT = 3  # the evaluation at which an interrupted training ends: the checkpoint before it is gone on from
Strategy = Literal["ddp", "fsdp2"]


def example(number: int) -> Example:
    """A row whose answer counts its boxes."""
    text, answer = " ".join(["box"] * (number % 5 + 1)), f'{{"n": {number % 5 + 1}}}'
    return Example(
        id=f"E{number}", input={"text": f"{text}, {number}"}, demonstration=answer, reference=answer, group=f"G{number}"
    )


def lay_out(folder: Path) -> None:
    """A model of two layers with random weights, always the same."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(
        MODEL, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, layer_types=["conv", "full_attention"],
    )  # fmt: skip
    model: Any = AutoModelForCausalLM.from_config(config)
    model.float().save_pretrained(folder)
    AutoTokenizer.from_pretrained(MODEL).save_pretrained(folder)


def train(folder: Path, name: str, seed: int, leave: bool) -> None:
    """What each process does: SFT on the task of the folder; the main one writes its losses."""
    import torch

    from components.engines import Sampling
    from components.engines.transformers_engine import TransformersEngine
    from components.methods.sft.settings import SftParams
    from components.methods.sft.training import train_sft
    from components.prompts import Prompt
    from components.tracking import NullTracker
    from components.training import TrainingTask

    scored: list[float] = []

    def score(model: Any, tokenizer: Any) -> float:
        """The likelihood of a text, which any training raises; an engine answers too, as in a climb."""
        if leave and len(scored) + 1 == LEFT_AT:
            sys.exit(3)
        ids = tokenizer('box, 3 {"n": 1}', return_tensors="pt").input_ids
        with torch.no_grad():
            scored.append(float(torch.exp(-model(input_ids=ids, labels=ids).loss)))
        prompts = [tokenizer("box, 3").input_ids]
        TransformersEngine(model, tokenizer).draw(prompts, Sampling(max_new_tokens=4))
        return scored[-1] + len(scored)

    task = TrainingTask(
        model=folder / "model", train=[example(number) for number in range(80)], prompt=Prompt("short", "", "{text}"),
        score_dev=score, seed=seed, work=folder / name / "work", out=folder / name / "out", precision="fp32",
    )  # fmt: skip
    params = SftParams(
        epochs=STEPS * BATCH / 80, learning_rate=0.003, batch_examples=BATCH, device_batch_examples=BATCH // 2,
        evaluations=EVALUATIONS, patience=EVALUATIONS, max_tokens=128,
    )  # fmt: skip
    done = train_sft(task, params, NullTracker())
    if os.environ.get("RANK", "0") == "0":
        (folder / name / "losses.json").write_text(json.dumps(done.curves["loss"]), encoding="utf-8")


def launched(  # noqa: PLR0913 - a training is made of so many things
    folder: Path, name: str, processes: int, strategy: Strategy, *, seed: int = 1, leave: bool = False
) -> None:
    """Train in processes of their own.

    Raises:
        TrainingError: A process failed.
    """
    from components.training.launch import launch

    words = ["--folder", str(folder), "--name", name, "--seed", str(seed), *(["--leave"] if leave else [])]
    launch(
        LauncherParams(kind="torch", processes=processes, strategy=strategy),
        "benchmarks.scale_training", words, lambda: None,
    )  # fmt: skip


def losses(folder: Path, name: str) -> list[float]:
    """Of each step."""
    return [float(loss) for _, loss in json.loads((folder / name / "losses.json").read_text(encoding="utf-8"))]


def apart(folder: Path, name: str, other: str) -> tuple[float, float]:
    """The largest differences of losses at a step, and of weights; both were told of every step."""
    from safetensors.torch import load_file

    mine, theirs = losses(folder, name), losses(folder, other)
    assert len(mine) == len(theirs) == STEPS, (len(mine), len(theirs))
    first, second = (load_file(folder / each / "out" / "model.safetensors") for each in (name, other))
    assert first.keys() == second.keys()
    weights = max(float((first[key].float() - second[key].float()).abs().max()) for key in first)
    return max(abs(a - b) for a, b in zip(mine, theirs, strict=True)), weights


def measured(folder: Path, strategy: Strategy) -> dict[str, Any]:
    """A strategy against one process, which `alone` has trained before; and one process after two."""
    launched(folder, f"{strategy}-2", 2, strategy)
    loss, weights = apart(folder, f"{strategy}-2", "alone")
    try:
        launched(folder, f"{strategy}-2-1", 2, strategy, leave=True)
    except TrainingError:
        pass
    else:
        raise AssertionError("expected the training to be left in the middle, found that it went to its end")
    kept = sorted((folder / f"{strategy}-2-1" / "work").glob("checkpoint-*"))
    left = int(kept[-1].name.rpartition("-")[2])
    sharded = sorted(path.name for path in kept[-1].rglob("*.distcp"))
    launched(folder, f"{strategy}-2-1", 1, strategy)
    again, resumed = apart(folder, f"{strategy}-2-1", "alone")
    return {
        "loss_difference": loss, "weight_difference": weights, "resumed_from_step": left, "shards": len(sharded),
        "resumed_loss_difference": again, "resumed_weight_difference": resumed,
    }  # fmt: skip


def compared(folder: Path) -> dict[str, Any]:
    """All figures."""
    lay_out(folder / "model")
    launched(folder, "alone", 1, "ddp")
    trained = losses(folder, "alone")
    return {
        "steps": STEPS, "first_loss": trained[0], "last_loss": trained[-1],
        "ddp": measured(folder, "ddp"), "fsdp2": measured(folder, "fsdp2"),
    }  # fmt: skip


def main() -> None:
    """Compare, and write the record; a launched process trains."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--name", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--leave", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.name:
        train(options.folder, options.name, options.seed, options.leave)
        return
    with tempfile.TemporaryDirectory() as folder:
        record = {"command": "python -m benchmarks.scale_training", **compared(Path(folder))}
    print(json.dumps(record, indent=1))
    kept: Any = json.loads(RECORD.read_text(encoding="utf-8"))
    write(RECORD, {**kept, FIELD: {**machine(), **record}})


if __name__ == "__main__":
    main()
