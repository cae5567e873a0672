"""The architecture (transformers' LFM2 or Llama, configured), and how it is made fast."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import (
    Lfm2Config,
    Lfm2ForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from components.base.batches import Batch
from components.params import ArchitectureParams, OptimisationParams


def build(params: ArchitectureParams, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """A model with random weights and the tokenizer's vocabulary and special tokens."""
    shared: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": params.hidden_size,
        "intermediate_size": params.intermediate_size,
        "num_hidden_layers": len(params.layers),
        "num_attention_heads": params.heads,
        "num_key_value_heads": params.heads,
        "max_position_embeddings": params.context_tokens,
        "rope_parameters": {"rope_type": "default", "rope_theta": params.rope_theta},
        "tie_word_embeddings": True,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
    }
    if params.type == "llama":
        return LlamaForCausalLM(LlamaConfig(**shared))
    kinds = ["full_attention" if kind == "attention" else "conv" for kind in params.layers]
    return Lfm2ForCausalLM(Lfm2Config(**shared, layer_types=kinds, block_auto_adjust_ff_dim=False))


@dataclass(frozen=True)
class Network:
    """A model as it is trained: optionally with compiled layers and bfloat16 matrices."""

    model: PreTrainedModel
    layers: Callable[..., Any]
    bf16: bool

    @classmethod
    def prepare(cls, model: PreTrainedModel, params: OptimisationParams) -> "Network":
        """Compile the layers if the settings say so and there is a compiler; pick the precision."""
        layers = model.model
        if params.compile and any(map(shutil.which, ("c++", "g++", "clang++"))):
            layers = torch.compile(layers)
        bf16 = params.precision == "bf16" or (params.precision == "auto" and _has_bf16(model.device))
        return cls(model, layers, bf16)

    def answer_logits(self, batch: Batch) -> Tensor:
        """Logits (N, V) in float32, only at the positions from which answer tokens are predicted."""
        mask: Tensor | dict[str, Tensor | None] = batch.mask()
        if hasattr(self.model.config, "layer_types"):  # models with mixed layers take a mask per kind
            mask = {"full_attention": batch.mask(), "conv": None}
        with torch.autocast(self.model.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            states_B_T_H = self.layers(
                input_ids=batch.tokens_B_T, position_ids=batch.positions_B_T, attention_mask=mask, use_cache=False
            ).last_hidden_state
            return self.model.lm_head(states_B_T_H.flatten(0, 1)[batch.sources_N]).float()


def _has_bf16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 natively: GPUs, and CPUs with AVX-512 BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported()  # pyright: ignore[reportPrivateUsage]
