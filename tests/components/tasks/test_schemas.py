"""Schemas of tools' arguments: refused before a try begins, or what calls are held against in time."""

import time
from typing import Any

import pytest

from components.errors import ConfigError
from components.records import Tool
from components.schema.patterns import MATCH_SECONDS
from components.tasks.schemas import objection, refuse_bad_schemas


def tool(**parameters: Any) -> Tool:
    return Tool(name="note", parameters=parameters)


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"type": "objekt"}, "'objekt' is not valid"),
        ({"properties": []}, r"\[\] is not of type 'object'"),
        ({"properties": {"a": {"type": "image"}}}, "'image' is not valid"),
        ({"properties": {"a": {"pattern": r"^\p{L}$"}}}, "is not a 'regex'"),
        ({"patternProperties": {r"^\p{L}$": {}}}, "is not a 'regex'"),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "the reference '#/\\$defs/none', which leads to no schema"),
        ({"properties": {"a": {"$ref": "#none"}}}, "the reference '#none'"),
        ({"properties": {"a": {"$ref": "http://127.0.0.1:9/a.json"}}}, "the reference 'http://127.0.0.1:9/a.json'"),
        ({"properties": {"a": {"$ref": "#/b/enum"}}, "b": {"enum": [1]}}, "the reference '#/b/enum'"),
        ({"properties": {"a": {"$ref": "#/b"}}, "b": {"properties": []}}, r"\[\] is not of type 'object'"),
        ({"properties": {"a": {"$ref": "#/b"}}, "b": {"not": {"$ref": "#/none"}}}, "the reference '#/none'"),
        ({"$ref": "#"}, "leads back to itself"),
        ({"required": ["a"], "allOf": [{"$ref": "#"}]}, "leads back to itself"),
        ({"properties": {"a": {"enum": ["\ud800"]}}}, "cannot be written"),
    ],
)
def test_a_schema_that_nothing_can_be_held_against_is_refused_with_its_tool_and_the_reason(
    parameters: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=rf"arguments of note, found .*{reason}.* \(m:Class\)"):
        refuse_bad_schemas([Tool(name="fine", parameters={}), tool(**parameters)], "m:Class")


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": {"type": "string"}}},
        {"properties": {"a": {"$ref": "#"}}},  # a tree: each level is another value
        {"properties": {"a": {"$anchor": "name"}, "b": {"$ref": "#name"}, "c": True, "$ref": {"type": "string"}}},
        {"properties": {"a": {"enum": [{"$ref": "#/none"}]}}},  # a value that looks like a reference
        {"properties": {"a": {"$ref": "https://json-schema.org/draft/2020-12/schema"}}},
        {"$id": "http://a/b", "$defs": {"c": {}}, "properties": {"d": {"$ref": "#/$defs/c"}, "e": {"$ref": "b#"}}},
    ],
)
def test_a_schema_that_calls_can_be_held_against_is_not_refused(parameters: dict[str, Any]) -> None:
    refuse_bad_schemas([tool(**parameters)], "m:Class")


def test_arguments_that_a_pattern_cannot_be_matched_with_in_time_do_not_fit() -> None:
    started = time.process_time()
    slow = tool(properties={"a": {"pattern": r"^(?:a|a|aa)+$"}})
    assert "cannot be matched within" in str(objection(slow, {"a": "a" * 60 + "!"}))
    assert time.process_time() - started < 10 * MATCH_SECONDS
    assert objection(slow, {"a": "aaa"}) is None


def test_arguments_that_are_nested_too_deeply_for_their_schema_do_not_fit() -> None:
    tree = tool(properties={"a": {"$ref": "#"}})
    assert objection(tree, nested(20)) is None
    assert "nested too deeply" in str(objection(tree, nested(600)))


def test_of_arguments_with_a_very_long_number_it_can_be_said_whether_they_fit() -> None:
    money = tool(properties={"a": {"multipleOf": 0.04}})  # 25 of them are 1
    assert objection(money, {"a": 10**400}) is None
    assert "is not a multiple of 0.04" in str(objection(money, {"a": 0.05}))
