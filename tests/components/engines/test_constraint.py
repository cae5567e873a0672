"""Constrained decoding: even a model with random weights cannot break the schema."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from components.engines import Calls, ChatRequest, Sampling
from components.engines.chat import Chat
from components.engines.constraint import Grammar
from components.engines.transformers_engine import TransformersEngine
from components.errors import EngineError
from components.records import Message, Tool

SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["kind", "id", "urgent"],
    "properties": {
        "kind": {"enum": ["refund", "delivery", "other"]},
        "id": {"type": ["string", "null"], "pattern": "^[A-Z]{2}-[0-9]{5}$"},
        "urgent": {"type": "boolean"},
    },
}
TOOL = Tool(name="find", parameters={"type": "object", "properties": {"kind": {"enum": ["a", "b"]}}})
REQUESTS = [ChatRequest(str(number), [Message(role="user", content=f"ticket {number}")]) for number in range(6)]


def test_every_answer_obeys_the_schema_and_ends(engine: TransformersEngine) -> None:
    drawn = engine.generate(REQUESTS, Sampling(temperature=1.0, n=5, max_new_tokens=80, seed=3, answer_schema=SCHEMA))
    assert [answer.finish_reason for answer in drawn] == ["stop"] * 30
    answers = [json.loads(answer.text) for answer in drawn]
    assert [answer for answer in answers if not Draft202012Validator(SCHEMA).is_valid(answer)] == []
    assert {answer["kind"] for answer in answers} == {"refund", "delivery", "other"}  # the choice stays the model's


ITEM = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"]}
TREE = {"type": "object", "properties": {"n": {"enum": [1]}, "more": {"type": "array", "items": {"$ref": "#/$defs/t"}}}}


@pytest.mark.parametrize(
    ("schema", "answers", "none"),
    [
        (ITEM, ['{"n": 1}'], ['{"n": 1, "n": 2}', '{"n": 1, "x": 2}', '{"n": 1, "": 2, "": 3}']),
        (
            {"type": "array", "items": {"anyOf": [ITEM, {"type": "null"}]}},
            ['[{"n": 1}, null]'],
            ['[{"n": 1, "n": 2}]'],
        ),
        (
            {"$ref": "#/$defs/t", "$defs": {"t": TREE}},
            ['{"n": 1, "more": [{"n": 1}]}'],
            ['{"n": 1, "more": [{"n": 1, "x": 1}]}'],
        ),
        # What follows speaks of others, or of an object in several places: it stays as open as it is.
        (ITEM | {"additionalProperties": {"enum": [3]}}, ['{"n": 1, "x": 3}'], ['{"n": 1, "x": 4}']),
        (ITEM | {"required": ["n", "x"]}, ['{"n": 1, "x": 4}'], ['{"n": 1}']),
        ({"allOf": [ITEM, {"properties": {"x": {"enum": [3]}}}]}, ['{"n": 1, "x": 3}'], ['{"n": 1, "x": 4}']),
        ({"type": "object"}, ['{"x": 1}', '{"x": 1, "x": 2}'], ["[]"]),
    ],
)
def test_an_object_has_no_property_twice_where_its_schema_lists_them(
    engine: TransformersEngine, schema: dict[str, Any], answers: list[str], none: list[str]
) -> None:
    for sampling in (Sampling(answer_schema=schema), Sampling(answer_schema=schema, calls=Calls())):
        grammar = Grammar(engine._vocabulary, sampling)
        assert [text for text in answers if not grammar.reads(text, ended=True)] == []
        assert [text for text in none if grammar.reads(text, ended=True)] == []


def test_a_schema_that_is_none_is_refused_as_one(engine: TransformersEngine) -> None:
    deep: dict[str, Any] = {}
    for _ in range(900):
        deep = {"type": "object", "properties": {"a": deep}}
    for schema in ({"properties": ["a"]}, {"anyOf": {}}, {"properties": {"a": {}}, "required": 5}, deep):
        with pytest.raises(EngineError, match="expected a schema for constrained decoding, found: "):
            Grammar(engine._vocabulary, Sampling(answer_schema=schema))


@pytest.mark.parametrize(
    "sampling", [Sampling(answer_schema=SCHEMA), Sampling(calls=Calls(tools=(TOOL,), names=("find",), least=1, most=1))]
)
def test_what_is_held_from_its_start_is_the_answer_though_the_prompt_opens_a_thought(
    engine: TransformersEngine, sampling: Sampling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine.tokenizer, "chat_template", engine.tokenizer.chat_template + "<think>")
    monkeypatch.setattr(engine, "chat", Chat(engine.tokenizer))
    assert engine.chat.thinking
    sampling, pieces = sampling.model_copy(update={"temperature": 1.0, "max_new_tokens": 80}), list[str]()
    (answer,) = engine.stream(REQUESTS[:1], sampling, {0: pieces.append})
    assert answer.text == "".join(pieces)
    assert answer.text.lstrip().startswith("{" if sampling.answer_schema else "<tool_call>")
    (free,) = engine.generate(REQUESTS[:1], Sampling(max_new_tokens=5))
    assert free.text == ""  # a thought that does not end


def test_without_a_schema_the_same_model_obeys_none(engine: TransformersEngine) -> None:
    free = engine.generate(REQUESTS, Sampling(max_new_tokens=20, seed=3))
    assert not any(answer.text.startswith("{") for answer in free)


def test_an_answer_does_not_depend_on_its_batch(engine: TransformersEngine) -> None:
    sampling = Sampling(temperature=1.0, max_new_tokens=80, seed=3, answer_schema=SCHEMA)
    together = [answer.text for answer in engine.generate(REQUESTS, sampling)]
    assert together == [engine.generate([request], sampling)[0].text for request in REQUESTS]


def test_what_the_grammar_cannot_hold_to_is_refused_before_anything_is_answered(engine: TransformersEngine) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "string", "pattern": "(unclosed"}}, "required": ["x"]}
    with pytest.raises(EngineError, match="expected a schema for constrained decoding, found: "):
        engine.generate(REQUESTS, Sampling(answer_schema=schema))


@pytest.mark.parametrize(
    "part", [{"enum": [2**53 + 1]}, {"const": {"id": 2**63 - 1}}, {"type": "integer", "minimum": -(2**53) - 1}]
)
def test_an_integer_that_would_be_written_as_another_is_refused(
    engine: TransformersEngine, part: dict[str, Any]
) -> None:
    schema = {"type": "object", "properties": {"id": part}, "required": ["id"]}
    tool = Tool(name="find", parameters=schema)
    for sampling in (Sampling(answer_schema=schema), Sampling(calls=Calls(tools=(tool,), names=("find",)))):
        with pytest.raises(EngineError, match=r"whole numbers up to 2\^53 \(write ids as strings\), found -?9\d+"):
            Grammar(engine._vocabulary, sampling)


def test_large_integers_that_are_read_as_they_are_may_be_listed(engine: TransformersEngine) -> None:
    bound = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
    grammar = Grammar(engine._vocabulary, Sampling(answer_schema={"type": "array", "items": {"anyOf": [bound]}}))
    assert grammar.reads(f"[{2**63 - 1}, 7]", ended=True)
    assert Grammar(engine._vocabulary, Sampling(answer_schema={"enum": [2**60]})).reads(str(2**60), ended=True)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {f"k{number}": {"type": "integer"} for number in range(2_500)}},
        {"type": "string", "pattern": "(a?)" * 2_000},
    ],
)
def test_a_grammar_that_gives_up_gives_no_answer_that_looks_complete(
    engine: TransformersEngine, schema: dict[str, Any]
) -> None:
    with pytest.raises(EngineError, match="expected a schema that constrained decoding can follow, found: "):
        engine.generate(REQUESTS[:1], Sampling(max_new_tokens=40, answer_schema=schema))


def test_the_tokens_of_a_model_are_read_once_for_all_grammars(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Sampling(max_new_tokens=5, answer_schema=SCHEMA)
    first = engine.generate(REQUESTS, asked)
    monkeypatch.setattr("llguidance.hf.from_tokenizer", None)  # a second reading would fail
    assert [each.text for each in engine.generate(REQUESTS, asked)] == [each.text for each in first]
