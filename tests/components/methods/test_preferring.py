"""Pairs and thumbs of drawn answers: what becomes of those that were cut, and how many pairs may be swapped."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from components.errors import TrainingError
from components.methods import Job, dpo, kto, method_of
from components.methods.dpo import Pair, noise_of, scored_pairs
from components.methods.kto import Answer, answers_of
from components.methods.samples import Sampled
from components.records import Score
from components.tracking import NullTracker
from tests.components.methods.small import job

RIGHT, WRONG = Score(value=1.0, passed=True), Score(value=0.0, passed=False)
SAMPLED = Sampled(
    example_id="train-000",
    texts=("right", "cut", "wrong", "cut", "cut, but passes", ""),
    finish_reasons=("stop", "length", "stop", "length", "length", "length"),
    scores=(RIGHT, WRONG, WRONG, WRONG, RIGHT, WRONG),
)


def pair_params(**changes: Any) -> Any:
    return method_of("dpo").params.model_validate(changes)


def test_a_cut_answer_is_never_the_better_one_and_has_no_end(tmp_path: Path) -> None:
    of = job(tmp_path)
    tokenizer: Any = AutoTokenizer.from_pretrained(of.model)
    pairs = scored_pairs(of.train, [SAMPLED], 3)
    first = of.train[0]
    assert pairs == [Pair(first, "right", "wrong"), Pair(first, "right", "cut", cut=True)]
    rows = dpo.encoded(tokenizer, of.prompt, pairs)
    ends = {name: [ids[-1] == tokenizer.eos_token_id for ids in rows[name]] for name in ("chosen_ids", "rejected_ids")}
    assert ends == {"chosen_ids": [True, True], "rejected_ids": [True, False]}
    assert tokenizer.decode(rows["rejected_ids"][1]) == "cut"


def test_a_cut_answer_is_bad_without_an_end(tmp_path: Path) -> None:
    of = job(tmp_path)
    tokenizer: Any = AutoTokenizer.from_pretrained(of.model)
    params: Any = method_of("kto").params.model_validate({"thumbs": "scored"})
    answers = sorted(answers_of(of, params, [SAMPLED]), key=lambda answer: answer.text)
    first = of.train[0]
    assert answers == [
        Answer(first, "cut", False, cut=True), Answer(first, "right", True), Answer(first, "wrong", False),
    ]  # fmt: skip
    rows = kto.encoded(tokenizer, of.prompt, answers)
    assert [ids[-1] == tokenizer.eos_token_id for ids in rows["completion_ids"]] == [False, True, True]


@pytest.mark.parametrize("expected", [0.5, 0.6])
def test_no_loss_expects_half_of_the_pairs_to_be_swapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: float
) -> None:
    of = job(tmp_path, label_noise=expected)
    monkeypatch.setattr(Job, "open_model", lambda *_: pytest.fail("nothing is drawn before"))
    with pytest.raises(TrainingError, match=rf"less than 50% .* found {expected:.0%} by the label audit.*label_noise"):
        method_of("dpo").make(of, pair_params(loss="robust"), NullTracker())
    assert noise_of(of, pair_params(loss="robust", label_noise=0.2)) == 0.2
    assert noise_of(of, pair_params()) == 0.0  # which expects none
    assert noise_of(job(tmp_path, label_noise=0.4), pair_params(loss="robust")) == 0.4
    assert noise_of(job(tmp_path), pair_params(loss="robust")) == 0.0
