"""Known-right and known-wrong answers for each scorer."""

import json
import time
from typing import Any

import pytest

from components.errors import ConfigError, ScorerError
from components.params import FieldMatch, ScorerParams
from components.records import Completion, Example, Score, Usage
from components.scorers import JsonSchemaScorer, Scorer, build
from components.scorers.answers import NotAnAnswer, read_object
from components.scorers.exact import ExactScorer
from components.scorers.field_match import FieldMatchScorer
from components.scorers.weighted import WeightedScorer

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["intent", "order_id", "amount", "wants_refund"],
    "properties": {
        "intent": {"enum": ["order_status", "refund_status"]},
        "order_id": {"type": ["string", "null"], "pattern": r"^[A-Z]{2}-\d{5}$"},
        "amount": {"type": ["number", "null"], "minimum": 0},
        "wants_refund": {"type": "boolean"},
    },
}
RIGHT = {"intent": "refund_status", "order_id": "AB-12345", "amount": 49.9, "wants_refund": True}


def example(reference: Any = RIGHT) -> Example:
    text = reference if isinstance(reference, str) else json.dumps(reference)
    return Example(id="e1", input={}, demonstration=text, reference=text, group="g")


def completion(answer: Any, error: str | None = None) -> Completion:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    usage = Usage(input_tokens=1, output_tokens=1)
    return Completion(example_id="e1", text=text, usage=usage, latency_ms=1.0, error=error)


def judge(scorer: Scorer, answer: Any, reference: Any = RIGHT) -> Score:
    return scorer.score(example(reference), completion(answer))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(RIGHT),
        f"\n  {json.dumps(RIGHT, indent=2)}\n",
        json.dumps(RIGHT | {"order_id": None, "amount": None}),
        json.dumps(RIGHT | {"amount": 0}),
        json.dumps(RIGHT).replace("intent", "\\u0069ntent"),
    ],
)
def test_one_object_that_the_schema_allows_is_valid(text: str) -> None:
    assert judge(JsonSchemaScorer(SCHEMA), text) == Score(value=1.0, passed=True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        (f"Sure: {json.dumps(RIGHT)}", "not JSON"),
        (f"{json.dumps(RIGHT)} I hope this helps", "Extra data"),
        (f"```json\n{json.dumps(RIGHT)}\n```", "not JSON"),
        (json.dumps(RIGHT) + json.dumps(RIGHT), "Extra data"),
        (json.dumps([RIGHT]), "an array"),
        ("null", "null"),
        (json.dumps(RIGHT)[:-1], "not JSON"),
        (json.dumps(RIGHT)[:-1] + ', "amount": 49.9}', "'amount' more than once"),
        (json.dumps(RIGHT)[:-1] + ', "\\u0061mount": 1}', "'amount' more than once"),
        (json.dumps(RIGHT | {"amount": float("nan")}), "NaN"),
        (json.dumps(RIGHT | {"amount": float("inf")}), "Infinity"),
        (json.dumps(RIGHT).replace("49.9", "1e999"), "1e999"),
        (json.dumps(RIGHT).replace("49.9", "9" * 5000), "digits"),
        ("[" * 100_000, "not readable"),
        (json.dumps({key: RIGHT[key] for key in ("intent", "amount", "wants_refund")}), "'order_id' is a required"),
        (json.dumps(RIGHT | {"note": "x"}), "'note' was unexpected"),
        (json.dumps(RIGHT | {"intent": "refund"}), "intent: 'refund' is not one of"),
        (json.dumps(RIGHT | {"order_id": "12345"}), "order_id: '12345' does not match"),
        (json.dumps(RIGHT | {"amount": "49.9"}), "amount: '49.9' is not of type"),
        (json.dumps(RIGHT | {"amount": True}), "amount: True is not of type"),
        (json.dumps(RIGHT | {"amount": -1}), "amount: -1 is less than"),
        (json.dumps(RIGHT | {"wants_refund": 1}), "wants_refund: 1 is not of type"),
        (json.dumps(RIGHT | {"wants_refund": None}), "wants_refund: None is not of type"),
    ],
)
def test_anything_else_is_invalid_and_the_reason_says_why(text: str, reason: str) -> None:
    score = judge(JsonSchemaScorer(SCHEMA), text)
    assert (score.value, score.passed) == (0.0, False)
    assert reason in score.reason


def test_a_nested_key_that_comes_twice_is_invalid_too() -> None:
    schema = {"type": "object", "properties": {"item": {"type": "object"}}}
    assert judge(JsonSchemaScorer(schema), '{"item": {"a": 1, "b": 2}}').passed
    assert not judge(JsonSchemaScorer(schema), '{"item": {"a": 1, "a": 1}}').passed


