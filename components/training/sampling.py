"""Sampled completions of a batch of prompts with one model, several for each prompt.

A prompt is computed once and its state repeated for its completions; rows that have ended are dropped; keys and values
grow in place. `generate` of transformers does none of these: on a CPU they are most of the time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from components.training.batches import left_padded

ROOM = 32  # tokens by which keys and values grow at a time
DROP_SHARE = 0.75  # of the rows still running, below which the others are dropped


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn; `stops` end one and are its last token."""

    n: int
    temperature: float
    max_new_tokens: int
    stops: tuple[int, ...]
    pad: int


@dataclass(frozen=True)
class Drawn:
    """Completions as token ids, those of one prompt together, and the mean entropy in nats of the drawn tokens."""

    completions: list[list[int]]
    entropy: float


class GrowingLayer(DynamicLayer):
    """Keys and values of shape (B, H, T, D), views of buffers with room, so that a new token copies no old ones."""

    _buffers: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        old, total = self.get_seq_length(), self.get_seq_length() + key_states.shape[-2]
        if self._buffers is None or self._buffers[0].shape[-2] < total:
            self._buffers = self._with_room(self.keys, key_states), self._with_room(self.values, value_states)
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[..., old:total, :] = states
        self.keys, self.values = (buffer[..., :total, :] for buffer in self._buffers)
        return self.keys, self.values

    def _with_room(self, states: Any, new: Tensor) -> Tensor:
        """A buffer that begins with these states and has room for new ones and more."""
        length = self.get_seq_length()
        buffer = new.new_empty((*new.shape[:-2], length + new.shape[-2] + ROOM, new.shape[-1]))
        if length:
            buffer[..., :length, :] = states
        return buffer

    def reorder_cache(self, beam_idx: Any) -> None:
        """Select rows, which leaves the buffers behind."""
        super().reorder_cache(beam_idx)
        self._buffers = None


def _growing_cache(model: Any) -> DynamicCache:
    """An empty cache for a model, its plain layers replaced by growing ones."""
    cache = DynamicCache(config=model.config)
    cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


class Rows:
    """Completions being drawn: the rows still running, their state, and all tokens so far."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], sampling: Sampling) -> None:
        self.model, self.sampling, device = model, sampling, model.device
        tokens = left_padded(prompts, sampling.pad).to(device)
        mask = left_padded([[1] * len(prompt) for prompt in prompts], 0).to(device)
        self.cache = _growing_cache(model)
        self.mask, self.logits = mask, self._forward(tokens, mask, (mask.cumsum(-1) - 1).clamp(min=0))
        repeated = torch.arange(len(prompts), device=device).repeat_interleave(sampling.n)
        self._select(repeated)
        self.running = torch.arange(len(repeated), device=device)
        self.tokens = torch.full((len(repeated), sampling.max_new_tokens), sampling.pad, device=device)
        self.lengths = torch.zeros(len(repeated), dtype=torch.long, device=device)
        self.ended = torch.zeros(len(repeated), dtype=torch.bool, device=device)
        self.entropy, self.drawn = 0.0, 0

    def _forward(self, tokens: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        """Logits (B, V) in float32 of the token after the last."""
        out = self.model(
            input_ids=tokens, attention_mask=mask, position_ids=positions, past_key_values=self.cache,
            use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        return out.logits[:, -1].float()

    def _select(self, rows: Tensor) -> None:
        """Keep these rows of the state, in this order, perhaps several times."""
        cache: Any = self.cache  # its signature asks for a type that no tensor has
        cache.reorder_cache(rows)
        self.mask, self.logits = self.mask[rows], self.logits[rows]

    def draw(self, place: int) -> bool:
        """Draw the completions' token number `place`; whether any completion goes on."""
        log_p = (self.logits / self.sampling.temperature).log_softmax(-1)
        p = log_p.exp()
        new = torch.multinomial(p, 1)
        going = ~self.ended
        self.entropy -= float((p * log_p.clamp(min=-1e4)).sum(-1)[going].sum())
        self.drawn += int(going.sum())
        alive = self.running[going]
        self.tokens[alive, place] = new[going, 0]
        self.lengths[alive] = place + 1
        self.ended |= torch.isin(new[:, 0], torch.tensor(self.sampling.stops, device=new.device))
        left = int((~self.ended).sum())
        if not left or place + 1 == self.sampling.max_new_tokens:
            return False
        if left < DROP_SHARE * len(self.ended):
            kept = (~self.ended).nonzero()[:, 0]
            self._select(kept)
            new, self.running, self.ended = new[kept], self.running[kept], self.ended[kept]
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), 1)], dim=1)
        self.logits = self._forward(new, self.mask, self.mask.sum(-1, keepdim=True) - 1)
        return True


@torch.no_grad()
def draw_completions(model: Any, prompts: Sequence[Sequence[int]], sampling: Sampling) -> Drawn:
    """Draw `sampling.n` completions of each prompt (token ids), from torch's global random state."""
    rows = Rows(model, prompts, sampling)
    place = 0
    while rows.draw(place):
        place += 1
    lengths = rows.lengths.tolist()
    completions = [row[:length] for row, length in zip(rows.tokens.tolist(), lengths, strict=True)]
    return Drawn(completions, rows.entropy / max(rows.drawn, 1))


def draw_many(model: Any, prompts: Sequence[Sequence[int]], sampling: Sampling, batch: int) -> list[list[list[int]]]:
    """`sampling.n` completions of each of many prompts, `batch` prompts at a time, the longest first."""
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]), reverse=True)
    found: list[list[list[int]]] = [[] for _ in prompts]
    for start in tqdm(range(0, len(order), batch), desc="probe", unit="batch"):
        chosen = order[start : start + batch]
        drawn = draw_completions(model, [prompts[index] for index in chosen], sampling).completions
        for place, index in enumerate(chosen):
            found[index] = drawn[place * sampling.n : (place + 1) * sampling.n]
    return found
