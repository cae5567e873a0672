"""A workload's own patterns: what they match is what Python's `re` says, and none of them can hang a scorer."""

import re
import threading
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from components.data.answers import AnswerSchema
from components.evaluation.pointing import offered
from components.params import FormatRulesParams, ScorerParams, TextRules
from components.records import Completion, Example, Score, to_json
from components.schema import patterns, shape_of
from components.schema.patterns import MATCH_SECONDS, Pattern, SchemaValidator, TooSlow
from components.scorers import build

ENDLESS = r"^(?:a|a|aa)+$"  # as many ways as there are sums
TEXT = "a" * 60 + "!"
ASKED = Example(id="e", input={}, demonstration="", reference="{}", group="g")


def judged(params: ScorerParams, schema: dict[str, Any], answer: object) -> Score:
    return build(params, schema).score(ASKED, Completion.of_text("e", to_json(answer)))


def soon(started: float, matches: int = 1) -> bool:
    return time.process_time() - started < 10 * matches * MATCH_SECONDS


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shorter time limit than the usual one, which messages name."""
    monkeypatch.setitem(patterns._LIMITS, "timeout", MATCH_SECONDS / 10)


@pytest.mark.parametrize("method", ["search", "fullmatch", "spans"])
def test_a_match_ends_in_time(method: str) -> None:
    started = time.process_time()
    with pytest.raises(TooSlow):
        getattr(Pattern(ENDLESS), method)(TEXT)
    assert soon(started)


def test_other_threads_run_while_a_pattern_is_matched() -> None:
    def turns() -> int:
        matching = threading.Thread(target=pytest.raises, args=(TooSlow, Pattern(ENDLESS).search, TEXT))
        matching.start()
        count = 0
        while matching.is_alive():
            time.sleep(0.01)
            count += 1
        return count

    assert any(turns() > 5 for _ in range(5))  # a busy machine may give this thread too few


@pytest.mark.usefixtures("brief")
def test_a_rule_whose_pattern_takes_too_long_is_broken() -> None:
    rules = FormatRulesParams(fields={"a": TextRules(pattern=ENDLESS)})
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
    params = ScorerParams(weighted={"format_rules": 1}, format_rules=rules)
    started = time.process_time()
    score = judged(params, schema, {"a": TEXT})
    assert (score.value, score.passed) == (0.0, False)
    assert "cannot be matched within" in score.reason
    assert soon(started)
    assert judged(params, schema, {"a": "a" * 60}).passed


SLOW_SCHEMAS: list[dict[str, Any]] = [
    {"properties": {"a": {"type": "string", "pattern": ENDLESS}}},
    {"properties": {"a": {"not": {"pattern": ENDLESS}}}},
    {"properties": {"a": {}}, "propertyNames": {"pattern": ENDLESS}},
    {"properties": {"a": {}}, "patternProperties": {ENDLESS: {}}},
    {"properties": {"a": {}}, "additionalProperties": False, "patternProperties": {ENDLESS: {}}},
    {"properties": {"a": {}}, "unevaluatedProperties": False, "patternProperties": {ENDLESS: {}}},
]


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("schema", SLOW_SCHEMAS)
def test_an_answer_that_a_schema_cannot_be_held_against_in_time_is_invalid(schema: dict[str, Any]) -> None:
    schema = {"type": "object"} | schema
    started = time.process_time()
    score = judged(ScorerParams(weighted={"json_schema": 1}), schema, {TEXT: 1, "a": TEXT})
    assert not score.passed
    assert "within 0.5 s" in score.reason
    assert AnswerSchema(schema).problems({TEXT: 1, "a": TEXT})
    assert soon(started, matches=6)


@pytest.mark.usefixtures("brief")
def test_a_field_whose_pattern_takes_too_long_offers_nothing() -> None:
    assert offered(0, TEXT, shape_of({"type": "string", "pattern": ENDLESS + "!"})) == []
    (candidate,) = offered(0, "my KD-10345 here", shape_of({"type": "string", "pattern": r"^[A-Z]{2}-\d{5}$"}))
    assert candidate.readings == ("KD-10345",)


PATTERNS = [
    r"^[A-Z]{2}-\d{5}$",
    r"^[0-9A-Z ]{3,8}$",
    r"^\d{4}-\d{2}-\d{2}$",
    r"(?i)a+b?",
    r"\w\s\W",
    r"^(a|b)*c$",
    r"x\b",
]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PATTERNS), st.text("AZaz09-_ \nbcxé١", max_size=12))
def test_a_pattern_matches_what_pythons_own_does(pattern: str, text: str) -> None:
    mine = Pattern(pattern)
    assert mine.search(text) == bool(re.search(pattern, text))
    assert mine.fullmatch(text) == bool(re.fullmatch(pattern, text))
    assert mine.spans(text) == [match.span() for match in re.finditer(pattern, text)]


PRICES = SchemaValidator({"type": "number", "multipleOf": 0.01})


def test_every_price_in_cents_is_a_multiple_of_a_cent() -> None:
    assert [cents for cents in range(1, 10_001) if not PRICES.is_valid(cents / 100)] == []
    assert shape_of({"enum": [19.99, 4.355], "multipleOf": 0.01}).values == (19.99,)


@pytest.mark.parametrize(
    ("value", "step", "valid"),
    [
        (0.3, 0.1, True),
        (0.35, 0.1, False),
        (19.995, 0.01, False),
        (-4.35, 0.05, True),
        (10**400, 0.01, True),
        (10**400 + 1, 2.5, False),
        (int("9" * 4300), 3, True),
        (1e308, 1e-300, True),
        (1e-300, 1e300, False),
        (float("inf"), 1, False),
        (True, 2, True),
        ("5", 2, True),
    ],
    ids=lambda value: str(value)[:8],
)
def test_multiples_are_those_of_the_decimals_as_they_are_written(value: Any, step: float, valid: bool) -> None:
    assert SchemaValidator({"multipleOf": step}).is_valid(value) == valid


@pytest.mark.parametrize("answer", [{"a": "xy"}, {"a": "abc"}, {"a": 5}, {"zz": 1}, {"b1": "x"}, {"b1": 2}, [], {}])
def test_a_schema_says_what_jsonschema_says(answer: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"pattern": "^ab"}},
        "patternProperties": {"^b[0-9]$": {"type": "number"}},
        "additionalProperties": False,
    }
    usual, mine = (
        [(error.message, list(error.absolute_path)) for error in kind(schema).iter_errors(answer)]
        for kind in (Draft202012Validator, SchemaValidator)
    )
    assert mine == usual
