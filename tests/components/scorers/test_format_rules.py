"""Texts that keep to each rule, and texts that do not."""

from typing import Any

import pytest

from components.errors import ConfigError
from components.params import FormatRulesParams, ScorerParams
from components.records import Completion, Example, Score, Usage, to_json
from components.scorers import build
from components.scorers.format_rules import sentences
from components.scorers.matching import occurs

SCHEMA = {"type": "object", "properties": {"summary": {"type": "string"}, "label": {"type": "string"}}}


def judged(rules: dict[str, Any], text: str, error: str | None = None) -> Score:
    params = ScorerParams(weighted={"format_rules": 1}, format_rules=FormatRulesParams.model_validate(rules))
    usage = Usage(input_tokens=0, output_tokens=0)
    completion = Completion(example_id="e", text=text, usage=usage, latency_ms=0.0, error=error)
    return build(params, SCHEMA).score(Example(id="e", input={}, demonstration="", reference="", group="g"), completion)


MEMO = "Problem: the lamp broke.\nDone: a refund.\n\nNext: a call on Monday!"


@pytest.mark.parametrize(
    ("rules", "right", "wrong"),
    [
        ({"min_characters": 3}, ["abc", "äöü"], ["ab", ""]),
        ({"max_characters": 3}, ["abc", ""], ["abcd", "abc "]),
        ({"max_words": 2}, ["two words", " two\n words "], ["now three words"]),
        ({"max_sentences": 1}, ["One.", "One", "It costs 3.50 euros.", 'He said "No!"'], ["One. Two", "Eh? Yes."]),
        ({"sections": ["Problem:", "Done:", "Next:"]}, [MEMO, MEMO.upper()], [MEMO.replace("Done", "Did")]),
        ({"sections": ["Done:", "Problem:"]}, ["Done: x\nProblem: y"], [MEMO, "Done: x Problem: y"]),
        ({"sections": ["Café:"]}, ["CAFE\u0301: x"], ["Cafe: x"]),
        ({"required": ["café"]}, ["Le Cafe\u0301."], ["cafe", "cafés"]),
        ({"required": ["refund", "call on"]}, [MEMO, "Refund\nCALL  ON"], ["refunds, call on", "refund"]),
        ({"forbidden": ["as an AI"]}, [MEMO, "as an aid"], ["As an  AI, I cannot"]),
        ({"pattern": r"[A-Z]{2}-\d+"}, ["AB-1"], ["AB-1 ", "see AB-1", "ab-1"]),
    ],
)
def test_texts_that_keep_a_rule_pass_and_others_fail(rules: Any, right: list[str], wrong: list[str]) -> None:
    for text in right:
        assert judged({"text": rules}, text).passed, text
    for text in wrong:
        assert not judged({"text": rules}, text).passed, text


def test_the_value_is_the_share_of_kept_rules_and_the_reason_names_the_broken() -> None:
    rules = {"fields": {"summary": {"max_words": 3, "required": ["refund", "Monday"], "forbidden": ["sorry"]}}}
    score = judged(rules, to_json({"summary": "refund, sorry, on its way"}))
    assert (score.value, score.passed) == (0.25, False)  # one of four: the refund
    assert score.reason == (
        "summary: 5 words, at most 3 expected; summary: 'Monday' is missing; summary: 'sorry' is forbidden"
    )


@pytest.mark.parametrize("text", ["no JSON", "{}", '{"summary": 7}', "[]"])
def test_a_field_without_a_text_breaks_all_its_rules(text: str) -> None:
    rules = {"text": {"max_characters": 50}, "fields": {"summary": {"max_words": 3, "forbidden": ["sorry", "AI"]}}}
    score = judged(rules, text)
    assert (score.value, score.passed) == (0.25, False)  # only the length of the whole text


def test_a_failed_call_keeps_no_rule() -> None:
    assert judged({"text": {"max_characters": 50}}, "", error="timed out").value == 0.0


@pytest.mark.parametrize(
    ("text", "number"),
    [("", 0), ("  ", 0), ("One", 1), ("One. Two.", 2), ("At 3.5 %. Then?!", 2), ("Wait… (Yes.) Go", 3)],
)
def test_sentences_by_hand(text: str, number: int) -> None:
    assert sentences(text) == number


def test_terms_are_whole_words() -> None:
    assert occurs("c++", "in C++ today") and occurs("order 12", "Order\t12.")
    assert not occurs("order 12", "order 123")


@pytest.mark.parametrize("rules", [{}, {"text": {}}, {"text": {"pattern": "("}}, {"text": {"max_word": 3}}])
def test_rules_that_say_nothing_are_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must|forbidden|permitted"):
        FormatRulesParams.model_validate(rules)


def test_rules_for_a_field_that_is_not_there_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected one of summary, label, found note"):
        judged({"fields": {"note": {"max_words": 3}}}, "{}")
