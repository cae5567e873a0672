import json
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import DataError, ScorerError
from components.evaluation.agreement import cohens_kappa, krippendorffs_alpha, share
from components.evaluation.certificate import Certificate
from components.evaluation.certify import Trial, certify
from components.evaluation.exploits import Usual, exploits
from components.evaluation.labelled import Label, Labelled, built, of_people
from components.evaluation.perturbations import differs, mistakes, rewritten, surely_wrong
from components.params import CertificateParams, FieldMatch, ProbeParams, ScorerParams
from components.params.answers import enveloped
from components.records import Completion, Example, Score, to_json
from components.scorers import Outcome, Pair, Scorer, build, score_all
from components.scorers.answers import read_object

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["label", "amount", "note", "urgent"],
    "properties": {
        "label": {"enum": ["a", "b", "c"]},
        "amount": {"type": ["number", "null"]},
        "note": {"type": "string"},
        "urgent": {"type": "boolean"},
    },
}
FIELDS = {"label": FieldMatch(), "amount": FieldMatch(match="number"), "note": FieldMatch(), "urgent": FieldMatch()}
EXACT = ScorerParams(weighted={"json_schema": 0.2, "field_match": 0.8}, fields=FIELDS)
PARAMS = CertificateParams(examples=60, probes=60, repetitions=2, max_false_positive=0.07)


def example(number: int) -> Example:
    answer = to_json(
        {"label": "abc"[number % 3], "amount": 10.0 * number, "note": f"box {number}", "urgent": number % 2 == 0}
    )
    return Example(id=f"E{number}", input={"text": f"Box {number}!"}, demonstration=answer, reference=answer, group="")


EXAMPLES = [example(number) for number in range(60)]


def trial(sample: Sequence[Labelled] | None = None, workload: str = "boxes") -> Trial:
    labelled = built(EXAMPLES, {}, SCHEMA, {}, random.Random(1)) if sample is None else sample
    return Trial(
        workload=workload, schema=SCHEMA, sample=labelled, source="built", examples=EXAMPLES,
        asked=lambda box: box.input["text"], answers=[box.demonstration for box in EXAMPLES], probes=ProbeParams(),
        seed=1,
    )  # fmt: skip


def certified(scorer: Scorer, params: CertificateParams = PARAMS, workload: str = "boxes") -> Certificate:
    def judge(pairs: Sequence[Pair]) -> list[Outcome]:
        return score_all(scorer, pairs)

    return certify(trial(workload=workload), judge, params)


def test_kappa_of_a_two_by_two_table() -> None:
    # 4 and 3 agreements of 10; by chance 0.6·0.5 + 0.4·0.5 = 0.5: (0.7 − 0.5) / 0.5.
    some = [True] * 4 + [True] * 2 + [False] * 1 + [False] * 3
    others = [True] * 4 + [False] * 2 + [True] * 1 + [False] * 3
    assert cohens_kappa(some, others) == pytest.approx(0.4)
    assert cohens_kappa([True, True], [True, True]) == 1.0


def test_alpha_counts_disagreement_against_chance() -> None:
    # Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", binary data of two observers: alpha = 0.095.
    meg = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    owen = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    rows = [{"meg": bool(mark), "owen": bool(other)} for mark, other in zip(meg, owen, strict=True)]
    assert krippendorffs_alpha(rows) == pytest.approx(0.095, abs=0.001)
    assert krippendorffs_alpha([{"meg": True}, {"owen": False}]) is None


def test_a_share_of_independent_answers_has_wilsons_interval() -> None:
    rate = share([(str(number), number < 5) for number in range(50)])
    assert (rate.value, rate.n) == (0.1, 50)
    assert (rate.low, rate.high) == (pytest.approx(0.0435, abs=1e-4), pytest.approx(0.2136, abs=1e-4))


def test_answers_that_are_copies_tell_no_more_than_their_examples() -> None:
    once = share([(str(number), number < 10) for number in range(40)])
    thrice = share([(str(number), number < 10) for number in range(40) for _ in range(3)])
    assert thrice.value == once.value
    # t(0.975, 39) = 2.023 instead of 1.960, and a quarter of a group of each kind that was not seen
    assert thrice.high - thrice.low == pytest.approx(once.high - once.low, rel=0.05)
    assert thrice.high - thrice.low > once.high - once.low


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="at least one answer"):
        share([])


