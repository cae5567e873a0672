"""Cells into typed answers, and what is wrong with one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.answers import AnswerSchema
from components.data.texts import clean
from components.records import to_json

SCHEMA = AnswerSchema(
    {
        "type": "object",
        "required": ["label"],
        "additionalProperties": False,
        "$defs": {"money": {"type": ["number", "null"]}},
        "properties": {
            "label": {"enum": ["1", "true", "refund"]},
            "amount": {"$ref": "#/$defs/money"},
            "count": {"type": "integer"},
            "price": {"type": "number", "minimum": 0},
            "urgent": {"type": ["boolean", "null"]},
            "code": {"type": "string", "pattern": "^[A-Z]-\\d$"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
    }
)


@pytest.mark.parametrize(
    ("field", "cell", "value"),
    [
        ("label", "1", "1"),
        ("label", "true", "true"),
        ("amount", "12.50", 12.5),
        ("amount", "", None),
        ("amount", " 7 ", 7),
        ("amount", "1e999", "1e999"),
        ("amount", "NaN", "NaN"),
        ("price", "-1", -1),
        ("amount", "12,50", "12,50"),
        ("amount", float("nan"), None),
        ("count", "007", "007"),
        ("count", "3", 3),
        ("urgent", "Yes", True),
        ("urgent", "0", False),
        ("urgent", "", None),
        ("code", "A-1", "A-1"),
        ("code", "", None),
        ("tags", '["a", "b"]', ["a", "b"]),
        ("tags", "[" * 100_000, "[" * 100_000),
        ("tags", '["cut \\ud83d", "e\\u0301"]', ["cut ?", "é"]),
        ("tags", ["cut \ud83d", "e\u0301"], ["cut ?", "é"]),
        ("tags", {"cut \ud83d": ["\ude00"]}, {"cut ?": ["?"]}),
    ],
)
def test_a_cell_takes_the_type_that_the_schema_wants_or_stays_text(field: str, cell: Any, value: Any) -> None:
    typed = SCHEMA.typed(field, cell)
    assert typed == value
    assert type(typed) is type(value)


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.none())
def test_a_number_written_as_text_comes_back(value: float | None) -> None:
    assert SCHEMA.typed("amount", "" if value is None else repr(value)) == value


def test_problems_are_named_by_field_and_for_the_whole_object() -> None:
    problems = SCHEMA.problems({"amount": "12,50", "code": None, "colour": 1})
    assert problems.keys() == {"", "amount", "code"}
    assert problems["amount"] == "'12,50' is not of type 'number', 'null'"
    assert SCHEMA.problems({"label": "x"}) == {"label": "'x' is not one of the 3 allowed values"}
    assert SCHEMA.problems({"label": "refund", "urgent": None}) == {}


@given(st.text(alphabet=st.characters()))
def test_clean_text_survives_json_lines_and_stays_as_it_is(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert len(to_json({"a": once}).splitlines()) == 1


def test_clean_text_has_no_half_surrogates() -> None:
    assert clean("a\ud83d b\r\nc ") == "a? b\nc"
