"""How answers are written: an object as JSON, or one value alone, as plain text or as JSON.

Decides how a schema of one value (a label, a text, a list) becomes the object with one field that everything behind
the settings reads. How texts are read and written by it, `components.scorers.answers` decides.
"""

from collections.abc import Mapping
from typing import Any

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
    """Whether the schema says that it is one of an object."""
    return schema.get("type") == "object" or "properties" in schema


def is_alone(schema: Mapping[str, Any]) -> bool:
    """Whether answers hold the value of the only field, and no object around it."""
    return schema.get(WRITTEN) == ALONE


def is_text(schema: Mapping[str, Any]) -> bool:
    """Whether answers are plain text: a value alone that can only be a string."""
    if not is_alone(schema):
        return False
    value: Any = schema["properties"][FIELD]
    return isinstance(value, Mapping) and _only_strings(value)


def _only_strings(value: Mapping[str, Any]) -> bool:
    if "enum" in value:
        return all(isinstance(label, str) for label in value["enum"])
    if "const" in value:
        return isinstance(value["const"], str)
    for keyword in ("oneOf", "anyOf"):
        if keyword in value:
            return all(isinstance(part, Mapping) and _only_strings(part) for part in value[keyword])
    return value.get("type") == "string"


def _says_something(schema: Mapping[str, Any]) -> bool:
    return any(keyword in schema for keyword in ("type", "enum", "const", "oneOf", "anyOf", "$ref"))
