"""Reads prompts into caches: the shared prefix once, the rest in groups almost without padding.

Rows of a group end at the same column. A shorter row is not padded: it starts earlier, inside the shared prefix, and
computes the prefix's last tokens again. Attention masks the cached copy of those tokens, and the row's short
convolutions start from their state at that position, which was recorded when the prefix was read. Only a row that
would start before its first token is padded, on the left, as in `generate`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, LinearAttentionLayer

from components.engines.planning import Layout


@dataclass(frozen=True)
class Prefix:
    """The number of tokens that all prompts start with, and their keys, values and convolution inputs."""

    length: int
    cache: DynamicCache | None


@dataclass(frozen=True)
class Filled:
    """The prompts of one group, read by the model.

    `layers` hold, for an attention layer, keys and values of each row's last tokens [rows, heads, width, head size],
    right-aligned, and for a convolution its last inputs [rows, channels, kernel].
    """

    lengths_R: Tensor
    layers: list[tuple[Tensor, Tensor] | Tensor]
    logits_RV: Tensor


def common_prefix(prompts: Sequence[list[int]]) -> int:
    """The number of tokens that all prompts start with; each prompt keeps at least one token of its own."""
    first, last = min(prompts), max(prompts)  # in lexical order, all others lie between these two
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    return min(same, min(map(len, prompts)) - 1)


def read_prefix(model: Any, tokens: Sequence[int]) -> Prefix:
    """Compute the shared prefix once."""
    if not tokens:
        return Prefix(0, None)
    cache = DynamicCache(config=model.config)
    cache.activate_past_recording()  # keeps the convolutions' inputs at every position
    ids_1T = torch.tensor([tokens], device=model.device)
    model(input_ids=ids_1T, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return Prefix(len(tokens), cache)


def read_prompts(model: Any, prefix: Prefix, prompts: Sequence[Sequence[int]], layout: Layout) -> Filled:
    """Compute what follows the shared prefix, for the prompts of one group in one forward pass."""
    lengths_R = torch.tensor([len(prompt) for prompt in prompts], device=model.device)
    computed = max(map(len, prompts)) - prefix.length
    rows = [[0] * (computed - len(prompt)) + list(prompt[-computed:]) for prompt in prompts]
    starts_R1 = (lengths_R - computed)[:, None]
    columns_C = torch.arange(computed, device=model.device)
    seen_R = starts_R1[:, 0].clamp(min=0)
    cache = _cache_at(model.config, prefix, seen_R)
    logits_R1V = model(
        input_ids=torch.tensor(rows, device=model.device),
        attention_mask=_masks(model.config, starts_R1, columns_C),
        position_ids=(starts_R1 + columns_C).clamp(min=0),
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    ).logits
    positions_RW = lengths_R[:, None] - layout.width + torch.arange(layout.width, device=model.device)
    places_RW = torch.where(positions_RW < starts_R1, positions_RW, positions_RW - starts_R1 + seen_R.max())
    return Filled(lengths_R, [_kept(layer, places_RW.clamp(min=0)) for layer in cache.layers], logits_R1V[:, -1])


def _kept(layer: Any, places_RW: Tensor) -> tuple[Tensor, Tensor] | Tensor:
    """What later steps need from a layer."""
    if isinstance(layer, LinearAttentionLayer):
        state: Any = layer.conv_states[0]
        return state
    index_RHWD = places_RW[:, None, :, None].expand(-1, layer.keys.shape[1], -1, layer.keys.shape[3])
    return layer.keys.gather(2, index_RHWD), layer.values.gather(2, index_RHWD)


def _masks(config: Any, starts_R1: Tensor, columns_C: Tensor) -> Any:
    """What each computed token may attend to, [rows, 1, computed, seen + computed], True where it may."""
    rows, computed = starts_R1.shape[0], columns_C.shape[0]
    seen_S = torch.arange(int(starts_R1.max().clamp(min=0)), device=starts_R1.device)
    real_RC = columns_C >= -starts_R1
    own_CC = columns_C <= columns_C[:, None]
    # Padding attends to itself: the softmax of a token that attends to nothing would be NaN.
    own_RCC = own_CC & (real_RC[:, None] | (columns_C == columns_C[:, None]))
    seen_RCS = (seen_S < starts_R1)[:, None].expand(rows, computed, -1)
    attention = torch.cat((seen_RCS, own_RCC), -1)[:, None]
    if getattr(config, "layer_types", None) is None:
        return attention
    # As `create_masks_for_generate` does: models that mix kinds of layers take a mask for each kind.
    return {"full_attention": attention, "conv": None if bool(real_RC.all()) else real_RC}


def _cache_at(config: Any, prefix: Prefix, seen_R: Tensor) -> DynamicCache:
    """The prefix's cache as each row sees it: shared keys and values, convolution states at the row's own start."""
    cache = DynamicCache(config=config)
    if prefix.cache is None:
        return cache
    seen = int(seen_R.max())
    for layer, source in zip(cache.layers, prefix.cache.layers, strict=True):
        if isinstance(source, LinearAttentionLayer):
            _start_convolution(layer, source, seen_R)
        else:
            _start_attention(layer, source, len(seen_R), seen)
    return cache


def _start_attention(layer: Any, source: Any, rows: int, seen: int) -> None:
    """Give each row a view of the keys and values that any row of the group sees."""
    layer.lazy_initialization(source.keys, source.values)
    layer.keys = source.keys[:, :, :seen].expand(rows, -1, -1, -1)
    layer.values = source.values[:, :, :seen].expand(rows, -1, -1, -1)


def _start_convolution(layer: Any, source: Any, seen_R: Tensor) -> None:
    """Give each row the last inputs before its first computed token, zeros where there are none."""
    kernel = source.conv_kernel_size[0]
    inputs_CT = torch.nn.functional.pad(source.conv_states[0][0], (kernel, 0))
    window_RK = seen_R[:, None] + torch.arange(kernel, device=seen_R.device)
    state_RCK = inputs_CT[:, window_RK].transpose(0, 1).contiguous()
    layer.lazy_initialization(conv_states=state_RCK)
    layer.conv_states[0] = state_RCK
    layer.has_previous_state[0] = True
