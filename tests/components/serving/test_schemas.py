"""What callers call a JSON Schema: told from what is none as draft 2020-12 does, and cheaply."""

import time
from itertools import product
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema_specifications import REGISTRY

from components.serving.schemas import objection

VOCABULARIES = ("core", "applicator", "unevaluated", "validation", "meta-data", "format-annotation", "content")
META: list[Any] = [REGISTRY.contents(f"https://json-schema.org/draft/2020-12/meta/{name}") for name in VOCABULARIES]
KEYWORDS = [keyword for vocabulary in META for keyword in vocabulary["properties"]]
VALUES: list[Any] = [
    None, True, 0, 3.0, -1, 1.5, "object", "x", [], ["object"], ["a", 1], [{}], [{"type": "x"}], [1], {}, {"type": 1},
    {"a": 1}, {"a": {}}, {"a": False}, {"a": {"minLength": -1}}, {"a": ["b"]}, {"a": [1]}, {"not": {"required": "a"}},
]  # fmt: skip
HARD: dict[str, dict[str, Any]] = {
    "many parts": {"anyOf": [{}] * 16_000},
    "many properties": {"properties": {f"k{number}": {"type": "string", "title": "x" * 20} for number in range(900)}},
    "many that are wrong": {"properties": {f"k{number}": 1 for number in range(5_000)}},
    "many names of two kinds": {"required": ["a", 1] * 8_000},
    "many types of two kinds": {"type": ["object", 1] * 4_000},
    "many classes of all letters": {"pattern": "(?i)" + "[\x01-\uffff]" * 9_000},
    "a deep one": {},
}  # fmt: skip
for _ in range(150):
    HARD["a deep one"] = {"not": HARD["a deep one"]}


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_a_schema_is_told_from_what_is_none(keyword: str) -> None:
    plain = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    for value, within in product(VALUES, (False, True)):
        schema = {"properties": {"a": {keyword: value}}} if within else {keyword: value}
        assert (objection(schema) is None) == plain.is_valid(schema), schema


@pytest.mark.parametrize("name", HARD)
def test_a_schema_is_read_in_a_time_that_keeps_nobody_waiting(name: str) -> None:
    def seconds() -> float:
        started = time.thread_time()
        objection(HARD[name])
        return time.thread_time() - started

    assert min(seconds() for _ in range(3)) < 0.05  # 7 and more by the validator of schemas


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"properties": {"a": {"type": "objekt"}}}, "'objekt' at 'properties.a.type.0' (Input should be 'array'"),
        ({"$defs": {"a": {"minLength": True}}}, "True at '$defs.a.minLength' (Input should be a valid number"),
        ({"not": 1}, "1 at 'not' (Input should be a valid dictionary"),
    ],
)
def test_what_is_wrong_first_is_named_with_its_place(schema: dict[str, Any], said: str) -> None:
    assert (objection(schema) or "").startswith(said)