def test_an_answer_that_is_nested_too_deeply_or_has_a_very_long_number_is_invalid() -> None:
    tree = JsonSchemaScorer({"type": "object", "properties": {"a": {"$ref": "#"}}})
    assert judge(tree, '{"a":' * 20 + "{}" + "}" * 20).passed
    assert judge(tree, '{"a":' * 400 + "{}" + "}" * 400).reason == "it is nested too deeply"
    halves = JsonSchemaScorer({"type": "object", "properties": {"a": {"multipleOf": 2.5}}})
    assert not judge(halves, json.dumps({"a": 10**320 + 1})).passed
    assert judge(halves, json.dumps({"a": 10**320})).passed


def test_the_reason_can_be_written_where_a_key_is_half_a_character() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}}
    score = judge(JsonSchemaScorer(schema), {"\ud83d": 1})
    assert score.reason == "?: 1 is not of type 'string'" and "?: 1" in score.model_dump_json()


@pytest.mark.parametrize("schema", [{"type": "objekt"}, {"type": "object", "properties": {"a": {"pattern": "("}}}])
def test_an_invalid_schema_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="output must be a JSON Schema"):
        JsonSchemaScorer(schema)


def test_a_reference_within_the_schema_that_does_not_resolve_is_the_scorers_failure() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/missing"}}}
    with pytest.raises(ScorerError, match="references resolve"):
        judge(JsonSchemaScorer(schema), '{"a": 1}')


def test_a_failed_call_is_a_wrong_answer_for_every_scorer() -> None:
    params = ScorerParams(weighted={"json_schema": 1, "field_match": 1, "exact": 1})
    score = build(params, SCHEMA).score(example(), completion(RIGHT, error="timed out"))
    assert (score.value, score.passed, score.reason) == (0.0, False, "no answer: timed out")


def test_field_match_is_the_weighted_share_of_right_fields() -> None:
    scorer = FieldMatchScorer({"intent": FieldMatch(weight=3), "amount": FieldMatch(match="number", weight=1)})
    score = judge(scorer, RIGHT | {"intent": "order_status"})
    assert score.value == pytest.approx(1 / 4)
    assert score.parts == {"intent": 0.0, "amount": 1.0}
    assert score.reason == "intent: expected 'refund_status', found 'order_status'"
    assert not score.passed


def test_field_match_passes_when_all_fields_are_right_whatever_the_order_of_keys() -> None:
    scorer = FieldMatchScorer({name: FieldMatch() for name in RIGHT})
    score = judge(scorer, dict(reversed(RIGHT.items())))
    assert score == Score(value=1.0, passed=True, parts=dict.fromkeys(RIGHT, 1.0))


def test_a_key_that_is_missing_is_not_null() -> None:
    scorer = FieldMatchScorer({"order_id": FieldMatch()})
    assert not judge(scorer, {}, {"order_id": None}).passed
    assert not judge(scorer, {"order_id": None}, {}).passed
    assert judge(scorer, {}, {}).passed


def test_an_answer_that_is_no_object_has_no_right_field() -> None:
    score = judge(FieldMatchScorer({"intent": FieldMatch(), "amount": FieldMatch()}), "refund_status")
    assert (score.value, score.parts) == (0.0, {"intent": 0.0, "amount": 0.0})


@pytest.mark.parametrize(
    ("kind", "reference", "right", "wrong"),
    [
        ("exact", "a", ["a"], ["A", "a ", None, 1]),
        ("exact", 1, [1, 1.0], [True, "1", 2]),
        ("exact", True, [True], [1, "true", None]),
        ("exact", [1, {"a": True}], [[1.0, {"a": True}]], [[1, {"a": 1}], [1], [{"a": True}, 1]]),
        ("number", 49.9, [49.9, 49.905, 49.895, 49.9049], [49.91, "49.9", True, None]),
        ("number", 1, [1, 1.005, 0.995], [True, "1", 1.006]),
        ("number", None, [None], [0, False, ""]),
        ("number", 0, [0, -0.005], [False, None, 10**400]),
        ("number", 0.5, [0.5], [10**400]),
        ("number", 10**18 + 1, [10**18 + 1], [10**18]),
        ("date", "2024-05-01", ["2024-05-01", "20240501", "2024-05-01T23:59:00"], ["2024-05-02", "1 May", 20240501]),
        ("date", None, [None], ["2024-05-01"]),
        ("set", ["a", 1], [["a", 1], [1, "a"], [1.0, "a", "a"]], [["a"], ["a", 1, 2], ["a", True], "a1", None]),
        ("set", [], [[]], [["a"], None]),
        ("text", "Straße  Nr. 1", ["straße nr. 1", " STRASSE\nNr.\u00a01 ", "Ｓtraße Nr. 1"], ["straße nr 1", None, 1]),
    ],
)
def test_each_kind_of_match_compares_in_its_way(kind: Any, reference: Any, right: list[Any], wrong: list[Any]) -> None:
    scorer = FieldMatchScorer({"f": FieldMatch(match=kind, tolerance=0.005)})
    for value in right:
        assert judge(scorer, {"f": value}, {"f": reference}).passed, value
    for value in wrong:
        assert not judge(scorer, {"f": value}, {"f": reference}).passed, value


