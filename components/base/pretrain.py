"""Training of the base model, from scratch or from the weights of an earlier training, to a loadable folder.

Only the loop is here; `curriculum` decides what is taught and `batches` how it is laid out. A killed run resumes from
its last checkpoint, and the result folder is replaced only when training has finished.
"""

import json
import logging
import os
import platform
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from components.base import tokenizer as tokenizers
from components.base.batches import Batch, Steps
from components.base.checkpoint import Checkpoint, Progress
from components.base.curriculum import Curriculum, segments
from components.base.model import Network, build
from components.base.probe import make_probe, measure
from components.models import cpu_computes_bf16, fused_convolutions, open_model
from components.params import MidtrainParams, OptimisationParams, PretrainParams, RoughCurriculumParams
from components.training.optimiser import Muon

log = logging.getLogger(__name__)

Params = PretrainParams | MidtrainParams

MOST_NEW_TOKENS = 512
MOST_WORKERS = 16  # processes that generate batches for a GPU
SHOW_EVERY_STEPS = 20  # reading every loss would make a GPU wait


def run(params: PretrainParams, out: Path, work: Path, *, fresh: bool = False) -> None:
    """Train tokenizer and model, or resume from `work`, and write the result to `out`.

    Raises:
        TrainingError: `work` holds an unreadable checkpoint, or one of other settings; nothing is changed.
    """
    torch.manual_seed(params.seed)
    tokenizer = make_tokenizer(params)
    _run(params, Start(build(params.architecture, tokenizer), tokenizer), out, work, fresh=fresh)


def midtrain(params: MidtrainParams, start: Path, out: Path, work: Path, *, fresh: bool = False) -> None:
    """Train an existing model further, or resume from `work`, and write the result to `out`.

    Raises:
        EngineError: `start` is not a model folder.
        TrainingError: `work` holds an unreadable checkpoint, or one of other settings; nothing is changed.
    """
    torch.manual_seed(params.seed)
    record = json.loads((start / "training.json").read_text(encoding="utf-8"))
    _run(params, Start(*open_model(start), record), out, work, fresh=fresh)


def was_made_by(params: Params, folder: Path) -> bool:
    """Whether a folder holds the result of training with these settings."""
    record = folder / "training.json"
    try:
        return json.loads(record.read_text(encoding="utf-8"))["fingerprint"] == params.fingerprint()
    except (OSError, ValueError, LookupError, TypeError, RecursionError):  # damaged, or not written by a training
        return False


