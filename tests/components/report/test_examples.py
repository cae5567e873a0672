"""Answers side by side: what the scorer calls right is seen as such."""

import pytest

from components.records import Score
from components.report import Change
from components.report.examples import MOST_CHARACTERS, compare

RIGHT = Score(value=1.0, passed=True)


def wrong(**parts: float) -> Score:
    return Score(value=0.0, passed=False, parts=parts)


def change(
    parent: str,
    child: str,
    reference: str = '{"intent": "refund", "amount": 49.9, "paid": true}',
    scores: tuple[Score, Score] | None = None,
    tried: bool = False,
) -> Change:
    """Two answers, both wrong where no scores are given."""
    was, now = scores or (wrong(), wrong())
    return Change(
        example_id="T1", message="Hello", reference=reference,
        parent_answer=parent, parent_score=was, answer=child, score=now, tried=tried,
    )  # fmt: skip


def test_only_fields_in_which_an_answer_errs_are_shown() -> None:
    comparison = compare(
        change('{"intent": "order", "amount": 49.90, "paid": true}', '{"intent": "refund", "amount": 49.9, "paid": 1}')
    )
    assert [(line.field, line.parent_right, line.child_right) for line in comparison.lines] == [
        ("intent", False, True),
        ("paid", True, False),
    ]
    assert comparison.agreed == 1
    assert (comparison.lines[0].reference, comparison.lines[0].parent, comparison.lines[1].child) == (
        '"refund"',
        '"order"',
        "1",
    )


def test_an_answer_that_is_no_object_is_shown_as_it_was_written() -> None:
    comparison = compare(change("The customer wants a refund.", '{"intent": "refund", "amount": 49.9, "paid": true}'))
    assert comparison.parent_text == "The customer wants a refund." and comparison.child_text == ""
    assert [(line.parent, line.parent_right, line.child_right) for line in comparison.lines] == [
        ("missing", False, True)
    ] * 3


def test_a_field_that_nobody_asked_for_is_an_error() -> None:
    comparison = compare(change('{"intent": "refund", "amount": 49.9, "paid": true, "mood": "bad"}', "{}"))
    assert [line.field for line in comparison.lines if not line.parent_right] == ["mood"]
    assert comparison.lines[-1].reference == "missing" and comparison.lines[-1].child_right


def test_a_reference_that_is_no_object_leaves_texts_alone() -> None:
    comparison = compare(change("a", "b", reference="c"))
    assert (comparison.lines, comparison.parent_text, comparison.child_text, comparison.reference) == (
        (),
        "a",
        "b",
        "c",
    )


@pytest.mark.parametrize(
    ("reference", "parent", "child"),
    [
        ('{"sql": "a > 1"}', '{"sql": "a > 2"}', '{"sql": "1 < a"}'),
        ('{"tags": ["a", "b"]}', '{"tags": ["a"]}', '{"tags": ["b", "a"]}'),
        ('{"amount": 49.9}', '{"amount": 4.99}', '{"amount": 49.901}'),
    ],
)
def test_an_answer_that_passed_is_right_however_it_is_written(reference: str, parent: str, child: str) -> None:
    scores = wrong(sql_execution=0.0), RIGHT
    [line] = compare(change(parent, child, reference, scores)).lines
    assert (line.parent_right, line.child_right) == (False, True)
    assert line.child in child


def test_a_wrong_answer_errs_where_its_score_says_so() -> None:
    reference = '{"tags": ["a", "b"], "amount": 1, "note": "x"}'
    parent = '{"tags": ["b", "a"], "amount": 2, "note": "y"}'
    comparison = compare(change(parent, reference, reference, (wrong(tags=1.0, amount=0.0), RIGHT)))
    # The note differs, and no part tells whether it may.
    rights = [(line.field, line.parent_right, line.child_right) for line in comparison.lines]
    assert rights == [("amount", False, True), ("note", None, True)]
    assert comparison.agreed == 1


def test_where_no_part_is_to_blame_fields_err_that_differ() -> None:
    reference = '{"summary": "late", "order": "A1"}'
    invented = '{"summary": "late by 9 days", "order": "A1"}'
    comparison = compare(change(invented, reference, reference, (wrong(summary=1.0, order=1.0), RIGHT)))
    assert [(line.field, line.parent_right) for line in comparison.lines] == [("summary", False)]


def test_answers_without_a_wrong_field_are_shown_as_texts() -> None:
    same = '{"intent": "refund", "amount": 49.9, "paid": true}'
    comparison = compare(change(f" {same}", same, scores=(wrong(), RIGHT)))
    assert (comparison.lines, comparison.agreed) == ((), 0)
    assert (comparison.parent_text, comparison.child_text) == (f" {same}", same)


@pytest.mark.parametrize("said", ["Done.", '{"intent": "refund"}'])
def test_what_an_agent_said_is_shown_as_text_alone(said: str) -> None:
    comparison = compare(change("I cannot.", said, scores=(wrong(final_state=0.0), RIGHT), tried=True))
    assert (comparison.lines, comparison.agreed) == ((), 0)
    assert (comparison.parent_text, comparison.child_text) == ("I cannot.", said)


def test_an_endless_answer_is_cut() -> None:
    comparison = compare(change("x" * 10_000, "{}"))
    assert len(comparison.parent_text) == MOST_CHARACTERS + 2 and comparison.parent_text.endswith(" …")
