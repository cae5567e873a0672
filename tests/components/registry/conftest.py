"""One real SQLite record for all tests of the registry, a real two-layer model, and winners to register."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.records import Makes, Message, Rung, Verdict
from components.registry import Candidate, Champion, Check, open_run, register_winner
from components.registry.store import connect

PROMOTED = Verdict(champion="sft", challenger="grpo", decision="promoted", reasons=("5 points better", "p = 0.001"))
WORDS = ["the", "parcel", "is", "late", "my", "order", "broke", "please", "refund", "now", "it"]


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The client of a fresh record; creating its tables takes seconds, so there is one."""
    folder = tmp_path_factory.mktemp("record")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        yield connect()


def build_model(folder: Path, seed: int) -> Path:
    """Save a Llama of two layers, with random weights and a tokenizer of a dozen words."""
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(("<pad>", "<end>", "<unk>", *WORDS))}
    raw = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="<end>", unk_token="<unk>")
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64, pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def generate(folder: Path, conversations: Any) -> list[str]:
    """Answer greedily with the model in a folder."""
    import torch

    from components.models import open_model

    model, tokenizer = open_model(folder)
    answers: list[str] = []
    for messages in conversations:
        ids = tokenizer(messages[-1].content, return_tensors="pt").input_ids
        with torch.inference_mode():
            output = model.generate(ids, max_new_tokens=12, do_sample=False)
        answers.append(tokenizer.decode(output[0, ids.shape[1] :]))
    return answers


CONVERSATIONS = [[Message(role="user", content=" ".join(WORDS[start:] + WORDS[:start]))] for start in range(10)]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("models")
    return build_model(folder / "first", 1), build_model(folder / "second", 2)


@pytest.fixture(scope="session")
def checks(models: tuple[Path, Path]) -> tuple[Check, Check]:
    """What each of the two models answers to ten conversations."""
    return tuple(
        Check(list(zip(CONVERSATIONS, generate(folder, CONVERSATIONS), strict=True)), generate) for folder in models
    )  # pyright: ignore[reportReturnType]


def candidate(workload: str, folder: Path, verdict: Verdict = PROMOTED, makes: Makes = "model") -> Candidate:
    """The gate's winner, with a run of its own to be stored in."""
    with open_run(workload, "gate", {}) as run:
        run_id = run.run_id
    assert run_id is not None
    name = verdict.challenger if verdict.decision == "promoted" else verdict.champion
    rung = Rung(
        name=name, method=name, makes=makes, prompt="short", params_hash="p1", data_hash="d1", seed=3,
        git_commit="c0ffee", seconds=1.0,
    )  # fmt: skip
    return Candidate(workload, rung, folder, verdict, run_id)


def answers(text: str) -> Check:
    """A check of files that answer with the text in one of them."""
    return Check(
        [([Message(role="user", content="?")], text)],
        lambda folder, asked: [(folder / "answer.txt").read_text(encoding="utf-8") for _ in asked],
    )


def register_text(workload: str, folder: Path, text: str) -> Champion:
    """Register files that answer with a text."""
    folder.mkdir(exist_ok=True)
    (folder / "answer.txt").write_text(text, encoding="utf-8")
    return register_winner(candidate(workload, folder, makes="prompt"), answers(text))
