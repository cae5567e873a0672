"""Training of a base model by the clock: as many tokens as a machine manages in the seconds it is lent.

The learning rate follows the time that has gone by, so the decay is complete whenever the seconds are over. The model is
saved at fixed shares of the time, so that a machine taken away early leaves one behind.

    python -m components.base.clocked nano2 --seconds 450 --out models/nano2
"""

import argparse
import json
import logging
import os
import random
import shutil
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from components.base import senses
from components.base import tokenizer as tokenizers
from components.base.batches import Batch, encode, pack, place
from components.base.checkpoint import Progress
from components.base.curriculum import Curriculum, segments
from components.base.lexicon import everyday_words
from components.base.model import build
from components.base.pretrain import Start, hardware, make_optimisers, note, save
from components.base.rows import Feed, Generators, curriculum_of, measured_rate, phase_at
from components.base.twins import TwinEmbedding, piece_texts
from components.models import fused_convolutions
from components.params import ClockedParams, load

log = logging.getLogger(__name__)

SAY_EVERY_SECONDS = 10.0
PART_BYTES = 15 * 2**20
WORDS_AGAIN = 500  # how often the tokenizer's texts repeat the everyday words


@dataclass(frozen=True)
class Body:
    """The layers of a model over embeddings that twins share, computed in bfloat16 where that is fast."""

    layers: nn.Module
    embedding: TwinEmbedding
    bf16: bool

    def states(self, batch: Batch, *, compiled: nn.Module | None = None) -> Tensor:
        """States (N, H) at the positions from which answer tokens are predicted."""
        mask: dict[str, Tensor | None] = {"full_attention": batch.mask(), "conv": None}
        layers = self.layers if compiled is None else compiled
        computed = layers(
            input_ids=batch.tokens_B_T, position_ids=batch.positions_B_T, attention_mask=mask, use_cache=False
        )
        return computed.last_hidden_state.flatten(0, 1)[batch.sources_N]

    def logits(self, batch: Batch, *, compiled: nn.Module | None = None) -> Tensor:
        """Logits (N, V) in float32."""
        with torch.autocast(batch.tokens_B_T.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            return functional.linear(self.states(batch, compiled=compiled), self.embedding.table()).float()


def make_tokenizer(params: ClockedParams) -> PreTrainedTokenizerBase:
    """Count merges on lessons of the last phase, drawn from a seed of their own, and on everyday words."""
    curriculum, rng = curriculum_of(params.phases[-1]), random.Random(f"{params.seed}/tokenizer")
    lessons = (curriculum.lesson(rng, 1.0) for _ in range(params.tokenizer.lessons))
    texts = ["".join(text for text, _ in segments(one)) for one in lessons]
    texts += [" ".join(everyday_words())] * WORDS_AGAIN
    if params.tokenizer.joined:
        return tokenizers.train_joined(texts, params.tokenizer.vocabulary)
    return tokenizers.train(iter(texts), params.tokenizer.vocabulary)


def make_body(params: ClockedParams, tokenizer: PreTrainedTokenizerBase, device: torch.device) -> Body:
    """Random weights from the seed, on a device."""
    torch.manual_seed(params.seed)
    model = build(params.architecture, tokenizer)
    layers = model.model
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    known = senses.read(piece_texts(tokens)) if params.tokenizer.senses else None
    embedding = TwinEmbedding(tokens, params.architecture.hidden_size, known)
    layers.embed_tokens = embedding
    return Body(layers.train().to(device), embedding, bf16=device.type == "cuda")


def make_probe(params: ClockedParams, tokenizer: PreTrainedTokenizerBase) -> dict[str, Batch]:
    """For each skill one batch of held-out lessons at full difficulty with one message each."""
    probe: dict[str, Batch] = {}
    for skill in {name: 0 for phase in params.phases for name in phase.weights}:
        curriculum, rng = Curriculum({skill: 1.0}, 1.0, 1), random.Random(f"{params.seed}/probe/{skill}")
        rows: list[list[tuple[list[int], list[bool]]]] = [[] for _ in range(params.clock.probe_lessons // 2 + 1)]
        for _ in range(params.clock.probe_lessons):
            place(encode(curriculum.lesson(rng, 1.0, held_out=True), tokenizer), rows, params.clock.row_tokens)
        probe[skill] = pack([row for row in rows if row], params.clock.row_tokens)
    return probe


@torch.no_grad()
def measure(body: Body, probe: dict[str, Batch], device: torch.device) -> dict[str, float]:
    """Share of each skill's lessons in which every answer token is the most likely one after the right ones."""
    shares: dict[str, float] = {}
    for skill, kept in probe.items():
        batch = kept.to(device)
        wrong_N = (body.logits(batch).argmax(-1) != batch.targets_N) & (batch.targets_N >= 0)
        failed = batch.lessons_B_T.flatten()[batch.sources_N[wrong_N]].unique()
        shares[skill] = round(1 - len(failed) / max(1, int(batch.lessons_B_T.max())), 4)
    return shares


def plain_model(body: Body, params: ClockedParams, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """The model as transformers loads it, twins told apart."""
    model = build(params.architecture, tokenizer)
    state = {name: value for name, value in body.layers.state_dict().items() if not name.startswith("embed_tokens.")}
    model.model.load_state_dict({**state, "embed_tokens.weight": body.embedding.table().detach()})
    model.tie_weights()
    return model


def save_parts(folder: Path, parts: Path) -> None:
    """The folder as one archive in pieces: `cat model.tar.* | tar x` puts it together."""
    parts.mkdir(parents=True, exist_ok=True)
    archive = folder.with_suffix(".tar")
    with tarfile.open(archive, "w") as tar:
        tar.add(folder, arcname=folder.name)
    content = archive.read_bytes()
    for at in range(0, len(content), PART_BYTES):
        piece = parts / f"model.tar.{at // PART_BYTES}"
        piece.with_suffix(".part").write_bytes(content[at : at + PART_BYTES])
        piece.with_suffix(".part").replace(piece)
    archive.unlink()


@dataclass
class Clock:
    """The seconds of a training: when it began to learn and when it must be over."""

    end: float
    begun: float | None = None

    def share(self) -> float:
        """How much of the time has gone by, in [0, 1]; 0 until the first step, which compiles, is done."""
        if self.begun is None:
            return 0.0
        return min(1.0, (time.monotonic() - self.begun) / max(1e-6, self.end - self.begun))


def rate_factor(step: int, share: float, params: ClockedParams) -> float:
    """Linear warm-up by steps, constant, then linear decay to zero over the last `decay_share` of the time."""
    warm = (step + 1) / max(1, params.clock.warmup_steps)
    return min(warm, (1 - share) / params.clock.decay_share, 1.0)


def train(
    params: ClockedParams, tokenizer: PreTrainedTokenizerBase, out: Path, parts: Path | None, clock: Clock, *,
    device: torch.device, workers: int, compiled: bool,
) -> None:  # fmt: skip
    """Learn until the clock ends, and save."""
    generators = Generators(params, tokenizer, workers)
    probe, body = make_probe(params, tokenizer), make_body(params, tokenizer, device)
    fast = torch.compile(body.layers) if compiled else body.layers
    optimisers = make_optimisers(body.layers, params.clock)  # pyright: ignore[reportArgumentType]
    feed, progress, losses = Feed(generators, params, pinned=device.type == "cuda"), Progress(), list[Tensor]()
    waiting, said, begun = list(params.clock.saves), time.monotonic(), time.monotonic()
    for number, batch in enumerate(feed):
        share = clock.share()
        generators.share.value = share
        if share >= 1.0 or time.monotonic() >= clock.end:
            break
        losses.append(_step(body, fast, batch.to(device), optimisers, rate_factor(number, share, params), params))
        progress.step += 1
        progress.tokens += int((batch.lessons_B_T > 0).sum())
        progress.answer_tokens += int((batch.targets_N >= 0).sum())
        if clock.begun is None:
            losses[-1].item()
            clock.begun = time.monotonic()
            log.info("The first step is done after %.0f s.", clock.begun - begun)
        if time.monotonic() - said > SAY_EVERY_SECONDS:
            said = _say(progress, losses, feed, clock, share)
        if waiting and share >= waiting[0]:
            waiting.pop(0)
            progress.seconds = time.monotonic() - begun
            _keep(body, probe, params, tokenizer, progress, losses, out, parts, device)
            losses = losses[-50:]
    progress.seconds = time.monotonic() - begun
    _keep(body, probe, params, tokenizer, progress, losses, out, parts, device)
    generators.stop()


def _step(
    body: Body, fast: nn.Module, batch: Batch, optimisers: list[torch.optim.Optimizer], factor: float, params: ClockedParams
) -> Tensor:  # fmt: skip
    loss = functional.cross_entropy(body.logits(batch, compiled=fast), batch.targets_N)
    loss.backward()
    nn.utils.clip_grad_norm_(body.layers.parameters(), params.clock.max_grad_norm)
    for one, rate in zip(optimisers, (params.clock.muon_lr, params.clock.adam_lr), strict=True):
        for group in one.param_groups:
            group["lr"] = rate * factor
        one.step()
        one.zero_grad(set_to_none=True)
    return loss.detach()


def _say(progress: Progress, losses: list[Tensor], feed: Feed, clock: Clock, share: float) -> float:
    recent = torch.stack(losses[-50:]).mean().item()
    now = time.monotonic()
    speed = progress.tokens / max(1e-6, now - (clock.begun or now))
    log.info(
        "%3.0f %%, step %s, %.1f M tokens, %s tokens/s, loss %.4f, rows used %.2f times",
        100 * share, f"{progress.step:,}", progress.tokens / 1e6, f"{speed:,.0f}", recent,
        feed.used_rows / max(1, feed.new_rows),
    )  # fmt: skip
    return now


def _keep(
    body: Body, probe: dict[str, Batch], params: ClockedParams, tokenizer: PreTrainedTokenizerBase, progress: Progress,
    losses: list[Tensor], out: Path, parts: Path | None, device: torch.device,
) -> None:  # fmt: skip
    """Probe, save, and archive what was saved."""
    note(progress, losses[-200:], measure(body, probe, device))
    model = plain_model(body, params, tokenizer).to(device)  # pyright: ignore[reportArgumentType, reportCallIssue]
    save(Start(model, tokenizer), progress, params, out)  # pyright: ignore[reportArgumentType]
    if parts is not None:
        save_parts(out, parts)


def main() -> None:
    """Train the profile's base by the clock."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", type=Path, help="A YAML file of these settings.")
    parser.add_argument("--out", type=Path, required=True, help="The model's folder.")
    parser.add_argument("--parts", type=Path, help="A folder that the model is also written to as an archive in pieces.")
    parser.add_argument("--seconds", type=float, required=True, help="Of everything, from the start of the program.")
    parser.add_argument("--tokenizer", type=Path, help="A folder with a tokenizer made before.")
    parser.add_argument("--only-tokenizer", action="store_true", help="Make the tokenizer into OUT, and stop.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 4))
    parser.add_argument("--rows", type=int, help="Rows of a step, for a try.")
    parser.add_argument("--tiny", action="store_true", help="Two narrow layers, for a try.")
    options = parser.parse_args()
    clock = Clock(time.monotonic() + options.seconds)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    params = _for_a_try(load(options.settings, ClockedParams), tiny=options.tiny, rows=options.rows)
    if options.tokenizer and not options.only_tokenizer:
        tokenizer = AutoTokenizer.from_pretrained(options.tokenizer)
    else:
        tokenizer = make_tokenizer(params)
    if options.only_tokenizer:
        tokenizer.save_pretrained(options.out)
        rate = measured_rate(params, tokenizer, 5.0)
        log.info("%s tokens; one process makes %s tokens a second.", f"{len(tokenizer):,}", f"{rate:,.0f}")
        return
    log.info("Start: %s tokens in the vocabulary, %s processes make rows.", f"{len(tokenizer):,}", options.workers)
    with fused_convolutions():
        train(
            params, tokenizer, options.out, options.parts, clock, device=torch.device(options.device),
            workers=options.workers, compiled=options.device == "cuda" or not options.tiny,
        )  # fmt: skip
    log.info("The model is in %s; trained on %s.", options.out, hardware(torch.device(options.device)))


def _for_a_try(params: ClockedParams, *, tiny: bool, rows: int | None) -> ClockedParams:
    values = params.model_dump()
    if rows:
        values["clock"]["rows"] = rows
    if tiny:
        values["architecture"] |= {"hidden_size": 64, "intermediate_size": 128, "heads": 2, "layers": ["conv", "attention"]}
        values["clock"] |= {"probe_lessons": 4, "warmup_steps": 5}
    return ClockedParams.model_validate(values)


if __name__ == "__main__":
    main()
