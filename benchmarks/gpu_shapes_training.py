"""The SFT of benchmarks.gpu_shapes, by this project's trainer and by bare TRL, and what its trainings share.

The bare script has the same rows, weights, adapters and precision, and does not recompute activations, as TRL would by
default. Steps of `trainer.train()` are timed, from the start of each to that of the next, without scores on dev and
checkpoints.
"""

import gc
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHAPES: dict[str, dict[str, Any]] = {
    "llama": {
        "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "intermediate_size": 14336, "vocab_size": 128_256, "max_position_embeddings": 131_072,
    },
    "qwen3": {
        "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8,
        "intermediate_size": 3072, "vocab_size": 151_936, "max_position_embeddings": 40_960, "head_dim": 128,
        "tie_word_embeddings": True,
    },
}  # fmt: skip
TINY = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
    "intermediate_size": 128, "vocab_size": 2048,
}  # fmt: skip
PEAKS = {"H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "H200": 989e12}  # dense bfloat16, FLOP/s
WARM, ANSWER = 2, 256  # untimed steps, tokens of an answer
ROOM = 10  # seconds without which no other training is begun
WORDS = range(3, 1000)  # token ids that are drawn
Tell = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Batches:
    """Rows of SFT: their lengths, how many make a micro-batch, how many of those a step, how many steps are timed."""

    name: str
    shortest: int
    longest: int
    rows: int
    several: int
    steps: int
    recomputed: bool = False

    def smaller(self) -> "Batches":
        """What needs half the memory."""
        if self.rows > 1:
            return replace(self, rows=self.rows // 2, several=self.several * 2)
        return replace(self, longest=self.longest // 2, shortest=min(self.shortest, self.longest // 2))

    def tiny(self) -> "Batches":
        """For a trial on CPUs."""
        return replace(self, shortest=self.shortest // 16, longest=self.longest // 16, steps=2)

    def encoded(self) -> list[Any]:
        """Rows of random tokens, enough for all steps."""
        from components.training.encode import Encoded

        rng, rows = random.Random(0), list[Encoded]()
        for number in range(self.rows * self.several * (WARM + self.steps + 2)):
            ids = rng.choices(WORDS, k=rng.randint(self.shortest, self.longest))
            answer = min(ANSWER, len(ids) // 4)
            rows.append(Encoded(str(number), tuple(ids[:-answer]), tuple(ids[-answer:])))
        return rows


FULL = Batches("full rows", 4096, 4096, rows=1, several=4, steps=10)
SHORT = Batches("short rows", 128, 768, rows=8, several=4, steps=5)
TWO = Batches("two full rows", 4096, 4096, rows=2, several=2, steps=4)
PROFILE = Batches("the profile's micro-batch", 4096, 4096, rows=8, several=1, steps=3, recomputed=True)


def model_of(kind: str, tiny: bool) -> Any:
    """A model with random weights in bfloat16, made where it computes."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    ends = {"bos_token_id": None, "eos_token_id": 2, "pad_token_id": 0}  # the tokenizer's
    config = AutoConfig.for_model(kind, **(SHAPES[kind] | (TINY if tiny else {}) | ends))
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        return AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)


def tokenizer_of() -> Any:
    """A tokenizer whose ids all models here have."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(ROOT / "models/nano")


def settings_of(profile: str, method: str, **changed: Any) -> dict[str, Any]:
    """A method's settings in a profile, with some changed."""
    from components.params import Profile, load

    read = load(ROOT / f"params/profiles/{profile}.yaml", Profile)
    return {**read.methods[method], "dev_examples": 1, **changed}


def peak() -> float | None:
    """The card's FLOP/s, None where it is unknown."""
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return next((flops for known, flops in PEAKS.items() if all(word in name for word in known.split())), None)


def synchronise() -> None:
    """Wait for the GPU."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def free() -> None:
    """Release the GPU's memory, and start to measure its peak again."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


class Enough(Exception):
    """All steps are timed."""


class Meter:
    """Stands for a trainer's `training_step`: times steps from start to start, and counts their tokens."""

    def __init__(self, trainer: Any, several: int, warm: int, steps: int, until: float) -> None:
        from transformers import PrinterCallback

        trainer.remove_callback(PrinterCallback)
        trainer.args.max_steps = warm + steps + 1
        self._several, self._warm, self._steps, self._until = several, warm, steps, until
        self._starts: list[float] = []
        self._batches: list[tuple[Any, Any]] = []
        self._calls = 0
        self._step, trainer.training_step = trainer.training_step, self
        with suppress(Enough):
            trainer.train()

    def __call__(self, model: Any, inputs: Any, *others: Any, **settings: Any) -> Any:
        """Train on a micro-batch.

        Raises:
            Enough: All steps are timed, or, where the time is up, at least one.
        """
        if self._calls % self._several == 0:
            synchronise()
            self._starts.append(time.perf_counter())
            timed = len(self._starts) - 1 - self._warm
            if timed == self._steps or (timed > 0 and self._starts[-1] > self._until):
                raise Enough
        self._calls += 1
        if isinstance(inputs, dict):
            packed = "cu_seq_lens_q" in inputs  # TRL's packing has no mask
            lengths = inputs["cu_seq_lens_q"].diff() if packed else inputs["attention_mask"].sum(1)
            self._batches.append((lengths, (inputs["labels"] != -100).sum()))
        return self._step(model, inputs, *others, **settings)

    def seconds(self) -> list[float]:
        """Of each timed step."""
        return [end - start for start, end in pairwise(self._starts[self._warm :])]

    def counted(self) -> tuple[int, int, int]:
        """Tokens, answer tokens, and squared lengths of the timed steps."""
        timed = self._batches[self._warm * self._several :]
        lengths = [int(length) for row, _ in timed for length in row.tolist()]
        return sum(lengths), sum(int(answers) for _, answers in timed), sum(length**2 for length in lengths)


def our_sft(batches: Batches, model: Any, folder: Path) -> Any:
    """The trainer of `train_sft`."""
    from components.methods.sft.settings import SftParams
    from components.methods.sft.training import sft_job
    from components.training.precision import Compute

    params = SftParams.model_validate(settings_of(
        "llama-3.1-8b", "sft", max_tokens=batches.longest, batch_examples=batches.rows * batches.several,
        device_batch_examples=batches.rows, gradient_checkpointing=batches.recomputed,
    ))  # fmt: skip
    opened = model.train(), tokenizer_of()
    return sft_job(task_of(folder, []), params, opened, batches.encoded(), Compute.choose("bf16")).trainer


def task_of(folder: Path, examples: list[Any]) -> Any:
    """A task whose model is made, not opened."""
    from components.prompts import Prompt
    from components.training.task import TrainingTask

    return TrainingTask(folder, examples, Prompt("plain", "", "{text}"), lambda *_: 0.0, 1, folder, folder, "bf16")


def bare(folder: Path, **settings: Any) -> dict[str, Any]:
    """A TRL script's settings."""
    import torch

    from components.training.memory import recomputed

    shared = {"bf16": True, "use_cpu": not torch.cuda.is_available(), "report_to": "none", "save_strategy": "no"}
    quiet = {"output_dir": str(folder), "disable_tqdm": True, "logging_steps": 1}
    return {**quiet, **shared, **recomputed(enabled=False), **settings}


def adapters(profile: str, method: str) -> Any:
    """The profile's, as a TRL script has them."""
    from peft import LoraConfig

    lora = settings_of(profile, method)["lora"]
    return LoraConfig(
        r=lora["rank"], lora_alpha=lora["alpha"], lora_dropout=lora["dropout"], target_modules=lora["targets"],
        task_type="CAUSAL_LM",
    )  # fmt: skip


def bare_sft(batches: Batches, model: Any, folder: Path) -> Any:
    """TRL's trainer with its packing, into rows of as many tokens as the other side's micro-batch has on average."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    encoded = batches.encoded()
    rows = {"input_ids": [row.input_ids for row in encoded], "labels": [row.labels for row in encoded]}
    tokens = max(batches.longest, batches.rows * (batches.shortest + batches.longest) // 2)
    settings = SFTConfig(**bare(
        folder, per_device_train_batch_size=1, gradient_accumulation_steps=batches.several, learning_rate=1e-4,
        lr_scheduler_type="cosine", packing=True, max_length=tokens,
    ))  # fmt: skip
    return SFTTrainer(
        model=model, args=settings, train_dataset=Dataset.from_dict(rows), processing_class=tokenizer_of(),
        peft_config=adapters("llama-3.1-8b", "sft"),
    )  # fmt: skip


def trained(build: Callable[..., Any], batches: Batches, tiny: bool, until: float, compiled: bool) -> dict[str, Any]:
    """A few steps of SFT: speed and memory."""
    import torch

    model = model_of("llama", tiny)
    layers, across = model.model.layers, model.config.num_hidden_layers * model.config.hidden_size
    blocks = sum(weight.numel() for weight in layers.parameters() if weight.dim() > 1)
    head, whole = model.lm_head.weight.numel(), model.num_parameters()
    with tempfile.TemporaryDirectory() as folder:
        trainer = build(batches, model, Path(folder))
        for layer in layers if compiled else ():
            layer.compile()
        meter = Meter(trainer, batches.several, WARM, batches.steps, until)
    seconds, (tokens, answers, squares) = meter.seconds(), meter.counted()
    needed = 4 * blocks * tokens + 4 * head * answers + 6 * across * squares
    usual, possible = 6 * whole * tokens + 12 * across * squares, sum(seconds) * (peak() or 1)
    return asdict(batches) | {
        "timed_steps": len(seconds), "seconds_per_step": statistics.median(seconds), "tokens": tokens,
        "tokens_per_second": tokens / sum(seconds), "mfu": needed / possible if peak() else None,
        "mfu_6n": usual / possible if peak() else None, "needed_flops_per_token": needed / tokens, "peak": peak(),
        "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry][:1],
        "peak_gb": torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None,
    }  # fmt: skip


def sft(build: Callable[..., Any], kinds: tuple[Batches, ...], compiled: bool = False) -> Callable[..., None]:
    """A part that trains on each of these, with smaller micro-batches where memory does not suffice."""

    def run(tiny: bool, until: float, tell: Tell) -> None:
        import torch

        waiting, too_large = [each.tiny() if tiny else each for each in kinds], list[str]()
        while waiting and time.perf_counter() < until - (0 if tiny else ROOM):
            batches = waiting.pop(0)
            try:
                tell(
                    trained(build, batches, tiny, until, compiled) | {"out_of_memory": too_large, "compiled": compiled}
                )
                too_large = []
            except torch.OutOfMemoryError:
                too_large = [*too_large, f"{batches.rows} x {batches.longest}"]
                waiting.insert(0, batches.smaller())
            free()
        if waiting:
            tell({"left_out": [each.name for each in waiting]})

    return run
