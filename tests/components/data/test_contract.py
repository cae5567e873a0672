"""The contract as a suite: what it holds against a table, and that a check that cannot be made does not pass."""

import pytest

from components.data.checks import label_sets, nullable, tabulate
from components.data.contract import Failure, validate
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
