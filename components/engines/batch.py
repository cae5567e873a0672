"""The cache of a batch during decoding: the shared prefix once, and each row's own tokens.

Every step attends to two parts: the prefix, by one product for all rows together, and the row's own tokens. So the
prefix is neither copied nor read once a row (Juravsky et al. 2024, Hydragen, arXiv:2402.05099).
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.cache_utils import Cache, DynamicLayer, LinearAttentionLayer

from components.engines.planning import Layout
from components.engines.prefill import Filled, Prefix

ATTENTION = "gradus_shared_prefix"


class OwnLayer(DynamicLayer):
    """Keys and values of each row's own tokens, in buffers that are written in place."""

    def __init__(self, keys: Tensor, values: Tensor, used: int) -> None:
        super().__init__()
        self.keys, self.values, self.used = keys, values, used
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append one token to each row."""
        keys_RHLD, values_RHLD = cast(tuple[Tensor, Tensor], (self.keys, self.values))
        keys_RHLD[:, :, self.used] = key_states[:, :, 0]
        values_RHLD[:, :, self.used] = value_states[:, :, 0]
        self.used += 1
        return keys_RHLD[:, :, : self.used], values_RHLD[:, :, : self.used]

    def move(self, places: Tensor, to: Tensor, rows: int) -> None:
        """Copy the rows at `places` to `to`, then keep only the first `rows` rows."""
        for tensor_RHLD in (self.keys, self.values):
            cast(Tensor, tensor_RHLD)[to, :, : self.used] = cast(Tensor, tensor_RHLD)[places, :, : self.used]
        self.keys, self.values = cast(Tensor, self.keys)[:rows], cast(Tensor, self.values)[:rows]

    def get_seq_length(self) -> int:
        return self.used


@dataclass
class Batch:
    """The rows being decoded.

    `shared` holds, for each attention layer, the prefix's keys [heads, head size, tokens] and values [heads, tokens,
    head size]; `hidden_RL` is −∞ where a row's buffer holds no token of its prompt, else 0. `attended` counts the
    layers that attended by `attend`.
    """

    cache: Cache
    shared: dict[int, tuple[Tensor, Tensor]]
    hidden_RL: Tensor
    positions_R: Tensor
    attended: int = 0

    def keep(self, places: Sequence[int]) -> list[int]:
        """Keep only these places; returns their new order. The last ones fill the gaps; the others are not moved."""
        rows, staying = len(places), set(places)
        gaps = [place for place in range(rows) if place not in staying]
        last = sorted(place for place in places if place >= rows)
        filling = dict(zip(gaps, last, strict=True))
        order = [filling.get(place, place) for place in range(rows)]
        device = self.positions_R.device
        order_R, gaps_M, last_M = (torch.tensor(some, dtype=torch.long, device=device) for some in (order, gaps, last))
        for layer in self.cache.layers:
            if isinstance(layer, OwnLayer):
                layer.move(last_M, gaps_M, rows)
            else:
                layer.reorder_cache(cast(Any, order_R))
        self.hidden_RL, self.positions_R = self.hidden_RL[order_R], self.positions_R[order_R]
        return order

    def step(self, model: Any, tokens_R: Tensor) -> Tensor:
        """Read one more token in each row; returns the next one's logits [rows, vocabulary]."""
        logits_R1V = model(
            input_ids=tokens_R[:, None],
            position_ids=self.positions_R[:, None],
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
            batch=self,
        ).logits
        self.positions_R = self.positions_R + 1
        return logits_R1V[:, -1]


