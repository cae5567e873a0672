"""Constrained decoding: even a model with random weights cannot break the schema."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from components.engines import ChatRequest, Sampling
from components.engines.transformers_engine import TransformersEngine
from components.errors import EngineError
from components.records import Message

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
REQUESTS = [ChatRequest(str(number), [Message(role="user", content=f"ticket {number}")]) for number in range(6)]


def test_every_answer_obeys_the_schema_and_ends(engine: TransformersEngine) -> None:
    drawn = engine.generate(REQUESTS, Sampling(temperature=1.0, n=5, max_new_tokens=80, seed=3, answer_schema=SCHEMA))
    assert [answer.finish_reason for answer in drawn] == ["stop"] * 30
    answers = [json.loads(answer.text) for answer in drawn]
    assert [answer for answer in answers if not Draft202012Validator(SCHEMA).is_valid(answer)] == []
    assert {answer["kind"] for answer in answers} == {"refund", "delivery", "other"}  # the choice stays the model's


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
