"""Choosing the next token from logits."""

import zlib

import numpy as np
import torch
from torch import Tensor

from components.engines.base import Sampling


def uniforms(example_id: str, sample: int, sampling: Sampling) -> np.ndarray:
    """The numbers in [0, 1) that decide one completion, one a token.

    They depend on seed, example and sample alone, so a completion is the same in whatever batch it is computed.
    """
    key = (sampling.seed, zlib.crc32(example_id.encode()), sample)
    return np.random.default_rng(key).random(sampling.max_new_tokens, dtype=np.float32)


def choose(logits_RV: Tensor, uniforms_R: Tensor | None, sampling: Sampling) -> Tensor:
    """The next token of each row, by inverting the cumulative distribution at a uniform number.

    `top_p` keeps the smallest set of likeliest tokens whose probability reaches it (Holtzman et al. 2020,
    arXiv:1904.09751). Without uniforms, or at temperature 0, the likeliest token is taken.
    """
    if uniforms_R is None or sampling.temperature == 0:
        return logits_RV.argmax(-1)
    chances_RV, tokens_RV = (logits_RV.float() / sampling.temperature).softmax(-1).sort(-1, descending=True)
    reached_RV = chances_RV.cumsum(-1)
    kept_RV = reached_RV - chances_RV < sampling.top_p
    mass_R1 = (chances_RV * kept_RV).sum(-1, keepdim=True)
    place_R1 = (reached_RV <= uniforms_R[:, None] * mass_R1).sum(-1, keepdim=True)
    last_R1 = kept_RV.sum(-1, keepdim=True) - 1
    return tokens_RV.gather(-1, torch.minimum(place_R1, last_R1)).squeeze(-1)
