"""The memory of a batch that is being completed: the shared prefix once, and each row's own tokens.

Every step attends to these two parts: the prefix, one product for all rows together, and the row's own tokens. The
prefix is thus neither copied nor read once for each row (Juravsky et al. 2024, Hydragen, arXiv:2402.05099).
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
    """Keys and values of the rows' own tokens, in buffers that are written in place."""

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

    def get_seq_length(self) -> int:
        return self.used


@dataclass
class Batch:
    """The rows that are being completed.

    `shared` holds, for each attention layer, the prefix's keys [heads, head size, tokens] and values [heads, tokens,
    head size]; `hidden_RL` is −∞ where a row's buffer holds nothing yet of its prompt, else 0.
    """

    cache: Cache
    shared: dict[int, tuple[Tensor, Tensor]]
    hidden_RL: Tensor
    positions_R: Tensor

    def keep(self, places: list[int], along_RX: Tensor) -> Tensor:
        """Go on with these places only, in this order and as often as named; select from `along_RX` as well."""
        places_K = torch.tensor(places, device=along_RX.device)
        self.cache.reorder_cache(places_K)  # pyright: ignore[reportArgumentType]
        self.hidden_RL, self.positions_R = self.hidden_RL[places_K], self.positions_R[places_K]
        return along_RX[places_K]

    def step(self, model: Any, tokens_R: Tensor) -> Tensor:
        """Read one more token in each row; logits of the next, [rows, vocabulary]."""
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


def assemble(prefix: Prefix, filled: Sequence[Filled], layout: Layout, new_tokens: int) -> Batch:
    """Lay filled prompts out as one batch, all ending at the same column, with room for new tokens."""
    layers: list[Any] = []
    shared: dict[int, tuple[Tensor, Tensor]] = {}
    for at, first in enumerate(filled[0].layers):
        parts: list[Any] = [part.layers[at] for part in filled]
        if isinstance(first, Tensor):
            layers.append(_convolution(torch.cat(parts)))
            continue
        keys, values = (_with_room(tensors, new_tokens) for tensors in zip(*parts, strict=True))
        layers.append(OwnLayer(keys, values, layout.width))
        if prefix.cache is not None and layout.shared:
            source: Any = prefix.cache.layers[at]
            keys_HPD, values_HPD = source.keys[0, :, : layout.shared], source.values[0, :, : layout.shared]
            shared[at] = keys_HPD.transpose(-1, -2).contiguous(), values_HPD
    lengths_R = torch.cat([part.lengths_R for part in filled])
    columns_L = torch.arange(layout.width + new_tokens, device=lengths_R.device)
    empty_RL = columns_L < (layout.width + layout.shared - lengths_R)[:, None]
    hidden_RL = torch.zeros(empty_RL.shape, device=lengths_R.device).masked_fill(empty_RL, float("-inf"))
    return Batch(Cache(layers=layers), shared, hidden_RL, lengths_R)


def _with_room(parts_RHWD: Sequence[Tensor], new_tokens: int) -> Tensor:
    """The rows of all groups in one buffer, columns for new tokens behind theirs."""
    rows, (_, heads, width, size) = sum(map(len, parts_RHWD)), parts_RHWD[0].shape
    buffer = parts_RHWD[0].new_empty(rows, heads, width + new_tokens, size)
    torch.cat(list(parts_RHWD), out=buffer[:, :, :width])
    return buffer


def _convolution(state_RCK: Tensor) -> LinearAttentionLayer:
    """A convolution layer that has seen its last inputs."""
    layer = LinearAttentionLayer()
    layer.lazy_initialization(conv_states=state_RCK)
    layer.conv_states[0], layer.has_previous_state[0] = state_RCK, True
    return layer


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **settings: Any
) -> tuple[Tensor, None]:
    """Attention of one new token a row to the shared prefix and to the row's own tokens, as one softmax.

    `query` is [rows, query heads, 1, head size], `key` and `value` [rows, heads, own tokens, head size].
    """
    batch: Batch = settings["batch"]
    rows, heads, own, size = key.shape
    query_RHGD = (query * settings["scaling"]).view(rows, heads, -1, size)
    if query.dtype == torch.bfloat16 and query.device.type == "cpu":
        return _attend_in_halves(query_RHGD, key, value, batch, batch.shared.get(module.layer_idx)), None
    scores = query_RHGD @ key.transpose(-1, -2) + batch.hidden_RL[:, None, None, :own].to(query.dtype)
    if module.layer_idx not in batch.shared:
        out_RHGD = scores.float().softmax(-1).to(value.dtype) @ value
        return out_RHGD.reshape(rows, 1, -1, size), None
    keys_HDP, values_HPD = batch.shared[module.layer_idx]
    across_HXP = query_RHGD.transpose(0, 1).reshape(heads, -1, size) @ keys_HDP
    across_RHGP = across_HXP.view(heads, rows, -1, keys_HDP.shape[-1]).transpose(0, 1)
    weights = torch.cat((across_RHGP, scores), -1).float().softmax(-1).to(value.dtype)
    to_shared, to_own = weights.split((keys_HDP.shape[-1], own), -1)
    from_shared_HXD = to_shared.transpose(0, 1).reshape(heads, -1, keys_HDP.shape[-1]) @ values_HPD
    out_RHGD = to_own @ value + from_shared_HXD.view(heads, rows, -1, size).transpose(0, 1)
    return out_RHGD.reshape(rows, 1, -1, size), None


def _attend_in_halves(
    query_RHGD: Tensor, key: Tensor, value: Tensor, batch: Batch, shared: tuple[Tensor, Tensor] | None
) -> Tensor:
    """The same in bfloat16 on a CPU, where batched products would copy the keys at every step.

    Own tokens by the kernel that reads them where they are, the prefix apart, joined by the logarithms of their sums.
    """
    rows, heads, groups, size = query_RHGD.shape
    hidden_RL = batch.hidden_RL[:, None, None, : key.shape[2]].to(query_RHGD.dtype)
    own_RHGD, own_RHG = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query_RHGD, key, value, attn_mask=hidden_RL, scale=1.0
    )
    if shared is None:
        return own_RHGD.reshape(rows, 1, -1, size)
    keys_HDP, values_HPD = shared
    scores_HXP = (query_RHGD.transpose(0, 1).reshape(heads, -1, size) @ keys_HDP).float()
    prefix_HX = scores_HXP.logsumexp(-1)
    prefix_HXD = (scores_HXP - prefix_HX[..., None]).exp().to(values_HPD.dtype) @ values_HPD
    share_RHG1 = torch.sigmoid(own_RHG - prefix_HX.view(heads, rows, groups).transpose(0, 1))[..., None]
    prefix_RHGD = prefix_HXD.view(heads, rows, groups, size).transpose(0, 1)
    joined = torch.lerp(prefix_RHGD.float(), own_RHGD.float(), share_RHG1)
    return joined.to(value.dtype).reshape(rows, 1, -1, size)


@contextmanager
def attention(model: Any, name: str) -> Generator[None]:
    """Compute a model's attention in another way for a while."""
    AttentionInterface.register(ATTENTION, attend)
    before = model.config._attn_implementation
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
