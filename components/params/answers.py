"""How answers are written: an object as JSON, or a single value as plain text or as JSON.

Decides how the schema of a single value (a label, a text, a list) becomes that of an object with one field, which all
other code reads. `components.scorers.answers` decides how texts are read and written by it.
"""

from collections.abc import Mapping
from typing import Any

from components.schema import fields_of

FIELD = "answer"  # the field of a single value
WRITTEN = "x-written"  # an annotation, which validators ignore
ALONE = "alone"


def enveloped(schema: Any) -> Any:
    """The schema of an object: any other schema becomes that of its only field, marked as `alone`.

    A single text must not be empty, unless the schema allows it. What is no schema is returned unchanged.
    """
    if not isinstance(schema, Mapping) or describes_object(schema) or not _says_something(schema):
        return schema
    value: dict[str, Any] = dict(schema)
    if value.get("type") == "string" and "minLength" not in value and "enum" not in value:
        value["minLength"] = 1
    outer = {name: value.pop(name) for name in ("$schema", "$id", "$defs", "definitions") if name in value}
    return {
        **outer,
        WRITTEN: ALONE,
        "type": "object",
        "additionalProperties": False,
        "required": [FIELD],
        "properties": {FIELD: value},
    }


def describes_object(schema: Mapping[str, Any]) -> bool:
    """Whether the schema, or a part of it for the same value, describes an object."""
    if schema.get("type") in ("object", ["object"]) or "properties" in schema:
        return True
    parts = [part for keyword in ("allOf", "anyOf", "oneOf") for part in _parts(schema, keyword)]
    return any(describes_object(part) for part in parts)


def _parts(schema: Mapping[str, Any], keyword: str) -> list[Mapping[str, Any]]:
    parts = schema.get(keyword)
    return [part for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []


def is_alone(schema: Mapping[str, Any]) -> bool:
    """Whether answers are the value of the only field, without an object around it."""
    return schema.get(WRITTEN) == ALONE


def is_text(schema: Mapping[str, Any]) -> bool:
    """Whether answers are plain text: a single value that can only be a string."""
    if not is_alone(schema):
        return False
    return fields_of(schema).top[FIELD].kinds == frozenset(["string"])


def _says_something(schema: Mapping[str, Any]) -> bool:
    return any(keyword in schema for keyword in ("type", "enum", "const", "oneOf", "anyOf", "allOf", "$ref"))
