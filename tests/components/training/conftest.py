"""Two-layer models of real architectures, with a tokenizer made here, and a workload of eight rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.engines import Sampling
from components.engines.transformers_engine import TransformersEngine
from components.prompts import Prompt
from components.records import Example
from components.training import Draws, Sample, TrainingTask

TEMPLATE = (
    "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{% endif %}"
)
PROMPT = Prompt("short", "Count.", "{text}")


def example(number: int) -> Example:
    text = " ".join(["box"] * (number % 4 + 1)) + f" for {number}"
    answer = f'{{"n": {number % 4 + 1}}}'
    return Example(id=f"E{number}", input={"text": text}, demonstration=answer, reference=answer, group=f"G{number}")


@pytest.fixture(scope="session")
def examples() -> list[Example]:
    return [example(number) for number in range(8)]


@pytest.fixture(scope="session")
def prompt() -> Prompt:
    return PROMPT


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """A byte-level tokenizer without merges: one token a byte, three special ones."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(["<|pad|>", "<|im_start|>", "<|im_end|>"])
    made = PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|pad|>", padding_side="left"
    )
    made.chat_template = TEMPLATE
    return made


def tiny_model(architecture: str, tokenizer: Any) -> Any:
    """Two layers of an architecture with random weights, always the same."""
    import torch
    import transformers

    shape: dict[str, Any] = {
        "vocab_size": 264,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 256,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
    }
    if architecture == "Lfm2":
        shape |= {"layer_types": ["conv", "full_attention"], "block_auto_adjust_ff_dim": False}
        del shape["head_dim"]
    torch.manual_seed(0)
    config = getattr(transformers, f"{architecture}Config")(**shape)
    return getattr(transformers, f"{architecture}ForCausalLM")(config)


@pytest.fixture(scope="session")
def model_folder(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The folder of a two-layer model: `model_folder("Lfm2")`, stored in bfloat16 where `bf16` is set."""
    made: dict[tuple[str, bool], Path] = {}

    def make(architecture: str = "Lfm2", *, bf16: bool = False) -> Path:
        import torch

        key = (architecture, bf16)
        if key not in made:
            folder = tmp_path_factory.mktemp(architecture)
            model = tiny_model(architecture, tokenizer)
            (model.to(torch.bfloat16) if bf16 else model).save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            made[key] = folder
        return made[key]

    return make


def draw(model: Any, tokenizer: Any, prompts: list[list[int]], draws: Draws) -> list[list[list[int]]]:
    """Completions by the local engine, as the stages draw them."""
    sampling = Sampling(temperature=draws.temperature, n=draws.n, max_new_tokens=draws.max_new_tokens, seed=draws.seed)
    return TransformersEngine(model, tokenizer).draw(prompts, sampling)


@pytest.fixture(scope="session")
def sample() -> Sample:
    return draw


@pytest.fixture
def make_task(
    model_folder: Callable[..., Path], examples: list[Example], tmp_path: Path
) -> Callable[..., TrainingTask]:
    """A task on the eight rows, in float32 so that runs can be compared to the last bit."""

    def make(**changes: Any) -> TrainingTask:
        settings: dict[str, Any] = {
            "model": model_folder(),
            "train": examples,
            "prompt": PROMPT,
            "score_dev": lambda model, tokenizer: 0.5,
            "seed": 1,
            "work": tmp_path / "work",
            "out": tmp_path / "out",
            "precision": "fp32",
        }
        return TrainingTask(**{**settings, **changes})

    return make
