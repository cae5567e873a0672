import random

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from components.base import tokenizer as tokenizers
from components.base.curriculum import SKILLS, Curriculum, segments
from components.base.twins import BLANK, TwinEmbedding, common_pieces, piece_texts

TEXTS = (
    "The crate is at gate 7, the Crate.",
    '{"crate": "big_gate", "count": 12, "none": null}',
    "Ärger €5, naïve\n\n x  y",
)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    curriculum, rng = Curriculum(dict.fromkeys(SKILLS, 1.0), 1.0, 1, 0.5), random.Random(5)
    return ["".join(text for text, _ in segments(curriculum.lesson(rng, 1.0))) for _ in range(300)]


@pytest.fixture(scope="module")
def joined(texts: list[str]) -> PreTrainedTokenizerBase:
    return tokenizers.train_joined(texts, 1500)


def test_joined_tokenizer_gives_every_text_back(joined: PreTrainedTokenizerBase, texts: list[str]) -> None:
    for text in (*TEXTS, *texts[:50]):
        assert joined.decode(joined(text, add_special_tokens=False)["input_ids"]) == text


def test_vocabulary_is_not_exceeded_and_digits_stay_single(joined: PreTrainedTokenizerBase) -> None:
    assert len(joined) <= 1500
    assert not [token for token in joined.get_vocab() if sum(sign.isdigit() for sign in token) > 1]


def test_a_blank_costs_no_token_before_a_frequent_word_and_both_twins_are_cut_alike(
    joined: PreTrainedTokenizerBase,
) -> None:
    for word in ("object", "message", "exactly", "number"):
        plain, twin = joined.tokenize(word), joined.tokenize(f" {word}")
        assert twin[0].startswith(BLANK)
        assert [twin[0].removeprefix(BLANK), *twin[1:]] == plain


def test_twins_and_capitals_share_a_vector_and_differ_by_their_form() -> None:
    tokens = ["crate", f"{BLANK}crate", "Crate", f"{BLANK}Crate", BLANK, "Zoo", "_crate"]
    numbers, forms = common_pieces(tokens)
    assert numbers == [0, 0, 0, 0, 1, 2, 0]
    assert forms == [[0, 0, 0], [1, 0, 0], [0, 0, 1], [1, 0, 1], [0, 0, 0], [0, 0, 0], [0, 1, 0]]
    embedding = TwinEmbedding(tokens, 4)
    torch.nn.init.normal_(embedding.forms)
    table = embedding.table()
    assert torch.allclose(table[1] - table[0], table[3] - table[2])
    assert torch.equal(embedding(torch.tensor([[3, 5]])), table[[3, 5]][None])
    assert piece_texts(tokens) == ["crate", BLANK, "zoo"]


def test_senses_bring_pieces_together_that_were_never_trained() -> None:
    senses = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    embedding = TwinEmbedding(["box", "crate", "moon"], 8, senses)
    torch.nn.init.zeros_(embedding.pieces)
    table = embedding.table()
    assert torch.equal(table[0], table[1])
    assert not torch.equal(table[0], table[2])
