"""Tiny models with random weights and a tokenizer of one token a character, built in this process."""

import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.engines import ChatRequest
from components.records import Message

CHARACTERS = string.ascii_lowercase + string.digits + " .,\n"
SPECIALS = ["<|pad|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools here') }}{% endif %}"
    "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.4,
    "max_position_embeddings": 256,
    "vocab_size": len(SPECIALS) + len(CHARACTERS),
    "bos_token_id": None,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "tie_word_embeddings": False,  # tied, a random model says its last token again
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "lfm2": {"num_hidden_layers": 4, "layer_types": ["conv", "full_attention"] * 2, "block_auto_adjust_ff_dim": False},
    "llama": {"num_hidden_layers": 2},
    "qwen3": {"num_hidden_layers": 2, "head_dim": 8},
}
# Random models end an answer by chance only: with every sixth character an end token, answers differ in length.
ENDS = [2, *range(3, 3 + len(CHARACTERS), 6)]


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: at for at, token in enumerate([*SPECIALS, *CHARACTERS])}
    letters = Tokenizer(models.WordLevel(vocabulary, unk_token="."))
    letters.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    letters.decoder = decoders.Fuse()
    letters.add_special_tokens(SPECIALS)
    return PreTrainedTokenizerFast(
        tokenizer_object=letters, pad_token="<|pad|>", eos_token="<|im_end|>", chat_template=TEMPLATE
    )


def build(kind: str, **changes: Any) -> Any:
    """A model of one architecture; attention heads share keys and values."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(5)
    layers = ARCHITECTURES.get(kind, {"num_hidden_layers": 2})
    config = AutoConfig.for_model(kind, **{**SIZES, **layers, **changes})
    model = AutoModelForCausalLM.from_config(config).eval()
    model.generation_config.eos_token_id = ENDS
    return model


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Any]:
    return build


def saved(model: Any, tokenizer: Any, folder: Path) -> Path:
    """A model's folder."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def chat_request(name: str, user: str, system: str = "") -> ChatRequest:
    turns = [Message(role="user", content=user)]
    return ChatRequest(name, [Message(role="system", content=system), *turns] if system else turns)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model with nano's template and random weights."""
    from components.engines.transformers_engine import TransformersEngine
    from components.models import open_model
    from tests.flows.conftest import save_tiny_model

    folder = tmp_path_factory.mktemp("model") / "tiny"
    save_tiny_model(folder)
    return TransformersEngine(*open_model(folder))


@pytest.fixture(scope="session")
def make_request() -> Callable[..., ChatRequest]:
    return chat_request