def assemble(
    prefix: Prefix, filled: Sequence[Filled], layout: Layout, prompts: Sequence[int], new_tokens: int
) -> Batch:
    """Arrange read prompts as one batch, all ending at the same column, with room for new tokens.

    `prompts` has the index of each row's prompt; several rows may complete the same one.
    """
    lengths_R = torch.cat([part.lengths_R for part in filled])
    prompts_R = torch.tensor(prompts, device=lengths_R.device)
    layers: list[Any] = []
    shared: dict[int, tuple[Tensor, Tensor]] = {}
    for at, first in enumerate(filled[0].layers):
        parts: list[Any] = [part.layers[at] for part in filled]
        if isinstance(first, Tensor):
            layers.append(_convolution(torch.cat(parts)[prompts_R]))
            continue
        keys, values = (_with_room(torch.cat(tensors), prompts_R, new_tokens) for tensors in zip(*parts, strict=True))
        layers.append(OwnLayer(keys, values, layout.width))
        if prefix.cache is not None and layout.shared:
            source: Any = prefix.cache.layers[at]
            keys_HPD, values_HPD = (kept[0, :, : layout.shared].to(keys.dtype) for kept in (source.keys, source.values))
            shared[at] = keys_HPD.transpose(-1, -2).contiguous(), values_HPD
    lengths_R = lengths_R[prompts_R]
    columns_L = torch.arange(layout.width + new_tokens, device=lengths_R.device)
    empty_RL = columns_L < (layout.width + layout.shared - lengths_R)[:, None]
    hidden_RL = torch.zeros(empty_RL.shape, device=lengths_R.device).masked_fill(empty_RL, float("-inf"))
    return Batch(Cache(layers=layers), shared, hidden_RL, lengths_R)


def _with_room(read_PHWD: Tensor, prompts_R: Tensor, new_tokens: int) -> Tensor:
    """Each row's keys or values, followed by columns for new tokens.

    In float32 on a CPU, whatever the model's dtype: with one query a row, products in bfloat16 take twice as long.
    """
    _, heads, width, size = read_PHWD.shape
    kind = torch.float32 if read_PHWD.device.type == "cpu" else read_PHWD.dtype
    buffer = read_PHWD.new_empty(len(prompts_R), heads, width + new_tokens, size, dtype=kind)
    buffer[:, :, :width] = read_PHWD[prompts_R]
    return buffer


def _convolution(state_RCK: Tensor) -> LinearAttentionLayer:
    """A convolution layer with its last inputs as its state."""
    layer = LinearAttentionLayer()
    layer.lazy_initialization(conv_states=state_RCK)
    layer.conv_states[0], layer.has_previous_state[0] = state_RCK, True
    return layer


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **settings: Any
) -> tuple[Tensor, None]:
    """Attention from one new token in each row to the shared prefix and the row's own tokens, in one softmax.

    `query` is [rows, query heads, 1, head size], `key` and `value` [rows, heads, own tokens, head size].
    """
    batch: Batch = settings["batch"]
    batch.attended += 1
    rows, heads, own, size = key.shape
    query_RHGD = (query * settings["scaling"]).view(rows, heads, -1, size).to(key.dtype)
    scores = query_RHGD @ key.transpose(-1, -2) + batch.hidden_RL[:, None, None, :own].to(key.dtype)
    if module.layer_idx not in batch.shared:
        out_RHGD = scores.float().softmax(-1).to(value.dtype) @ value
        return out_RHGD.reshape(rows, 1, -1, size).to(query.dtype), None
    keys_HDP, values_HPD = batch.shared[module.layer_idx]
    across_HXP = query_RHGD.transpose(0, 1).reshape(heads, -1, size) @ keys_HDP
    across_RHGP = across_HXP.view(heads, rows, -1, keys_HDP.shape[-1]).transpose(0, 1)
    weights = torch.cat((across_RHGP, scores), -1).float().softmax(-1).to(value.dtype)
    to_shared, to_own = weights.split((keys_HDP.shape[-1], own), -1)
    from_shared_HXD = to_shared.transpose(0, 1).reshape(heads, -1, keys_HDP.shape[-1]) @ values_HPD
    out_RHGD = to_own @ value + from_shared_HXD.view(heads, rows, -1, size).transpose(0, 1)
    return out_RHGD.reshape(rows, 1, -1, size).to(query.dtype), None


@contextmanager
def attention(model: Any, name: str) -> Generator[None]:
    """Switch a model's attention implementation within the context."""
    AttentionInterface.register(ATTENTION, attend)
    before = model.config._attn_implementation
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
