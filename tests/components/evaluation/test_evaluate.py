"""A rung's line in the record, from four answers."""

import json
from typing import Any

import pytest

from components.errors import DataError, ScorerError
from components.evaluation import EvalSet, Judging, Measured, evaluate_rung, judge_answers, scores_in
from components.params import ScorerParams
from components.records import Completion, Cost, Example, Rung, RungResult, Usage
from components.scorers import build

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["label", "n"],
    "properties": {"label": {"enum": ["a", "b"]}, "n": {"type": "integer"}},
}
SCORER = build(ScorerParams(weighted={"json_schema": 1, "field_match": 1}), SCHEMA)
RUNG = Rung(
    name="short",
    method="prompt",
    makes="prompt",
    compared_with="loose",
    params_hash="p",
    data_hash="d",
    seed=0,
    git_commit="c",
    seconds=2.5,
    mlflow_run_id="run",
)
EXAMPLES = [
    Example(id=str(i), input={}, demonstration="", reference=json.dumps({"label": "a", "n": i}), group=str(i), slices=s)
    for i, s in enumerate([{"side": "left"}, {"side": "left"}, {"side": "right"}, {"side": "right"}])
]


def answers(*texts: str) -> list[Completion]:
    return [
        Completion(
            example_id=str(i),
            text=text,
            usage=Usage(input_tokens=10 + i, output_tokens=4),
            latency_ms=10.0 * (i + 1),
            error=None if text else "timed out",
        )
        for i, text in enumerate(texts)
    ]


# Right; a wrong label; no JSON; a call that failed.
FOUR = answers('{"label": "a", "n": 0}', '{"label": "b", "n": 1}', "label a, n 2", "")


def price(measured: Measured) -> Cost:
    return Cost(
        usd_per_1k_calls=measured.input_tokens + measured.output_tokens,
        usd_per_year=0,
        usd_per_1k_correct=measured.accuracy,
        measured=False,
    )


def evaluated(
    completions: list[Completion], parent: Any = None, examples: list[Example] = EXAMPLES, most: float = 0.0
) -> tuple[RungResult, Any, dict[str, bool]]:
    """The rung's line, its scores, and which answers are valid."""
    judged = judge_answers("short", examples, completions, Judging(SCORER, SCHEMA, most))
    line = evaluate_rung(RUNG, (completions, judged), EvalSet(examples, SCHEMA, ("side",)), price, parent)
    return line, scores_in(judged), {verdict.example_id: verdict.valid for verdict in judged}


def test_the_figures_of_a_report_by_hand() -> None:
    result, scores, valid = evaluated(FOUR)
    assert (result.name, result.method, result.parent, result.n) == ("short", "prompt", "loose", 4)
    assert (result.seconds, result.mlflow_run_id, result.vs_parent) == (2.5, "run", None)
    assert (result.accuracy.value, result.validity.value) == (0.25, 0.5)
    assert result.fields == {"label": 0.25, "n": 0.5}
    assert result.slices == {"side": {"left": 0.5, "right": 0.0}}
    assert result.slice_sizes == {"side": {"left": 2, "right": 2}}
    assert result.usage == {"input_tokens": 11.5, "output_tokens": 4.0}
    assert (result.latency_ms.p50, result.latency_ms.p95) == pytest.approx((25.0, 38.5))
    assert (result.cost.usd_per_1k_calls, result.cost.usd_per_1k_correct) == (15.5, 0.25)
    assert valid == {"0": True, "1": True, "2": False, "3": False}
    assert [key for key, score in scores.items() if score.passed] == ["0"]


def test_the_order_of_completions_does_not_matter() -> None:
    assert evaluated(FOUR[::-1]) == evaluated(FOUR)


def test_the_parents_scores_give_the_comparison() -> None:
    parent = evaluated(FOUR)[1]
    child = answers(*[json.dumps({"label": "a", "n": i}) for i in range(4)])
    comparison = evaluated(child, parent)[0].vs_parent
    assert comparison is not None
    assert (comparison.delta, comparison.fixed, comparison.broken, comparison.p_value) == (0.75, 3, 0, 0.25)


