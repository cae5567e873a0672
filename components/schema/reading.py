"""A JSON Schema (2020-12) as a shape: references followed, combinators resolved, annotations left out.

What a shape cannot express (`if`, dependencies, `not` beyond listed values) is ignored: a shape may allow more than its
schema, never less.
"""

import json
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from components.errors import ConfigError
from components.schema.shape import (
    ABSENT,
    ANYTHING,
    KINDS,
    NOTHING,
    Shape,
    closed,
    exclusive,
    join,
    kind_of,
    meet,
    with_values,
)

_PLAIN = frozenset(  # keywords about the value itself, without `enum`, whose values a shape lists
    ("type", "const", "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum")
) | {"exclusiveMaximum", "multipleOf", "minItems", "maxItems", "required"}
MOST_PLACES = 20_000  # of a schema, with its references followed


def shape_of(schema: Mapping[str, Any] | bool) -> Shape:
    """The shape that a schema allows.

    Raises:
        ConfigError: A reference leads nowhere, or is circular.
    """
    return _cached(json.dumps(schema, ensure_ascii=False, default=str))


@lru_cache(maxsize=256)
def _cached(schema: str) -> Shape:
    from referencing import Registry
    from referencing.jsonschema import DRAFT202012

    content: Any = json.loads(schema)
    root = DRAFT202012.create_resource(content)
    registry: Any = Registry()
    return _Reader().read(content, registry.resolver_with_root(root), (), ())


def resolve_root(schema: Any) -> Any:
    """The target of a schema whose root is only a reference, so that its properties are at the root.

    Any other schema is returned unchanged.
    """
    visited: set[str] = set()
    while isinstance(schema, dict) and isinstance(schema.get("$ref"), str) and "properties" not in schema:
        pointer = schema["$ref"]
        target = _at(schema, pointer)
        if pointer in visited or not isinstance(target, dict):
            return schema
        visited.add(pointer)
        schema = {**{name: value for name, value in schema.items() if name != "$ref"}, **target}
    return schema


def composed(schema: Any) -> Any:
    """A schema, or a value, with all its strings as the texts are that it is compared with.

    That is in Unicode's composed form (NFC), and with `?` for each half of a surrogate pair.
    """
    if isinstance(schema, str):
        return unicodedata.normalize("NFC", schema.encode("utf-8", "replace").decode("utf-8"))
    if isinstance(schema, dict):
        return {composed(name): composed(part) for name, part in schema.items()}
    return [composed(part) for part in schema] if isinstance(schema, list) else schema


def _at(schema: Any, pointer: str) -> Any:
    """The value at a pointer within the document, or None."""
    if not pointer.startswith("#/"):
        return None
    for part in pointer[2:].split("/"):
        name = part.replace("~1", "/").replace("~0", "~")
        schema = schema.get(name) if isinstance(schema, dict) else None
    return schema


