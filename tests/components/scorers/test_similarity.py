"""How far a text resembles the right one."""

import json

import pytest

from components.errors import ConfigError, ScorerError
from components.params import ScorerParams, SimilarityParams
from components.params.answers import enveloped
from components.records import Completion, Example, Usage
from components.scorers import build
from components.scorers.similarity import SimilarityScorer, measure

TEXT = enveloped({"type": "string"})
OBJECT = {"type": "object", "properties": {"reply": {"type": "string"}}}


def example(reference: str) -> Example:
    return Example(id="e", input={"text": "?"}, demonstration="", reference=reference, group="e")


def completion(text: str) -> Completion:
    return Completion(example_id="e", text=text, usage=Usage(input_tokens=1, output_tokens=1), latency_ms=1.0)


def test_rouge_1_is_the_f_measure_of_shared_words() -> None:
    # 3 of 4 words of the text are in the reference, 3 of its 6 in the text: 2 · 0.75 · 0.5 / 1.25 = 0.6
    assert measure("rouge1")("a b c d e f", "a b c z") == pytest.approx(0.6)


def test_rouge_l_needs_the_order_of_words() -> None:
    # The longest common subsequence of "b a" and "a b" is one word of two.
    assert measure("rougeL")("a b", "b a") == pytest.approx(0.5)
    assert measure("rouge1")("a b", "b a") == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["chrf", "bleu", "rouge1", "rouge2", "rougeL"])
def test_every_measure_is_1_for_the_same_text_and_low_for_another(name: str) -> None:
    text = "The customer wants his money back and the parcel was late."
    assert measure(name)(text, text) == pytest.approx(1.0)
    assert measure(name)(text, "Zwölf Boxkämpfer jagen Viktor quer") < 0.2


def test_a_plain_text_is_scored_and_passes_from_its_bound() -> None:
    scorer = SimilarityScorer(SimilarityParams(measure="rouge1", pass_value=0.6), TEXT)
    score = scorer.score(example("a b c d e f"), completion("  a b c z\n"))
    assert (score.value, score.passed) == (pytest.approx(0.6), True)
    strict = SimilarityScorer(SimilarityParams(measure="rouge1", pass_value=0.61), TEXT)
    assert strict.score(example("a b c d e f"), completion("a b c z")).reason == "rouge1 0.60"


def test_a_field_of_an_object_is_scored() -> None:
    scorer = SimilarityScorer(SimilarityParams(field="reply"), OBJECT)
    right = json.dumps({"reply": "Thank you"})
    assert scorer.score(example(right), completion(right)).value == 1.0
    assert scorer.score(example(right), completion("Thank you")).value == 0.0


def test_an_empty_answer_scores_zero_and_an_empty_reference_is_an_error() -> None:
    scorer = SimilarityScorer(SimilarityParams(field="reply"), OBJECT)
    assert scorer.score(example('{"reply": "x"}'), completion('{"reply": 1}')).value == 0.0
    with pytest.raises(ScorerError, match=r"expected a text as reply, found None \(example e\)"):
        scorer.score(example("{}"), completion("{}"))


def test_an_unusable_field_is_refused_when_the_scorer_is_built() -> None:
    with pytest.raises(ConfigError, match=r"scorer.similarity.field: expected one of reply, found answer"):
        build(ScorerParams.model_validate({"weighted": {"similarity": 1}, "similarity": {}}), OBJECT)