@pytest.mark.parametrize(
    ("completions", "words"),
    [
        (FOUR[:3], "found 3 completions of 3 of them; see example 3"),
        ([*FOUR, FOUR[0]], "found 5 completions of 4 of them; see example one that comes twice"),
        (
            [*FOUR[:3], FOUR[3].model_copy(update={"example_id": "9"})],
            "found 4 completions of 3 of them; see example 3",
        ),
    ],
)
def test_completions_of_other_examples_are_refused(completions: list[Completion], words: str) -> None:
    with pytest.raises(DataError, match=words):
        evaluated(completions)


def test_no_examples_are_refused() -> None:
    with pytest.raises(DataError, match="unique ids"):
        evaluated([], examples=[])


def test_a_scorer_that_cannot_decide_stops_the_evaluation() -> None:
    broken = [EXAMPLES[0].model_copy(update={"reference": "a"}), *EXAMPLES[1:]]
    with pytest.raises(ScorerError, match="example 0"):
        evaluated(FOUR, examples=broken)


def test_an_answer_that_the_scorer_cannot_decide_is_left_out_and_counted() -> None:
    broken = [EXAMPLES[0].model_copy(update={"reference": "a"}), *EXAMPLES[1:]]
    parent = evaluated(FOUR)[1]  # right on 0 alone, which the child has no score for
    child = answers("", *[json.dumps({"label": "a", "n": i}) for i in (1, 2)], "")
    result, _, _ = evaluated(child, parent, broken, most=0.25)
    assert (result.n, result.scorer_errors) == (3, 1)
    assert result.accuracy.value == pytest.approx(2 / 3)
    assert result.slices == {"side": {"left": 1.0, "right": 0.5}}
    assert result.slice_sizes == {"side": {"left": 1, "right": 2}}
    versus = result.vs_parent
    assert versus is not None
    assert (versus.delta, versus.fixed, versus.broken) == (pytest.approx(2 / 3), 2, 0)


def test_a_call_that_failed_because_the_engine_was_away_is_left_out_and_bounded() -> None:
    away = [*FOUR[:3], FOUR[3].model_copy(update={"away": True})]
    result, scores, _ = evaluated(away, most=0.25)
    assert (result.n, result.scorer_errors, list(scores)) == (3, 1, ["0", "1", "2"])
    assert result.accuracy.value == pytest.approx(1 / 3)
    with pytest.raises(ScorerError, match=r"max_failed_share\), found 1 of 4, first: .*timed out"):
        evaluated(away, most=0.2)


def test_what_has_no_decided_answers_is_named() -> None:
    parent = {"0": evaluated(FOUR)[1]["0"]}
    broken = [example.model_copy(update={"reference": "a"}) for example in EXAMPLES]
    with pytest.raises(DataError, match="answers of short and loose that the scorer decides, found none of 4"):
        evaluated(FOUR, parent, [broken[0], *EXAMPLES[1:]], most=1.0)
    with pytest.raises(DataError, match="answers of short that the scorer decides, found none of 4"):
        evaluated(FOUR, None, broken, most=1.0)


def test_a_parent_scored_on_other_examples_is_refused() -> None:
    parent = {"elsewhere": evaluated(FOUR)[1]["0"]}
    with pytest.raises(DataError, match="such as elsewhere"):
        evaluated(FOUR, parent)


def test_fields_behind_a_gate_are_not_right() -> None:
    gated = build(ScorerParams(weighted={"json_schema": 1, "field_match": 1}, gates=("json_schema",)), SCHEMA)
    mixed = answers('{"label": "a", "n": 0}', '{"label": "c", "n": 1}', "no", "")
    judged = judge_answers("short", EXAMPLES, mixed, Judging(gated, SCHEMA))
    line = evaluate_rung(RUNG, (mixed, judged), EvalSet(EXAMPLES, SCHEMA), price)
    assert line.fields == {"label": 0.25, "n": 0.25}
