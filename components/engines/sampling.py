"""Choosing the next token from logits."""

import zlib

import numpy as np
import torch
from torch import Tensor

from components.engines.base import Sampling

COLDEST = 1e-5  # a temperature below it is as good as 0, and float32 cannot divide every logit by less


def uniforms(example_id: str, sample: int, seed: int, n: int) -> np.ndarray:
    """The random numbers in [0, 1) that decide the first `n` tokens of one completion.

    They depend only on seed, example and sample, so a completion is the same in whatever batch it is computed.
    """
    return np.random.default_rng((seed, zlib.crc32(example_id.encode()), sample)).random(n, dtype=np.float32)


def choose(logits_RV: Tensor, uniforms_R: Tensor | None, sampling: Sampling) -> Tensor:
    """The next token of each row, by inverting the cumulative distribution at a uniform number.

    `top_p` keeps the smallest set of likeliest tokens whose probability reaches it (Holtzman et al. 2020,
    arXiv:1904.09751). Without uniforms, or at a temperature below `COLDEST`, the likeliest token is taken.
    """
    if uniforms_R is None or sampling.temperature < COLDEST:
        return logits_RV.argmax(-1)
    chances_RV = (logits_RV.float() / sampling.temperature).softmax(-1)
    if sampling.top_p == 1:
        return _inverted(chances_RV, uniforms_R)
    sorted_RV, tokens_RV = chances_RV.sort(-1, descending=True)
    kept_RV = sorted_RV.cumsum(-1) - sorted_RV < sampling.top_p
    return tokens_RV.gather(-1, _inverted(sorted_RV * kept_RV, uniforms_R)[:, None]).squeeze(-1)


def _inverted(chances_RV: Tensor, uniforms_R: Tensor) -> Tensor:
    """The index in each row at which its cumulative probabilities pass that part of their sum; never one with none."""
    reached_RV = chances_RV.cumsum(-1)
    mass_R1 = reached_RV[:, -1:]
    place_R = (reached_RV <= uniforms_R[:, None] * mass_R1).sum(-1)
    return torch.minimum(place_R, (reached_RV < mass_R1).sum(-1))
