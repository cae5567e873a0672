"""Fast acceptance of answers to a flat object schema: a dictionary look-up and a test per field.

It accepts only what jsonschema accepts, and leaves everything else to jsonschema. That keeps it small (no nesting, no
references, no combinators), and its errors one-sided.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import NoneType
from typing import Any

from components.schema.patterns import Pattern, TooSlow, compiled

Test = Callable[[Any], object]

_ANNOTATIONS = frozenset({"$schema", "$id", "$comment", "title", "description", "default", "examples", "format"})
_OBJECT_KEYWORDS = _ANNOTATIONS | {"type", "properties", "required", "additionalProperties"}
_FIELD_KEYWORDS = _ANNOTATIONS | {
    "type", "enum", "pattern", "minLength", "maxLength",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
}  # fmt: skip
_CLASSES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),  # jsonschema also accepts 1.0
    "boolean": (bool,),
    "null": (NoneType,),
}


def compile_flat(schema: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], bool]:
    """A test that is true only for objects valid against the schema, and false if in doubt."""
    fields = _fields(schema)
    if fields is None:
        return lambda answer: False
    required = frozenset(schema.get("required", ()))

    def surely_valid(answer: Mapping[str, Any]) -> bool:
        for name, value in answer.items():
            test = fields[name].get(value.__class__) if name in fields else None
            if test is None or not test(value):
                return False
        return required.issubset(answer)

    return surely_valid


def _fields(schema: Mapping[str, Any]) -> dict[str, dict[type, Test]] | None:
    """Field → class of its value → test; None if the object has a keyword that this module does not support."""
    if not schema.keys() <= _OBJECT_KEYWORDS or schema.get("type") != "object":
        return None
    return {name: _tests(field) for name, field in schema.get("properties", {}).items()}


def _tests(field: Any) -> dict[type, Test]:
    """Class → test of its values; other classes are left to jsonschema."""
    if not isinstance(field, Mapping) or not field.keys() <= _FIELD_KEYWORDS:
        return {}
    kinds: Any = field.get("type", list(_CLASSES))
    names: Iterable[str] = [kinds] if isinstance(kinds, str) else kinds
    classes = {kind for name in names for kind in _CLASSES.get(name, ())}
    if "enum" in field:
        classes &= {str, NoneType}  # among numbers and booleans, JSON's equality is not Python's
    return {kind: _all(_value_tests(kind, field)) for kind in classes}


def _value_tests(kind: type, field: Mapping[str, Any]) -> list[Test]:
    tests: list[Test] = []
    if "enum" in field:
        tests.append(frozenset(member for member in field["enum"] if isinstance(member, kind)).__contains__)
    if kind is str:
        if "pattern" in field:
            tests.append(partial(_occurs, compiled(field["pattern"])))
        if "minLength" in field or "maxLength" in field:
            least, most = field.get("minLength", 0), field.get("maxLength", float("inf"))
            tests.append(lambda text: least <= len(text) <= most)
    elif kind in (int, float):
        tests.extend(
            compare(field[keyword])
            for keyword, compare in (
                ("minimum", lambda bound: lambda number: number >= bound),
                ("maximum", lambda bound: lambda number: number <= bound),
                ("exclusiveMinimum", lambda bound: lambda number: number > bound),
                ("exclusiveMaximum", lambda bound: lambda number: number < bound),
            )
            if keyword in field
        )
    return tests


def _occurs(pattern: Pattern, text: str) -> bool:
    try:
        return pattern.search(text)
    except TooSlow:
        return False


def _all(tests: list[Test]) -> Test:
    if not tests:
        return lambda value: True
    if len(tests) == 1:
        return tests[0]
    return lambda value: all(test(value) for test in tests)
