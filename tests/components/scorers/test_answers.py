"""Reading answers: which texts are answers, which are not and why, and that what was read is written the same."""

from typing import Any

import pytest

from components.errors import DataError, ScorerError
from components.params.answers import enveloped
from components.records import Completion, Example
from components.scorers.answers import (
    NotAnAnswer,
    decoded,
    read,
    read_answer,
    read_demonstration,
    read_object,
    read_reference,
    write,
)

OBJECT: dict[str, Any] = {"type": "object", "properties": {"label": {"type": "string"}}}
TEXT: dict[str, Any] = enveloped({"type": "string"})
LIST: dict[str, Any] = enveloped({"type": "array", "items": {"type": "string"}})


def example(text: str) -> Example:
    return Example(id="e7", input={}, demonstration=text, reference=text, group="g")


@pytest.mark.parametrize(
    ("schema", "text", "answer"),
    [
        (None, '{"label": "x"}', {"label": "x"}),
        (OBJECT, ' {"label": "x"}\n', {"label": "x"}),
        (TEXT, " as said\n", {"answer": "as said"}),
        (TEXT, '["a"]', {"answer": '["a"]'}),
        (LIST, ' ["a"]', {"answer": ["a"]}),
        (LIST, "null", {"answer": None}),
    ],
)
def test_an_answer_is_read_as_the_schema_says(schema: dict[str, Any] | None, text: str, answer: Any) -> None:
    assert read(text, schema) == answer
    assert read_answer(Completion.of_text("e7", text), schema) == answer
    assert read_reference(example(text), schema) == answer
    if schema is not None:
        assert read_demonstration(example(text), schema) == answer


@pytest.mark.parametrize(
    ("schema", "answer", "text"),
    [
        (OBJECT, {"label": "é"}, '{"label": "é"}'),
        (TEXT, {"answer": "as said"}, "as said"),
        (TEXT, {"answer": None}, ""),
        (TEXT, {}, ""),
        (TEXT, {"answer": 5}, "5"),
        (TEXT, {"answer": ["a"]}, '["a"]'),
        (LIST, {"answer": ["a"]}, '["a"]'),
        (LIST, {"answer": "a"}, '"a"'),
        (LIST, {"answer": None}, "null"),
    ],
)
def test_an_answer_is_written_as_the_schema_says(schema: dict[str, Any], answer: dict[str, Any], text: str) -> None:
    assert write(answer, schema) == text


@pytest.mark.parametrize(
    ("schema", "text", "reason"),
    [
        (OBJECT, "label", "not JSON: Expecting value at character 0"),
        (OBJECT, "[]", "not an object but an array"),
        (LIST, '["a"', "not JSON: Expecting ',' delimiter at character 4"),
        (TEXT, " \n", "no text"),
    ],
)
def test_an_invalid_answer_says_why_and_an_invalid_reference_whose_it_is(
    schema: dict[str, Any], text: str, reason: str
) -> None:
    with pytest.raises(NotAnAnswer) as refused:
        read_answer(Completion.of_text("e7", text), schema)
    assert str(refused.value) == reason
    with pytest.raises(ScorerError) as unjudged:
        read_reference(example(text), schema)
    assert str(unjudged.value) == f"expected a JSON object as reference, found {reason} (example e7)"
    kind = "a JSON object" if schema is OBJECT else "an answer"
    with pytest.raises(DataError) as unlearnt:
        read_demonstration(example(text), schema)
    assert str(unlearnt.value) == f"expected {kind} as demonstration, found {reason} (example e7)"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[1]", "an array"), ('"x"', "a string"), ("1", "a number"), ("1.5", "a number"), ("true", "a boolean"),
        ("null", "null"),
    ],
)  # fmt: skip
def test_a_value_that_is_not_an_object_is_named(text: str, kind: str) -> None:
    with pytest.raises(NotAnAnswer) as refused:
        read_object(text)
    assert str(refused.value) == f"not an object but {kind}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "b": 2, "b": 3, "a": 4}', "key 'b' more than once"),
        (f'{{"{"k" * 99}": 1, "{"k" * 99}": 2}}', f"key '{'k' * 59} more than once"),
        ("1e999", "number 1e999 beyond the range of a float"),
        ("-1e999", "number -1e999 beyond the range of a float"),
        ("NaN", "not JSON: NaN is no number"),
        ("-Infinity", "not JSON: -Infinity is no number"),
        ("1 2", "not JSON: Extra data at character 2"),
    ],
)
def test_values_that_json_does_not_have_are_refused(text: str, reason: str) -> None:
    with pytest.raises(NotAnAnswer) as refused:
        decoded(text)
    assert str(refused.value) == reason


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 100_000, '{"a":' * 100_000])
def test_json_that_python_cannot_read_is_refused(text: str) -> None:
    with pytest.raises(NotAnAnswer, match=r"^not readable as JSON: "):
        decoded(text)


def test_numbers_of_any_finite_size_are_read() -> None:
    assert decoded("[1.7e308, -1.7e308, 5e-324, -0.0, 12345678901234567890]") == [
        1.7e308, -1.7e308, 5e-324, 0.0, 12345678901234567890,
    ]  # fmt: skip


def test_an_object_with_many_keys_is_read() -> None:
    answer = {f"k{number}": number for number in range(300)}
    assert read_object(write(answer, OBJECT)) == answer


def test_a_text_is_read_once() -> None:
    assert read_object('{"once": 1}') is read_object('{"once": 1}')
