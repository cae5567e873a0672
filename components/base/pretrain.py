"""Pretraining of the base model: from a seed to a folder that transformers loads.

Decides the loop only; what is taught is `curriculum`, how it is laid out `batches`. A killed run goes on from its
last checkpoint, and the result folder is replaced only when the training has ended.
"""

import json
import logging
import os
import platform
import random
import shutil
import time
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from components.base import tokenizer as tokenizers
from components.base.batches import Batch, Steps
from components.base.checkpoint import Checkpoint, Progress
from components.base.curriculum import Curriculum, segments
from components.base.model import Network, build, fused_convolutions
from components.base.probe import make_probe, measure
from components.params import OptimisationParams, PretrainParams

log = logging.getLogger(__name__)

MOST_NEW_TOKENS = 512


def run(params: PretrainParams, out: Path, work: Path, *, fresh: bool = False) -> None:
    """Train tokenizer and model, or go on where `work` stopped, and write the result to `out`.

    Raises:
        TrainingError: `work` holds a checkpoint of other settings, or one that cannot be read; nothing is changed.
    """
    if fresh and work.exists():
        shutil.rmtree(work)
    torch.manual_seed(params.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = make_tokenizer(params)
    model = build(params.architecture, tokenizer).to(device)  # pyright: ignore[reportArgumentType]
    checkpoint = Checkpoint(work / "checkpoint.pt", params, model, make_optimisers(model, params.optimisation))
    progress = checkpoint.load()
    with fused_convolutions():
        train(model, tokenizer, checkpoint, progress)
    save(model, tokenizer, progress, params, out)
    log.info("The model is in %s.", out)


def make_curriculum(params: PretrainParams) -> Curriculum:
    """The curriculum of these settings."""
    chosen = params.curriculum
    return Curriculum(chosen.weights, chosen.full_difficulty_at, chosen.most_messages)


def make_tokenizer(params: PretrainParams) -> PreTrainedTokenizerBase:
    """Count merges on lessons of full difficulty, drawn from a seed of their own."""
    curriculum, rng = make_curriculum(params), random.Random(f"{params.seed}/tokenizer")
    lessons = (curriculum.lesson(rng, 1.0) for _ in range(params.tokenizer.lessons))
    return tokenizers.train(
        ("".join(text for text, _ in segments(one)) for one in lessons), params.tokenizer.vocabulary
    )


def make_optimisers(model: nn.Module, params: OptimisationParams) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embeddings, norms and convolutions."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    taken = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in taken]
    return [
        torch.optim.Muon(matrices, lr=params.muon_lr, weight_decay=params.weight_decay, adjust_lr_fn="match_rms_adamw"),
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
    """Run the remaining steps, with a progress bar, probes on held-out lessons and checkpoints."""
    params, chosen = checkpoint.params, checkpoint.params.optimisation
    network, probe = Network.prepare(model, chosen), make_probe(params, tokenizer)
    data = Steps(make_curriculum(params), tokenizer, params)
    log.info(
        "%s parameters, %s steps of %s tokens, %s on %s.", f"{model.num_parameters():,}", f"{data.steps:,}",
        f"{chosen.rows * chosen.row_tokens:,}", "bf16" if network.bf16 else "fp32", hardware(model.device),
    )  # fmt: skip
    # A GPU would wait for the generator, so workers prepare its batches; a CPU has no core to spare.
    workers = max(1, (os.cpu_count() or 2) - 1) if model.device.type == "cuda" else 0
    todo = DataLoader(data, batch_size=None, sampler=range(progress.step, data.steps), num_workers=workers)
    bar = tqdm(todo, total=data.steps, initial=progress.step, unit="step", desc="pretrain", mininterval=5)
    losses: list[float] = []
    started = time.monotonic() - progress.seconds
    for batch in bar:
        factor = learning_rate_factor(progress.step, data.steps, chosen)
        losses.append(update(network, batch.to(model.device), checkpoint.optimisers, factor, chosen))
        progress.step += 1
        progress.tokens += int((batch.lessons_B_T > 0).sum())
        progress.answer_tokens += int((batch.targets_N >= 0).sum())
        progress.seconds = time.monotonic() - started
        recent = losses[-50:]
        speed = f"{progress.tokens / progress.seconds:,.0f} tokens/s"
        bar.set_postfix_str(f"loss {sum(recent) / len(recent):.3f}, {speed}", refresh=False)
        if progress.step % chosen.probe_every_steps == 0 or progress.step == data.steps:
            note(progress, losses, measure(network, probe))
            losses = []
        if progress.step % chosen.checkpoint_every_steps == 0:
            checkpoint.save(progress)


def update(
    network: Network, batch: Batch, optimisers: list[torch.optim.Optimizer], factor: float, params: OptimisationParams
) -> float:
    """One step on the mean cross-entropy of the answer tokens; returns it, in nats."""
    loss = nn.functional.cross_entropy(network.answer_logits(batch), batch.targets_N)
    loss.backward()
    nn.utils.clip_grad_norm_(network.model.parameters(), params.max_grad_norm)
    for one, rate in zip(optimisers, (params.muon_lr, params.adam_lr), strict=True):
        for group in one.param_groups:
            group["lr"] = rate * factor
        one.step()
        one.zero_grad(set_to_none=True)
    return loss.item()


def note(progress: Progress, losses: list[float], shares: dict[str, float]) -> None:
    """Keep a point of the learning curve, and say it."""
    loss = round(sum(losses) / max(1, len(losses)), 4)
    point = {"step": progress.step, "tokens": progress.tokens, "seconds": round(progress.seconds, 1), "loss": loss}
    progress.curve.append({**point, **shares})
    right = ", ".join(f"{skill} {share:.0%}" for skill, share in shares.items())
    tqdm.write(
        f"step {progress.step:,}, {progress.tokens / 1e6:.1f} M tokens, {progress.seconds:,.0f} s: loss {loss:.4f}; "
        f"held-out lessons right: {right}"
    )


def save(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, progress: Progress, params: PretrainParams, out: Path
) -> None:
    """Write model, tokenizer, generation config and the record of the training, first beside `out`, then into it."""
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
    # Half the bytes on disk, but loaded in the precision that every CPU computes in.
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
    (part / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    out.mkdir(parents=True, exist_ok=True)
    for file in part.iterdir():
        file.chmod(0o644)  # safetensors writes for the owner alone
        file.replace(out / file.name)
    part.rmdir()


def hardware(device: torch.device) -> str:
    """What the training runs on, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{torch.get_num_threads()} threads of {names[0] if names else platform.machine()}"