def test_a_rewritten_answer_is_the_same_object() -> None:
    text = to_json({"label": "a", "amount": 12, "note": "a café", "urgent": True})
    variants = rewritten(text, {"café": "coffee house"}, SCHEMA)
    same = {kind: variant for kind, variant in variants.items() if kind != "synonyms"}
    assert set(same) == {"line_breaks", "no_spaces", "key_order", "number_format", "character_escapes"}
    assert all(read_object(variant) == read_object(text) for variant in same.values())
    assert '"amount": 12.0' in variants["number_format"]
    assert read_object(variants["synonyms"])["note"] == "a coffee house"


def test_a_rewritten_list_is_the_same_list() -> None:
    schema = enveloped({"type": "array", "items": {"type": "object"}})
    text = '[{"name": "café", "count": 2}, {"name": "bar", "count": 3}]'
    variants = rewritten(text, {}, schema)
    assert set(variants) == {"line_breaks", "no_spaces", "key_order", "number_format", "character_escapes"}
    assert all(json.loads(variant) == json.loads(text) for variant in variants.values())
    assert variants["key_order"] == '[{"count": 2, "name": "café"}, {"count": 3, "name": "bar"}]'
    assert variants["no_spaces"] == '[{"name":"café","count":2},{"name":"bar","count":3}]'


def test_a_value_that_cannot_be_rewritten_gets_other_white_space() -> None:
    assert rewritten("true", {}, enveloped({"type": "boolean"})) == {"spacing": "\n true \n"}
    assert rewritten("7", {}, enveloped({"type": "number"})) == {"number_format": "7.0"}


def test_a_rewritten_text_keeps_its_words_but_for_synonyms() -> None:
    label = enveloped({"type": "string", "enum": ["a cat", "[1, 2]"]})
    assert rewritten("[1, 2]", {}, label) == {"spacing": "\n [1, 2] \n"}
    free = rewritten("a cat sleeps", {"cat": "kitten"}, enveloped({"type": "string"}))
    assert free == {"spacing": "\n a cat sleeps \n", "synonyms": "a kitten sleeps"}


@given(st.integers(0, 59), st.randoms())
def test_a_mistake_changes_one_field_and_keeps_the_schema(number: int, rng: random.Random) -> None:
    donors = [read_object(box.reference) for box in EXAMPLES]
    right = read_object(EXAMPLES[number].reference)
    variants = mistakes(EXAMPLES[number].reference, SCHEMA, donors, rng)
    assert set(variants) == set(right)
    for field, text in variants.items():
        wrong = read_object(text)
        assert [key for key in right if right[key] != wrong[key]] == [field]
        assert differs(right[field], wrong[field])
        if field == "label":
            assert wrong["label"] in ("a", "b", "c")


def test_values_that_a_tolerance_may_forgive_are_not_surely_different() -> None:
    assert not differs(100, 100.4)
    assert not differs("SC-1", "sc 1")
    assert differs(100, 200)
    assert differs(None, "x")
    assert differs(True, 1)
    assert differs(10**400, 1.5) and not differs(10**400, 10**400 + 1)


def test_a_free_text_that_differs_is_not_surely_wrong() -> None:
    reference = EXAMPLES[0].reference
    other = {**read_object(reference), "note": "something else"}
    assert not surely_wrong(to_json(other), reference, SCHEMA)
    assert surely_wrong(to_json({**other, "label": "b"}), reference, SCHEMA)
    assert surely_wrong("no JSON", reference, SCHEMA)


def test_tricks_need_no_reading() -> None:
    tricks = exploits("Box 3!", SCHEMA, Usual.of([box.demonstration for box in EXAMPLES]))
    assert tricks["empty"] == ""
    assert tricks["prompt_echoed"] == "Box 3!"
    assert json.loads(tricks["prompt_echoed_in_fields"])["note"] == "Box 3!"
    assert json.loads(tricks["all_labels"])["label"] == ["a", "b", "c"]
    assert json.loads(tricks["schema_defaults"]) == {"label": "a", "amount": None, "note": "", "urgent": False}
    assert len(set(tricks.values())) == len(tricks)


def test_a_built_sample_has_a_right_and_a_wrong_answer_of_each_example() -> None:
    answers = {
        "sft": {"E0": to_json({**read_object(EXAMPLES[0].reference), "label": "c"}), "E1": EXAMPLES[1].reference}
    }
    sample = built(EXAMPLES, answers, SCHEMA, {}, random.Random(3))
    assert sum(answer.right for answer in sample) == sum(not answer.right for answer in sample) == 60
    assert all(read_object(answer.text) == read_object(answer.example.reference) for answer in sample if answer.right)
    assert "answer of sft" not in {answer.origin for answer in sample if answer.example.id != "E0"}