def test_the_rounding_of_decimals_does_not_decide() -> None:
    scorer = FieldMatchScorer({"f": FieldMatch(match="number", tolerance=0)})
    assert judge(scorer, {"f": 0.1 + 0.2}, {"f": 0.3}).passed


@pytest.mark.parametrize(
    ("kind", "reference"), [("number", "49.9"), ("number", True), ("date", "soon"), ("set", "a"), ("text", 1)]
)
def test_a_reference_of_another_type_is_the_scorers_failure_not_a_zero(kind: Any, reference: Any) -> None:
    with pytest.raises(ScorerError, match=r"^f: expected .* in the reference, found .* \(example e1\)$"):
        judge(FieldMatchScorer({"f": FieldMatch(match=kind)}), {"f": 1}, {"f": reference})


@pytest.mark.parametrize("reference", ["refund_status", "[1]", '{"a": 1, "a": 2}'])
def test_a_reference_that_is_not_an_object_is_the_scorers_failure_not_a_zero(reference: str) -> None:
    with pytest.raises(ScorerError, match="as reference"):
        judge(FieldMatchScorer({"intent": FieldMatch()}), RIGHT, reference)


def test_exact_ignores_only_the_white_space_around() -> None:
    assert judge(ExactScorer(), " refund_status\n", "refund_status").passed
    assert not judge(ExactScorer(), "Refund_status", "refund_status").passed


def test_weights_are_normalised_and_all_parts_kept() -> None:
    params = ScorerParams(weighted={"json_schema": 2, "field_match": 8}, fields={"amount": FieldMatch(match="number")})
    score = judge(build(params, SCHEMA), RIGHT | {"amount": 50})
    assert score.value == pytest.approx(0.2)
    assert score.parts == {"json_schema": 1.0, "field_match": 0.0, "amount": 0.0}
    assert not score.passed


def test_all_must_pass() -> None:
    params = ScorerParams(weighted={"json_schema": 1, "field_match": 1})
    extra_key = judge(build(params, SCHEMA), RIGHT | {"note": "x"})
    assert (extra_key.value, extra_key.passed) == (0.5, False)
    assert judge(build(params, SCHEMA), RIGHT) == Score(
        value=1.0, passed=True, parts={"json_schema": 1.0, "field_match": 1.0, **dict.fromkeys(RIGHT, 1.0)}
    )


class Parts:
    """A scorer with a part of a given name."""

    def __init__(self, part: str, value: float = 1.0) -> None:
        self.part, self.value = part, value

    def score(self, example: Example, completion: Completion) -> Score:
        return Score(value=self.value, passed=True, parts={self.part: self.value})


def test_parts_of_the_same_name_are_kept_under_different_ones() -> None:
    both = WeightedScorer({"a": (Parts("x"), 1), "b": (Parts("x"), 1), "c": (Parts("a"), 1)})
    assert set(judge(both, RIGHT).parts) == {"a", "b", "c", "x", "b.x", "c.a"}


def test_a_value_outside_of_0_to_1_is_the_scorers_failure() -> None:
    with pytest.raises(ScorerError, match=r"expected a value in \[0, 1\] from mine, found 1.5"):
        judge(WeightedScorer({"mine": (Parts("x", 1.5), 1)}), RIGHT)


def test_a_users_own_scorer_is_loaded_and_called_with_the_schema(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "our_rules.py").write_text(
        "from components.records import Score\n"
        "class Keys:\n"
        "    def __init__(self, schema): self.n = len(schema['properties'])\n"
        "    def score(self, example, completion): return Score(value=self.n / 8, passed=True)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert judge(build(ScorerParams(weighted={"our_rules:Keys": 3}), SCHEMA), RIGHT).value == 0.5


@pytest.mark.parametrize(
    ("name", "named"),
    [("json_shema", "json_shema"), ("no_such:Class", "no_such"), ("json:Nothing", "Nothing"), ("json:loads", "none")],
)
def test_an_unknown_scorer_is_refused_by_name(name: str, named: str) -> None:
    with pytest.raises(ConfigError, match=rf"scorer\.weighted: expected .*{named}"):
        build(ScorerParams(weighted={name: 1}), SCHEMA)


def test_a_field_that_the_schema_does_not_have_is_refused() -> None:
    params = ScorerParams(weighted={"field_match": 1}, fields={"amuont": FieldMatch()})
    with pytest.raises(ConfigError, match=r"scorer\.fields: expected one of intent, .*, found amuont"):
        build(params, SCHEMA)


def test_a_repeated_key_is_found_in_time() -> None:
    many = ", ".join(f'"k{n}": 1' for n in range(40_000))
    for text in ('{"a": 1, ' + '"b": 2, ' * 40_000 + '"c": 3}', f'{{{many}, "k39999": 1}}'):
        started = time.process_time()
        with pytest.raises(NotAnAnswer, match="more than once"):
            read_object(text)
        assert time.process_time() - started < 1