@dataclass(frozen=True)
class Start:
    """The starting point of a training; `record` is that of the training before it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    record: dict[str, Any] | None = None


def _run(params: Params, start: Start, out: Path, work: Path, *, fresh: bool) -> None:
    """Train from `start`, or resume, and write the result."""
    if fresh and work.exists():
        shutil.rmtree(work)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model, tokenizer = start.model.train().to(device), start.tokenizer  # pyright: ignore[reportArgumentType]
    checkpoint = Checkpoint(work / "checkpoint.pt", params, model, make_optimisers(model, params.optimisation))
    progress = checkpoint.load()
    with fused_convolutions():
        train(model, tokenizer, checkpoint, progress)
    save(start, progress, params, out)
    log.info("The model is in %s.", out)


def make_curriculum(params: Params) -> Curriculum:
    """The curriculum of these settings."""
    chosen = params.curriculum
    rough = chosen.rough_share if isinstance(chosen, RoughCurriculumParams) else 0.0
    return Curriculum(chosen.weights, chosen.full_difficulty_at, chosen.most_messages, rough)


def make_tokenizer(params: PretrainParams) -> PreTrainedTokenizerBase:
    """Learn the merges from lessons of full difficulty, drawn with a seed of their own."""
    curriculum, rng = make_curriculum(params), random.Random(f"{params.seed}/tokenizer")
    lessons = (curriculum.lesson(rng, 1.0) for _ in range(params.tokenizer.lessons))
    return tokenizers.train(
        ("".join(text for text, _ in segments(lesson)) for lesson in lessons), params.tokenizer.vocabulary
    )


def make_optimisers(model: nn.Module, params: OptimisationParams) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embeddings, norms and convolutions."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    taken = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in taken]
    return [
        Muon(matrices, lr=params.muon_lr, weight_decay=params.weight_decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=params.adam_lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def learning_rate_factor(step: int, steps: int, params: OptimisationParams) -> float:
    """Linear warm-up, constant, then linear decay to zero over the last `decay_share` of the steps."""
    warm = (step + 1) / max(1, params.warmup_steps)
    decay = (steps - step) / max(1.0, steps * params.decay_share)
    return min(warm, decay, 1.0)


def train(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, checkpoint: Checkpoint, progress: Progress
) -> None:
    """Run the remaining steps, with a progress bar, held-out probes and checkpoints."""
    params, chosen = checkpoint.params, checkpoint.params.optimisation
    network, probe = Network.prepare(model, chosen), make_probe(params, tokenizer)
    data = Steps(make_curriculum(params), tokenizer, params)
    log.info(
        "%s parameters, %s steps of %s tokens, %s on %s.", f"{model.num_parameters():,}", f"{data.steps:,}",
        f"{chosen.rows * chosen.row_tokens:,}", "bf16" if network.bf16 else "fp32", hardware(model.device),
    )  # fmt: skip
    # A GPU would wait for the generator, so worker processes prepare its batches; a CPU has no core to spare.
    gpu = model.device.type == "cuda"
    workers = min(MOST_WORKERS, (os.cpu_count() or 2) - 1) if gpu else 0
    steps = range(progress.step, data.steps)
    todo = DataLoader(data, batch_size=None, sampler=steps, num_workers=workers, pin_memory=gpu)
    bar = tqdm(todo, total=data.steps, initial=progress.step, unit="step", desc="pretrain", mininterval=5)
    losses: list[Tensor] = []
    started = time.monotonic() - progress.seconds
    for batch in bar:
        factor = learning_rate_factor(progress.step, data.steps, chosen)
        losses.append(update(network, batch.to(model.device), checkpoint.optimisers, factor, chosen))
        progress.step += 1
        progress.tokens += int((batch.lessons_B_T > 0).sum())
        progress.answer_tokens += int((batch.targets_N >= 0).sum())
        progress.seconds = time.monotonic() - started
        if progress.step % SHOW_EVERY_STEPS == 0:
            loss, speed = mean(losses[-SHOW_EVERY_STEPS:]), progress.tokens / progress.seconds
            bar.set_postfix_str(f"loss {loss:.3f}, {speed:,.0f} tokens/s", refresh=False)
        if progress.step % chosen.probe_every_steps == 0 or progress.step == data.steps:
            note(progress, losses, measure(network, probe))
            losses = []
        if progress.step % chosen.checkpoint_every_steps == 0:
            checkpoint.save(progress)


def update(
    network: Network, batch: Batch, optimisers: list[torch.optim.Optimizer], factor: float, params: OptimisationParams
) -> Tensor:
    """One step on the mean cross-entropy of the answer tokens; returns it in nats, without synchronising with a GPU."""
    loss = nn.functional.cross_entropy(network.answer_logits(batch), batch.targets_N)
    loss.backward()
    nn.utils.clip_grad_norm_(network.model.parameters(), params.max_grad_norm)
    for optimiser, rate in zip(optimisers, (params.muon_lr, params.adam_lr), strict=True):
        for group in optimiser.param_groups:
            group["lr"] = rate * factor
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return loss.detach()


def mean(losses: list[Tensor]) -> float:
    """The mean of some losses; synchronises with a GPU."""
    return torch.stack(losses).mean().item() if losses else 0.0


def note(progress: Progress, losses: list[Tensor], shares: dict[str, float]) -> None:
    """Add a point to the learning curve and log it."""
    loss = round(mean(losses), 4)
    point = {"step": progress.step, "tokens": progress.tokens, "seconds": round(progress.seconds, 1), "loss": loss}
    progress.curve.append({**point, **shares})
    right = ", ".join(f"{skill} {share:.0%}" for skill, share in shares.items())
    tqdm.write(
        f"step {progress.step:,}, {progress.tokens / 1e6:.1f} M tokens, {progress.seconds:,.0f} s: loss {loss:.4f}; "
        f"held-out lessons right: {right}"
    )


def save(start: Start, progress: Progress, params: Params, out: Path) -> None:
    """Write model, tokenizer, generation config and training record next to `out`, then move them there."""
    model, tokenizer = start.model, start.tokenizer
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    ran_on = hardware(model.device)
    model.generation_config = GenerationConfig(
        do_sample=False,
        max_new_tokens=MOST_NEW_TOKENS,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model.to(torch.bfloat16).save_pretrained(part)  # pyright: ignore[reportArgumentType, reportCallIssue]
    tokenizer.save_pretrained(part)
    # Stored in half the bytes, but loaded in float32, in which every CPU computes.
    config = json.loads((part / "config.json").read_text(encoding="utf-8"))
    config["dtype"] = "float32"
    (part / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    record = {
        "seed": params.seed,
        "fingerprint": params.fingerprint(),
        "parameters": model.num_parameters(),
        "hardware": ran_on,
        "torch": torch.__version__,
        **vars(progress),
    }
    if start.record is not None:
        record["before"] = start.record
    (part / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    out.mkdir(parents=True, exist_ok=True)
    for file in part.iterdir():
        file.chmod(0o644)  # safetensors makes files that only their owner can read
        file.replace(out / file.name)
    part.rmdir()


def hardware(device: torch.device) -> str:
    """A description of the hardware; of a CPU also its vector instructions, by which speeds differ most."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    vectors = torch.backends.cpu.get_cpu_capability() + (" with BF16" if cpu_computes_bf16() else "")
    return f"{torch.get_num_threads()} threads of {names[0] if names else platform.machine()} ({vectors})"
