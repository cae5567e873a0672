"""The contract as a suite: what it holds against a table, and that a check that cannot be made does not pass."""

import pytest

from components.data.checks import label_sets, nullable, tabulate
from components.data.contract import Failure, validate
from components.data.labels import labels_of
from components.data.sources import Row
from components.errors import DataError
from components.records import Example
from tests.components.data.conftest import MakeWorkload


def row(name: str, text: str, answer: str) -> Row:
    return Row(Example(id=name, input={"text": text}, demonstration=answer, reference=answer, group=name), "all", name)


def test_a_row_lists_all_its_failures(make_workload: MakeWorkload) -> None:
    workload = make_workload()
    rows = [
        row("a", "hello", '{"intent": "refund", "amount": 1}'),
        row("", "", '{"intent": 5, "amount": true, "more": 1}'),
    ]
    findings = validate(tabulate(rows, {}, [], workload), workload)
    assert findings.failures.keys() == {1}
    assert set(findings.failures[1]) == {
        Failure("id is empty", "id is empty"),
        Failure("input is empty", "input is empty"),
        Failure("intent does not match the schema", "intent is '5 (not a text)', not one of the 2 labels"),
        Failure("amount does not match the schema", "amount: True is not of type 'number', 'null'"),
        Failure(
            "answer does not match the schema",
            "answer: Additional properties are not allowed ('more' was unexpected)",
        ),
    }


def test_a_missing_field_is_a_failure_and_an_allowed_null_is_not(make_workload: MakeWorkload) -> None:
    output = make_workload().model_dump()["output"]
    output["properties"]["intent"]["enum"] = ["refund", "delivery", None]
    workload = make_workload(output=output)
    assert nullable(workload, "intent")
    rows = [row("a", "hello", '{"intent": null, "amount": null}'), row("b", "you", '{"intent": "refund"}')]
    findings = validate(tabulate(rows, {}, [], workload), workload)
    assert findings.failures == {
        1: (Failure("answer does not match the schema", "answer: 'amount' is a required property"),)
    }


def test_a_label_may_be_missing_where_the_schema_does_not_require_it_but_not_null(make_workload: MakeWorkload) -> None:
    workload = make_workload(output=make_workload().output | {"required": ["amount"]})
    rows = [row("a", "hello", '{"amount": 1}'), row("b", "you", '{"intent": null, "amount": 1}')]
    rows += [row(name, name, '{"intent": "refund", "amount": 1}') for name in "cd"]
    findings = validate(tabulate(rows, {}, [], workload), workload)
    why = "intent is 'null (not a text)', not one of the 2 labels"
    assert findings.failures == {1: (Failure("intent does not match the schema", why),)}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ('{"kind": "late", "cause": "theft"}', "cause: 'theft' is not one of the 1 allowed values"),
        ('{"kind": "late", "cause": null}', "cause: None is not one of the 1 allowed values"),
        ('{"kind": "lost", "cause": "theft", "more": "x"}', "more: 'x' is not of type 'number'"),
    ],
)
def test_what_no_column_of_a_field_shows_is_a_failure_of_the_whole_answer(
    make_workload: MakeWorkload, answer: str, why: str
) -> None:
    output = {
        "type": "object",
        "properties": {"kind": {"enum": ["late", "lost"]}, "cause": {"enum": ["theft", "snow", None]}},
        "additionalProperties": {"type": "number"},
        "if": {"properties": {"kind": {"const": "late"}}},
        "then": {"properties": {"cause": {"enum": ["snow"]}}},
    }
    workload = make_workload(output=output, source={"columns": {"input": ["text"], "output": {"kind": "kind"}}})
    rows = [row("a", "hello", '{"kind": "lost", "cause": null, "more": 1}'), row("b", "you", answer)]
    findings = validate(tabulate(rows, {}, [], workload), workload)
    assert findings.failures == {1: (Failure("answer does not match the schema", f"answer: {why}"),)}


def test_what_is_no_label_is_no_rare_one(make_workload: MakeWorkload) -> None:
    workload = make_workload(validation={"rare_label_share": 0.2})
    answers = ["refund", "delivery", "refund", "delivery", "refund", "refnud"]
    rows = [row(str(at), f"{at}", f'{{"intent": "{label}", "amount": 1}}') for at, label in enumerate(answers)]
    assert validate(tabulate(rows, {}, [], workload), workload).warnings == ()


@pytest.mark.parametrize("answer", ["refund", '"refund"', "[1]", "5", "null", "{"])
def test_a_harvests_answer_that_is_no_object_is_a_failure_of_its_row(make_workload: MakeWorkload, answer: str) -> None:
    workload = make_workload()
    rows = [row("a", "hello", '{"intent": "refund", "amount": 1}'), row("b", "you", answer)]
    findings = validate(tabulate(rows, {}, [], workload), workload)
    assert findings.failures.keys() == {1}
    assert Failure("answer does not match the schema", "answer: it is not a JSON object") in findings.failures[1]
    assert [dict(labels) for labels in labels_of(rows, workload)] == [{"intent": "refund"}, {}]


def test_choices_of_text_are_label_sets_of_what_is_valid(make_workload: MakeWorkload) -> None:
    properties = {
        "a": {"enum": ["x", "y", None]},
        "b": {"type": "string", "enum": ["x"]},
        "c": {"enum": [1, 2]},
        "d": {"enum": ["x", "longer"], "maxLength": 1},
        "e": {"type": "string"},
    }
    workload = make_workload(output={"type": "object", "properties": properties})
    assert label_sets(workload) == {"a": ["x", "y"], "b": ["x"], "d": ["x"]}


def test_a_number_is_not_the_label_of_its_digits(make_workload: MakeWorkload) -> None:
    properties = {"stars": {"enum": ["1", "2", "3", "4", "5"]}, "late": {"enum": ["true", "false"]}}
    workload = make_workload(output={"type": "object", "properties": properties})
    rows = [row("a", "hello", '{"stars": "5", "late": "true"}'), row("b", "you", '{"stars": 5, "late": true}')]
    findings = validate(tabulate(rows, {}, [], workload), workload)
    assert findings.failures.keys() == {1}
    assert set(findings.failures[1]) == {
        Failure("stars does not match the schema", "stars is '5 (not a text)', not one of the 5 labels"),
        Failure("late does not match the schema", "late is 'true (not a text)', not one of the 2 labels"),
    }


def test_a_field_may_share_its_name_with_the_contracts_own_columns(make_workload: MakeWorkload) -> None:
    properties = {"problem": {"type": "string", "maxLength": 5}, "share": {"enum": ["yes", "no"]}}
    workload = make_workload(output={"type": "object", "properties": properties})
    rows = [
        row("a", "hello", '{"problem": "leaks", "share": "yes"}'),
        row("b", "you", '{"problem": "too long", "share": "no"}'),
    ]
    findings = validate(tabulate(rows, {}, [], workload), workload)
    assert findings.failures == {
        1: (Failure("problem does not match the schema", "problem: 'too long' is too long"),),
    }


def test_a_check_that_cannot_be_made_lets_no_row_pass(make_workload: MakeWorkload) -> None:
    workload = make_workload()
    table = tabulate([row("a", "hello", '{"intent": "refund", "amount": 1}')], {}, [], workload)
    with pytest.raises(DataError, match=r"expected the check expect_column_values_to_be_null straddles to name"):
        validate(table.drop(columns="straddles"), workload)
