"""A shape: the values that a schema allows. Shapes meet (both hold, allOf) and join (either holds, anyOf).

Values are compared as in JSON: 1 equals 1.0, and neither equals true.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

KINDS = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
MOST_COUNTED = 11  # integers between two bounds that still count as a list of values, as on a scale from 0 to 10
ABSENT: Final = object()


@dataclass(frozen=True)
class Shape:
    """What is known about a value: its possible kinds of JSON value, and the constraints on each kind.

    `values` lists all possible values, null last, or is None; `pattern` and `format` apply to strings, `minimum` and
    `maximum` to numbers, `members` and `fewest` to arrays, `fields` and `required` to objects. "number" in `kinds`
    includes integers.
    """

    kinds: frozenset[str] = KINDS
    values: tuple[Any, ...] | None = None
    pattern: str | None = None
    format: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    members: "Shape | None" = None
    fewest: int = 0
    fields: Mapping[str, "Shape"] = field(default_factory=dict[str, "Shape"])
    required: frozenset[str] = frozenset()
    default: Any = ABSENT

    @property
    def is_listed(self) -> bool:
        """Whether all possible values are listed: labels, booleans, a constant, a short scale."""
        return self.values is not None

    @property
    def labels(self) -> tuple[Any, ...]:
        """The listed values; () if they are only true, false and null, or not listed."""
        values = self.values or ()
        return () if all(value is None or isinstance(value, bool) for value in values) else values

    @property
    def nullable(self) -> bool:
        """Whether null is allowed."""
        return "null" in self.kinds

    @property
    def is_number(self) -> bool:
        """Whether it is a number, or null."""
        return bool(self.kinds) and self.kinds - {"null"} <= {"integer", "number"} and self.kinds != frozenset(["null"])

    @property
    def is_free_text(self) -> bool:
        """Whether any string is allowed."""
        return "string" in self.kinds and not self.is_listed and self.pattern is None and self.format is None

    @cached_property
    def _listed(self) -> frozenset[Any]:
        """What the listed values are known by."""
        return frozenset(map(_key, self.values or ()))

    def allows(self, value: Any) -> bool:
        """Whether a scalar fits the kinds, listed values, pattern and bounds."""
        if kind_of(value) not in _spread(self.kinds) or (self.values is not None and _key(value) not in self._listed):
            return False
        if isinstance(value, str):
            return self.pattern is None or re.search(self.pattern, value) is not None
        if isinstance(value, int | float) and not isinstance(value, bool):
            above = self.minimum is None or value >= self.minimum
            return above and (self.maximum is None or value <= self.maximum)
        return True


ANYTHING = Shape()
NOTHING = Shape(kinds=frozenset(), values=())


def kind_of(value: Any) -> str:
    """The kind of a JSON value; 1.0 is an integer."""
    if value is None or isinstance(value, bool | str):
        return {type(None): "null", bool: "boolean", str: "string"}[type(value)]
    if isinstance(value, int | float):
        return "integer" if isinstance(value, int) or value.is_integer() else "number"
    return "array" if isinstance(value, list | tuple) else "object"


def meet(left: Shape, right: Shape) -> Shape:
    """The shape of what fits both."""
    kinds = _gathered(_spread(left.kinds) & _spread(right.kinds))
    fields = {**left.fields, **right.fields}
    both = left.fields.keys() & right.fields.keys()
    fields |= {name: meet(left.fields[name], right.fields[name]) for name in both}
    members = meet(left.members, right.members) if left.members and right.members else left.members or right.members
    met = Shape(
        kinds=kinds,
        pattern=left.pattern if left.pattern is not None else right.pattern,
        format=left.format or right.format,
        minimum=_chosen(max, left.minimum, right.minimum),
        maximum=_chosen(min, left.maximum, right.maximum),
        members=members,
        fewest=max(left.fewest, right.fewest),
        fields=fields,
        required=left.required | right.required,
        default=left.default if left.default is not ABSENT else right.default,
    )
    listed = left.values if left.values is not None else right.values
    if listed is None:
        return closed(met)
    return with_values(met, [value for value in listed if left.allows(value) and right.allows(value)])


def join(shapes: Sequence[Shape]) -> Shape:
    """The shape of what fits at least one; a keyword holds if all shapes that it applies to share it."""
    possible = [shape for shape in shapes if shape.kinds]
    if not possible:
        return NOTHING
    texts, numbers, arrays, objects = (
        [shape for shape in possible if shape.kinds & kinds]
        for kinds in ({"string"}, {"integer", "number"}, {"array"}, {"object"})
    )
    names = dict.fromkeys(name for shape in objects for name in shape.fields)
    members = [shape.members for shape in arrays]
    joined = Shape(
        kinds=_gathered(frozenset[str]().union(*(_spread(shape.kinds) for shape in possible))),
        pattern=_common([shape.pattern for shape in texts]),
        format=_common([shape.format for shape in texts]),
        minimum=_outer(min, [shape.minimum for shape in numbers]),
        maximum=_outer(max, [shape.maximum for shape in numbers]),
        members=join([shape for shape in members if shape]) if members and all(members) else None,
        fewest=min((shape.fewest for shape in arrays), default=0),
        fields={name: join([shape.fields[name] for shape in objects if name in shape.fields]) for name in names},
        required=frozenset(names).intersection(*(shape.required for shape in objects)),
        default=next((shape.default for shape in possible if shape.default is not ABSENT), ABSENT),
    )
    lists = [shape.values for shape in possible]
    if any(values is None for values in lists):
        return joined
    return with_values(joined, [value for values in lists for value in values or ()])


def exclusive(shapes: Sequence[Shape]) -> Shape:
    """The shape of what fits exactly one, as far as values are listed; else of what fits at least one."""
    joined = join(shapes)
    if joined.values is None:
        return joined
    times = Counter(_key(value) for shape in shapes for value in shape.values or ())
    return with_values(joined, [value for value in joined.values if times[_key(value)] == 1])


def closed(shape: Shape) -> Shape:
    """The shape with its values listed if its kinds and bounds leave only a few: null, booleans, a short scale."""
    if shape.values is not None or not shape.kinds:
        return shape if shape.kinds else NOTHING
    values: list[Any] = [True, False] if "boolean" in shape.kinds else []
    rest = shape.kinds - {"null", "boolean"}
    if rest == frozenset(["integer"]) and (scale := _scale(shape)):
        values = [*scale, *values]
    elif rest:
        return shape
    return replace(shape, values=(*values, *([None] if shape.nullable else [])))


def with_values(shape: Shape, values: Sequence[Any]) -> Shape:
    """The shape with only these values, each once and null last, and their kinds."""
    each: dict[Any, Any] = {}
    for value in values:
        if value is not None:
            whole = isinstance(value, float) and value.is_integer()
            each.setdefault(_key(value), int(value) if whole else value)
    distinct = [*each.values(), *([None] if any(value is None for value in values) else [])]
    if not distinct:
        return NOTHING
    return replace(shape, values=tuple(distinct), kinds=_gathered(frozenset(kind_of(value) for value in distinct)))


def _scale(shape: Shape) -> list[int]:
    if shape.minimum is None or shape.maximum is None:
        return []
    low, high = int(-(-shape.minimum // 1)), int(shape.maximum // 1)
    return list(range(low, high + 1)) if 0 < high - low < MOST_COUNTED else []


def _key(value: Any) -> Any:
    """What a value is known by in a set: the same for values that are equal in JSON."""
    if isinstance(value, list | tuple):
        return "array", *map(_key, value)
    if isinstance(value, Mapping):
        return "object", frozenset((name, _key(part)) for name, part in value.items())
    return isinstance(value, bool), value


def _spread(kinds: frozenset[str]) -> frozenset[str]:
    """All kinds by name: "number" also gives "integer"."""
    return kinds | {"integer"} if "number" in kinds else kinds


def _gathered(kinds: frozenset[str]) -> frozenset[str]:
    return kinds - {"integer"} if "number" in kinds else kinds


def _chosen(choose: Any, left: float | None, right: float | None) -> float | None:
    bounds = [bound for bound in (left, right) if bound is not None]
    return choose(bounds) if bounds else None


def _outer(choose: Any, bounds: Sequence[float | None]) -> float | None:
    finite = [bound for bound in bounds if bound is not None]
    return choose(finite) if finite and len(finite) == len(bounds) else None


def _common(keywords: Sequence[str | None]) -> str | None:
    return keywords[0] if keywords and len(set(keywords)) == 1 else None
