"""How answers are written: an object as JSON, or one value alone, as plain text or as JSON.

Decides how a schema of one value (a label, a text, a list) becomes the object with one field that everything behind
the settings reads. How texts are read and written by it, `components.scorers.answers` decides.
"""

from collections.abc import Mapping
from typing import Any

from components.schema import fields_of

FIELD = "answer"  # the name of a value that has none
WRITTEN = "x-written"  # an annotation: validators pass over it
ALONE = "alone"


def enveloped(schema: Any) -> Any:
    """The schema of an object: one of an object as it is, any other as that of its only field, marked as `alone`.

    Texts alone must not be empty, where the schema does not say otherwise. What is no schema comes back as it is.
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
    """Whether the schema, or a part of it that speaks of the same value, says that it is one of an object."""
    if schema.get("type") in ("object", ["object"]) or "properties" in schema:
        return True
    parts = [part for keyword in ("allOf", "anyOf", "oneOf") for part in _parts(schema, keyword)]
    return any(describes_object(part) for part in parts)


def _parts(schema: Mapping[str, Any], keyword: str) -> list[Mapping[str, Any]]:
    parts = schema.get(keyword)
    return [part for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []


def is_alone(schema: Mapping[str, Any]) -> bool:
    """Whether answers hold the value of the only field, and no object around it."""
    return schema.get(WRITTEN) == ALONE


def is_text(schema: Mapping[str, Any]) -> bool:
    """Whether answers are plain text: a value alone that can only be a string."""
    if not is_alone(schema):
        return False
    return fields_of(schema).top[FIELD].kinds == frozenset(["string"])


def _says_something(schema: Mapping[str, Any]) -> bool:
    return any(keyword in schema for keyword in ("type", "enum", "const", "oneOf", "anyOf", "allOf", "$ref"))
