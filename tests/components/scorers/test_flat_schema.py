"""The fast path never says yes where jsonschema says no, and answers for the schemas that it is made for."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from components.params import Workload, load
from components.scorers.flat_schema import compile_flat

ROOT = Path(__file__).resolve().parents[3]

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([-1.5, 0.0, 1.0, 2.5]), st.sampled_from(["", "ab"])
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(st.sampled_from("ab"), SCALARS, max_size=1))
TYPES = st.sampled_from(["string", "number", "integer", "boolean", "null", "array", "object"])
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
        "enum": st.lists(SCALARS, min_size=1, max_size=4),
        "pattern": st.sampled_from(["^a", "b$", ".."]),
        "minLength": st.integers(0, 2),
        "maxLength": st.integers(0, 2),
        "minimum": st.integers(-2, 2),
        "maximum": st.integers(-2, 2),
        "exclusiveMinimum": st.integers(-2, 2),
        "exclusiveMaximum": st.integers(-2, 2),
        "multipleOf": st.integers(1, 2),
        "const": SCALARS,
        "items": st.just({"type": "string"}),
        "description": st.just("words"),
    },
)
SCHEMAS = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": st.dictionaries(st.sampled_from("xyz"), FIELDS | st.booleans())},
    optional={
        "required": st.lists(st.sampled_from("xyz"), unique=True),
        "additionalProperties": st.booleans() | st.just({"type": "string"}),
        "minProperties": st.integers(0, 2),
        "dependentRequired": st.just({"x": ["y"]}),
    },
)


@given(SCHEMAS, st.dictionaries(st.sampled_from("xyzw"), VALUES))
def test_what_it_passes_jsonschema_passes_too(schema: dict[str, Any], answer: dict[str, Any]) -> None:
    if compile_flat(schema)(answer):
        assert Draft202012Validator(schema).is_valid(answer)


@given(
    st.dictionaries(
        st.sampled_from("xyz"), st.sampled_from([{"type": "string"}, {"enum": ["a", None]}, {"type": ["number"]}])
    ),
    st.dictionaries(st.sampled_from("xyz"), SCALARS),
)
def test_for_plain_fields_it_agrees_with_jsonschema_both_ways(fields: dict[str, Any], answer: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    assert compile_flat(schema)(answer) == Draft202012Validator(schema).is_valid(answer)


@pytest.mark.parametrize("answer", [None, "AB-12345"])
def test_it_answers_for_the_embedded_workload(answer: str | None) -> None:
    schema = load(ROOT / "params/workloads/triage.yaml", Workload).output
    right = {
        "intent": "order_status",
        "priority": "low",
        "product": "wifi_router",
        "order_id": answer,
        "amount": 10.5,
        "wants_refund": False,
    }
    assert compile_flat(schema)(right)