class _Reader:
    """Reads the places of a document, each once."""

    def __init__(self) -> None:
        self._known: dict[int, Shape] = {}
        self._places = 0

    def read(self, schema: Any, resolver: Any, above: tuple[int, ...], here: tuple[int, ...]) -> Shape:
        """The shape of a place; `above` are the places that contain it, `here` those about the same value."""
        if isinstance(schema, bool):
            return ANYTHING if schema else NOTHING
        place = id(schema)
        if place in self._known:
            return self._known[place]
        if place in here:
            raise ConfigError("output must be a schema that can be followed, found a $ref that leads back to itself")
        if place in above:
            return _bare(schema)
        self._places += 1
        if self._places > MOST_PLACES:
            raise ConfigError(f"output must be a schema of at most {MOST_PLACES:,} places, found more")
        resolver = resolver.in_subresource(_resource(schema)) if "$id" in schema else resolver
        within = (*above, place), (*here, place)
        shape = meet(self._own(schema, resolver, within[0]), self._combined(schema, resolver, *within))
        self._known[place] = _valid(closed(shape), schema)
        return self._known[place]

    def _own(self, schema: Mapping[str, Any], resolver: Any, above: tuple[int, ...]) -> Shape:
        """The shape that the place's own keywords allow."""
        low, high = _bounds(schema)
        properties: Mapping[str, Any] = schema.get("properties", {})
        items = schema.get("items", ABSENT)
        shape = Shape(
            kinds=_kinds(schema),
            pattern=schema.get("pattern"),
            format=schema.get("format"),
            minimum=low,
            maximum=high,
            members=None if items is ABSENT else self.read(items, resolver, above, ()),
            fewest=schema.get("minItems", 0),
            fields={name: self.read(part, resolver, above, ()) for name, part in properties.items()},
            required=frozenset(schema.get("required", ())),
            default=schema.get("default", ABSENT),
        )
        listed = schema.get("enum", [schema["const"]] if "const" in schema else None)
        return closed(shape) if listed is None else _valid(with_values(shape, listed), schema)

    def _combined(
        self, schema: Mapping[str, Any], resolver: Any, above: tuple[int, ...], here: tuple[int, ...]
    ) -> Shape:
        """The shape that references and combinators allow."""
        shape = ANYTHING
        for keyword in ("$ref", "$dynamicRef"):
            if keyword in schema:
                contents, resolver_there = _resolved(schema[keyword], resolver)
                shape = meet(shape, self.read(contents, resolver_there, above, here))
        for part in schema.get("allOf", ()):
            shape = meet(shape, self.read(part, resolver, above, here))
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                parts = [self.read(part, resolver, above, here) for part in schema[keyword]]
                shape = meet(shape, join(parts) if keyword == "anyOf" else exclusive(parts))
        if "not" in schema and (out := self.read(schema["not"], resolver, above, here)).values:
            shape = _without(meet(shape, self._own(schema, resolver, above)), out)
        return shape


def _valid(shape: Shape, schema: Mapping[str, Any]) -> Shape:
    """The shape with those listed values that the place's own keywords allow, according to the validator."""
    from components.schema.patterns import SchemaValidator, errors

    if shape.values is None:
        return shape
    validator = SchemaValidator({name: schema[name] for name in _PLAIN & schema.keys()})
    return with_values(shape, [value for value in shape.values if next(errors(validator, value), None) is None])


def _without(shape: Shape, out: Shape) -> Shape:
    if shape.values is None:
        return shape
    return with_values(shape, [value for value in shape.values if not out.allows(value)])


def _resolved(reference: str, resolver: Any) -> tuple[Any, Any]:
    from referencing.exceptions import Unresolvable

    try:
        target = resolver.lookup(reference)
    except Unresolvable as error:
        raise ConfigError(f"output must be a schema whose references resolve, found {reference!r}") from error
    return target.contents, target.resolver


def _resource(schema: Any) -> Any:
    from referencing.jsonschema import DRAFT202012

    return DRAFT202012.create_resource(schema)


def _bare(schema: Mapping[str, Any]) -> Shape:
    """The shape of a place that contains itself: only its kinds."""
    return Shape(kinds=_kinds(schema))


def _kinds(schema: Mapping[str, Any]) -> frozenset[str]:
    """The kinds that `type` names, or all if it is missing."""
    types = schema.get("type", list(KINDS))
    kinds = frozenset([types] if isinstance(types, str) else types)
    return kinds - {"integer"} if "number" in kinds else kinds


def _bounds(schema: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The minimum and the maximum; for integers, an exclusive bound becomes the next integer inside it."""
    low, high = schema.get("minimum"), schema.get("maximum")
    whole = "number" not in _kinds(schema)
    step = 1 if whole else 0
    below, above = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if below is not None:
        low = max(below + step if kind_of(below) == "integer" else below, below if low is None else low)
    if above is not None:
        high = min(above - step if kind_of(above) == "integer" else above, above if high is None else high)
    return low, high
