"""Measurements on answers whose truth is known."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

from components.advice.curve import extrapolate, learning
from components.advice.measure import (
    Second,
    errors,
    headroom,
    movement,
    same_answers,
    scoring,
    thin,
    writing,
    wrong_answers,
)
from components.errors import DataError, ScorerError
from components.params.answers import enveloped
from components.records import Example, Interval, to_json

SCHEMA = {"type": "object", "properties": {"label": {"enum": ["a", "b", "c"]}, "size": {"type": "integer"}}}
ONE: dict[str, Any] = {"properties": {"label": {}}}
SAME = partial(same_answers, schema=SCHEMA)
LABEL, LIST = (enveloped(schema) for schema in ({"type": "string", "enum": ["a", "b"]}, {"type": "array"}))


def example(number: int, label: str = "a", taught: str = "", when: str = "") -> Example:
    answer = to_json({"label": label, "size": number % 7})
    return Example(
        id=f"e{number}", input={"text": f"case {number}", "date": when}, reference=answer,
        demonstration=to_json({"label": taught or label, "size": number % 7}), group=f"e{number}",
    )  # fmt: skip


EXAMPLES = [example(number, "abc"[number % 3]) for number in range(60)]
DONORS = [json.loads(each.reference) for each in EXAMPLES]


def alone(number: int, text: str, when: str = "") -> Example:
    """An example whose answer stands alone."""
    return example(number, when=when).model_copy(update={"reference": text, "demonstration": text})


def test_agreement_is_how_often_second_answers_pass_and_names_the_fields_that_do_not() -> None:
    again: list[Second] = [(each, each.reference) for each in EXAMPLES[:30]]
    again += [(each, to_json({"label": "z", "size": int(each.id[1:]) % 7})) for each in EXAMPLES[30:40]]
    result = writing(SAME, EXAMPLES, EXAMPLES, again, SCHEMA)
    assert result.agreement is not None and result.agreement.value == 0.75
    assert result.by_field == {"label": 0.75, "size": 1.0}
    assert list(result.by_field) == ["label", "size"]  # the least agreed first
    assert result.demonstrations is None  # nobody else says what is right


def test_learnt_errors_are_distinguished_from_others() -> None:
    taught = [example(number, "a", taught="b" if number < 20 else "") for number in range(50)]
    answers = [each.demonstration for each in taught[:10]] + [to_json({"label": "c", "size": 0})] * 5
    answers += [each.reference for each in taught[15:]]
    wrong, learnt = errors(SAME, taught, answers, SCHEMA)
    assert (wrong.value, learnt.value) == (0.3, 0.2)  # ten of fifty were learnt; the five others are its own
    result = writing(SAME, taught, taught, [], SCHEMA)
    assert result.demonstrations is not None and result.demonstrations.value == 0.6


def test_what_the_scorer_fails_on_is_neither_right_nor_wrong() -> None:
    def fails(examples: Sequence[Example], answers: Sequence[str]) -> list[bool | None]:
        verdicts = zip(examples, SAME(examples, answers), strict=True)
        return [None if int(each.id[1:]) >= 20 else same for each, same in verdicts]

    taught = [example(number, "a", taught="b" if number < 10 else "") for number in range(40)]
    again: list[Second] = [(each, each.demonstration) for each in taught]
    result = writing(fails, taught, taught, again, SCHEMA)
    assert result.demonstrations is not None and result.demonstrations.value == 0.5  # ten of the twenty that it decides
    assert result.agreement is not None and (result.agreement.value, result.pairs) == (0.5, 20)
    wrong, learnt = errors(fails, taught, [each.demonstration for each in taught], SCHEMA)
    assert (wrong.value, learnt.value) == (0.5, 0.5)
    away = writing(lambda examples, _: [None] * len(examples), taught, taught, again, SCHEMA)
    assert away.agreement is None and away.demonstrations is None


def test_a_wrong_answer_differs_from_the_reference_in_one_field() -> None:
    for _, field, text in wrong_answers(EXAMPLES[0], DONORS, SCHEMA, 1):
        right, wrong = EXAMPLES[0].reference, text
        assert wrong != right and field in ("label", "size")
    assert {field for _, field, _ in wrong_answers(EXAMPLES[0], DONORS, SCHEMA, 1)} == {"label", "size"}


def test_a_scorer_that_overlooks_a_field_is_detected() -> None:
    def looks_at_label(examples: list[Example], answers: list[str]) -> list[bool | None]:
        return [json.loads(each.reference)["label"] == json.loads(text)["label"]
                for each, text in zip(examples, answers, strict=True)]  # fmt: skip

    exact, half = (scoring(judge, EXAMPLES, SCHEMA, 1) for judge in (SAME, looks_at_label))  # pyright: ignore[reportArgumentType]
    assert exact is not None and (exact.false_positives.value, exact.false_negatives.value) == (0.0, 0.0)
    assert exact.unseen == () and exact.reads_reference
    assert half is not None and half.unseen == ("size",)
    assert half.false_positives.value == pytest.approx(0.5)


def test_a_scorer_that_needs_no_reference_is_recognised_and_its_failures_are_no_errors() -> None:
    fails = scoring(
        lambda examples, answers: [None if at % 4 == 0 else True for at, _ in enumerate(answers)], EXAMPLES, SCHEMA, 1
    )
    assert fails is not None and not fails.reads_reference
    assert fails.false_positives.value == 1.0
    assert fails.failures == pytest.approx(0.25, abs=0.02)
    assert scoring(SAME, [], SCHEMA, 1) is None


def test_a_scorer_that_can_do_nothing_with_a_wrong_reference_reads_it() -> None:
    right = {each.id: each.reference for each in EXAMPLES}

    def judge(examples: Sequence[Example], answers: Sequence[str]) -> list[bool | None]:
        if any(each.reference != right[each.id] for each in examples):
            raise ScorerError("expected a reference whose query runs")
        return [True] * len(answers)

    result = scoring(judge, EXAMPLES, SCHEMA, 1)
    assert result is not None and result.reads_reference


@pytest.mark.parametrize(("schema", "a", "b"), [(LABEL, "a", "b"), (LIST, '["a"]', '["b"]')])
def test_answers_that_stand_alone_are_read_by_their_schema(schema: Mapping[str, Any], a: str, b: str) -> None:
    same = partial(same_answers, schema=schema)
    examples = [alone(number, (a, b)[number % 2]) for number in range(40)]
    result = scoring(same, examples, schema, 1)
    assert result is not None and (result.false_positives.value, result.false_negatives.value, result.n) == (0, 0, 80)
    again: list[Second] = [(examples[0], f" {a}\n"), (examples[1], b), (examples[2], b), (examples[3], b)]
    written = writing(same, examples, examples, again, schema)
    assert written.agreement is not None and written.agreement.value == 0.75
    assert written.by_field == {"answer": 0.75}
    dated = [alone(number, (a, b)[number >= 200], f"202{4 + number // 200}-01-01") for number in range(400)]
    moved = movement(dated, "date", schema, 1)
    # no permutation separates the halves: the least p-value of 200
    assert moved is not None and (moved.field, moved.distance, moved.p_value) == ("answer", 1.0, 1 / 201)
    assert len(moved.new_labels) == 1


def test_headroom_is_what_one_and_what_several_answers_reach() -> None:
    # half of the prompts are always right, a quarter half of the time, a quarter never
    passed = np.zeros((40, 4), dtype=bool)
    passed[:20], passed[20:30, :2] = True, True
    stands = np.arange(40) < 22  # of those that are right half of the time, two
    result = headroom(passed, stands)
    assert result.pass_1.value == pytest.approx(0.625)
    assert result.pass_k.value == pytest.approx(0.75)  # of four draws one is right wherever any is
    assert result.gap.value == pytest.approx(8 / 40)
    assert result.gap.low < 0.2 < result.gap.high
    apart = headroom(passed, Interval(value=0.55, low=0.5, high=0.6))  # known of other prompts alone
    assert apart.gap.value == pytest.approx(0.2) and apart.gap.low < result.gap.low
    assert result.zero_variance.value == 0.75
    with pytest.raises(DataError, match=r"several answers to several prompts, found shape \(40,\)"):
        headroom(passed[:, 0], stands)


def test_labels_that_came_up_in_the_later_half_are_movement() -> None:
    moved = [
        example(number, label, when=f"20{24 + number // 50}-{1 + number % 12:02}-01")
        for number, label in enumerate(["a"] * 50 + ["a"] * 25 + ["b"] * 25)
    ]
    result = movement(moved, "date", SCHEMA, 1)
    assert result is not None and result.field == "label"
    assert result.distance == pytest.approx(0.5)  # half of the later half
    assert result.p_value < 0.02 and result.new_labels == ('"b"',)
    assert result.span_years == pytest.approx(1.9, abs=0.1)


def test_a_task_of_many_fields_whose_labels_were_exchanged_is_seen_to_move() -> None:
    def at(number: int) -> Example:
        answer = {f"field{n}": "ab"[number >= 100] for n in range(6)} | {"note": f"note {number}"}
        when = f"202{4 + number // 100}-{1 + number % 12:02}-01"
        return example(number, when=when).model_copy(update={"reference": to_json(answer)})

    fields = [*(f"field{n}" for n in range(6)), "note"]
    result = movement([at(number) for number in range(200)], "date", {"properties": {key: {} for key in fields}}, 1)
    # no permutation separates the halves: the least p-value, six times 1 of 6 · 200 + 1; free text does not count
    assert result is not None and (result.distance, result.p_value) == (1.0, pytest.approx(6 / 1201))
    assert result.stable_years(0.1) == pytest.approx(result.span_years / 2 * 0.1)


def test_the_chance_of_a_movement_is_that_of_a_draw_from_all_labels() -> None:
    # 2 of 40 labels differ, both in one half: 20 · 19 of 40 · 39 permutations on either side, 0.487
    moved = [example(number, "b" if number < 2 else "a", when=f"2024-01-{1 + number // 2:02}") for number in range(40)]
    p_values = [result.p_value for seed in range(50) if (result := movement(moved, "date", ONE, seed))]
    assert np.mean(p_values) == pytest.approx(2 * 20 * 19 / (40 * 39), abs=0.02)


def test_labels_that_stay_are_no_movement() -> None:
    rng = np.random.default_rng(2)
    still = [
        example(number, "abc"[rng.integers(3)], when=f"2025-{1 + number % 12:02}-{1 + number % 28:02}")
        for number in range(200)
    ]
    result = movement(still, "date", ONE, 1)
    assert result is not None and result.p_value > 0.01
    assert result.stable_years(0.1) == float("inf")
    assert movement(still[:20], "date", ONE, 1) is None
    assert movement(EXAMPLES, "nothing", ONE, 1) is None


def test_a_power_law_is_recovered_from_its_points() -> None:
    sizes = np.array([250.0, 500.0, 1000.0, 2000.0])
    law = 1 - 3 * sizes**-0.5
    assert extrapolate(sizes, law[None], np.array([8000.0]), np.zeros(1))[0, 0] == pytest.approx(
        1 - 3 * 8000**-0.5, abs=0.004
    )
    flat = extrapolate(sizes, np.full((1, 4), 0.8), np.array([8000.0, 16000.0]), np.linspace(0, 1, 41))
    assert flat[0] == pytest.approx([0.8, 0.8])


def test_intervals_of_an_extrapolation_hold_the_truth() -> None:
    # 100 curves from trials of 500, 1,000 and 2,000 on 400 dev examples: the accuracy after 8,000 is known
    rng, held = np.random.default_rng(5), 0
    for number in range(100):
        floor, rise = rng.uniform(0.0, 0.1), rng.uniform(2.0, 6.0)
        curve = lambda n, floor=floor, rise=rise: 1 - floor - rise * n**-0.5  # noqa: E731 — the curve's own formula
        passes = {n: (rng.random(400) < curve(n)).tolist() for n in (500, 1000, 2000)}
        result = learning(passes, 8000, number).full
        held += result.low <= curve(8000) <= result.high
    assert held >= 88


def test_a_curve_without_points_is_refused() -> None:
    with pytest.raises(DataError, match="at least one subset"):
        learning({}, 100, 1)
    assert learning({100: [True, False] * 20}, 100, 1).full.value == 0.5  # of one point nothing is extrapolated


def test_a_curve_that_still_gets_steeper_is_not_bounded_above() -> None:
    rows = {500: [False] * 300, 1000: [True] * 29 + [False] * 271, 2000: [True] * 129 + [False] * 171}
    result = learning(rows, 8000, 1).full
    # half of the curves that are reckoned with stay at 43 %, which 300 examples know to ± 4 points, twice: the 5 % end
    assert result.high == 1.0 and 0.34 < result.low < result.value < 0.9


def test_a_slice_is_thin_that_train_hardly_has_and_that_is_answered_worse() -> None:
    def of(n: int, split: str, value: str) -> list[Example]:
        return [
            Example(id=f"{split}{value}{at}", input={}, demonstration="", reference="", group="", slices={"on": value})
            for at in range(n)
        ]

    train = of(96, "train", "web") + of(2, "train", "chat") + of(2, "train", "fax")
    dev = of(80, "dev", "web") + of(20, "dev", "chat") + of(9, "dev", "fax")
    right = np.array([True] * 72 + [False] * 8 + [True] * 10 + [False] * 10 + [False] * 9)
    (result,) = thin(train, dev, right, ["on"], 0.05)  # nine of fax do not tell
    assert (result.name, result.train_share) == ("on chat", 0.02)
    assert result.dev_share == pytest.approx(20 / 109) and result.wrong.value == 0.5
    assert result.behind.value == pytest.approx(72 / 89 - 0.5)
    assert thin(train, dev, right, ["on"], 0.02) == ()
    assert thin(train, dev, ~right, ["on"], 0.05) == ()