def test_people_decide_by_majority_and_ties_are_left_out() -> None:
    labels = [
        Label(example_id="E1", answer="x", right=right, annotator=who)
        for who, right in (("ann", True), ("bob", True), ("cem", False))
    ]
    tie = [Label(input={"text": "Box 2!"}, answer="y", right=right, annotator=str(right)) for right in (True, False)]
    (labelled,) = of_people([*labels, *tie], EXAMPLES)
    assert (labelled.example.id, labelled.text, labelled.right, len(labelled.people)) == ("E1", "x", True, 3)
    unnamed = [Label(example_id="E1", answer="x", right=right) for right in (True, False)]
    assert of_people(unnamed, EXAMPLES) == []
    (two,) = of_people([*unnamed, unnamed[1]], EXAMPLES)
    assert (two.right, len(two.people)) == (False, 3)
    with pytest.raises(DataError, match="train or dev, found E99"):
        of_people([Label(example_id="E99", answer="x", right=True)], EXAMPLES)


def test_a_sound_scorer_is_above_the_floor() -> None:
    certificate = certified(build(EXACT, SCHEMA))
    assert certificate.reasons == ()
    assert certificate.passed
    assert certificate.false_positive is not None
    assert (certificate.false_positive.value, certificate.kappa, certificate.alpha) == (0.0, 1.0, 1.0)
    assert set(certificate.sensitive) == {"label", "amount", "note", "urgent"}


class Lenient:
    """Passes whatever names a label, and cares for nothing else."""

    def score(self, example: Example, completion: Completion) -> Score:
        good = any(f'"{label}"' in completion.text for label in "abc")
        return Score(value=float(good), passed=good)


def test_a_scorer_that_passes_any_label_falls_below_the_floor_with_reasons() -> None:
    certificate = certified(Lenient())
    assert not certificate.passed
    assert certificate.false_positive is not None
    assert certificate.false_positive.value == 1.0
    assert any("wrong answers that pass" in reason for reason in certificate.reasons)
    assert any("score lower with amount wrong" in reason for reason in certificate.reasons)
    assert certificate.exploits["all_labels"].value == 1.0
    assert certificate.exploits["empty"].value == 0.0


def test_the_floor_is_overridden_only_in_writing() -> None:
    said = "The pilot runs for a day and people look at each answer."
    params = PARAMS.model_copy(update={"override": {"boxes": said}})
    assert certified(Lenient(), params).passed
    assert certified(Lenient(), params).override == said
    assert not certified(Lenient(), params, workload="others").passed
    with pytest.raises(ValueError, match="at least 20 characters"):
        CertificateParams(override={"boxes": "yes"})


def test_a_scorer_of_texts_is_not_indifferent_to_spacing() -> None:
    certificate = certified(build(ScorerParams(weighted={"exact": 1.0}), SCHEMA))
    assert certificate.indifferent["line_breaks"].value == 0.0
    assert any("the same with line_breaks" in reason for reason in certificate.reasons)


class Moody:
    """Another verdict at every second call."""

    def __init__(self) -> None:
        self.calls = 0

    def score(self, example: Example, completion: Completion) -> Score:
        self.calls += 1
        return Score(value=self.calls % 7 / 7, passed=self.calls % 2 == 0)


def test_a_scorer_that_changes_its_mind_is_not_repeatable() -> None:
    certificate = certified(Moody())
    assert certificate.repeatable is not None
    assert certificate.repeatable.value < 0.5
    assert any("score the same again" in reason for reason in certificate.reasons)


class Broken:
    """Cannot decide on every third answer."""

    def __init__(self) -> None:
        self.sound, self.calls = build(EXACT, SCHEMA), 0

    def score(self, example: Example, completion: Completion) -> Score:
        self.calls += 1
        if self.calls % 3 == 0:
            raise ScorerError("expected a verdict, found the line dead")
        return self.sound.score(example, completion)


def test_failures_are_counted_and_are_not_verdicts() -> None:
    certificate = certified(Broken())
    assert certificate.false_positive is not None
    assert (certificate.false_positive.value, certificate.false_positive.n) == (0.0, 40)
    assert certificate.failed == certificate.scored // 3
    assert certificate.failure == "expected a verdict, found the line dead"
    assert certificate.reasons[-1] == "answers on which the scorer fails: 0.333, at most 0.02 allowed"
