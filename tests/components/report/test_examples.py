"""Answers side by side: what agrees with the reference is seen as such."""

from components.report import Change
from components.report.examples import MOST_CHARACTERS, compare


def change(parent: str, child: str, reference: str = '{"intent": "refund", "amount": 49.9, "paid": true}') -> Change:
    return Change(example_id="T1", message="Hello", parent_answer=parent, answer=child, reference=reference)


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


def test_an_endless_answer_is_cut() -> None:
    comparison = compare(change("x" * 10_000, "{}"))
    assert len(comparison.parent_text) == MOST_CHARACTERS + 2 and comparison.parent_text.endswith(" …")
