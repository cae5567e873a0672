"""A schema as a grammar is made of it: an object that lists its properties, and says nothing of others, has no others.

The grammar library lets others repeat a key, even one of the listed, and no reader of answers takes that. Answers are
still judged by the schema as it is.
"""

from collections.abc import Iterator
from typing import Any

_ANNOTATIONS = frozenset({"$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated"})
_BY_NAME = frozenset({"properties", "$defs", "definitions"})
_LISTED = frozenset({"anyOf", "prefixItems"})  # of `oneOf` closed objects may differ where the written ones do not
_SINGLE = frozenset({"items", "additionalProperties"})
_LISTING = _ANNOTATIONS | _BY_NAME | {"type", "required"}
_MERGING = frozenset({
    "allOf", "not", "if", "then", "else", "dependentSchemas", "patternProperties", "unevaluatedProperties",
    "$dynamicRef",
})  # fmt: skip
_CHOOSING = frozenset({"$ref", "anyOf", "oneOf"})  # merging too, beside keywords about the same value


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its objects closed; as it is where several of its places speak of the same object."""
    return schema if any(map(_merges, _objects(schema))) else _closed(schema)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Each JSON object in a value, the value included."""
    todo = [value]
    while todo:
        part = todo.pop()
        if isinstance(part, dict):
            yield part
            todo += part.values()
        elif isinstance(part, list):
            todo += part


def _merges(place: dict[str, Any]) -> bool:
    """Whether more than one part of a place may speak of its value."""
    chosen = place.keys() & _CHOOSING
    beside = place.keys() - chosen - _ANNOTATIONS - {"$defs", "definitions", "type"}
    return bool(place.keys() & _MERGING) or len(chosen) > 1 or bool(chosen and beside)


def _closed(place: Any) -> Any:
    if not isinstance(place, dict):
        return place
    parts = {keyword: _closed_within(keyword, value) for keyword, value in place.items()}
    return parts | {"additionalProperties": False} if _lists_all(place) else parts


def _closed_within(keyword: str, value: Any) -> Any:
    """A keyword's value, with the schemas in it closed."""
    if keyword in _BY_NAME and isinstance(value, dict):
        return {name: _closed(part) for name, part in value.items()}
    if keyword in _LISTED and isinstance(value, list):
        return [_closed(part) for part in value]
    return _closed(value) if keyword in _SINGLE else value


def _lists_all(place: dict[str, Any]) -> bool:
    """Whether a place says nothing of an object but what its properties are, and which it needs."""
    properties, required = place.get("properties"), place.get("required", [])
    listing = isinstance(properties, dict) and isinstance(required, list) and place.keys() <= _LISTING
    return listing and bool(properties) and all(name in properties for name in map(str, required))
