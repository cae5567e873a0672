"""The fields of an answer by path: objects are flattened, and arrays of labels have a field per label.

The fields of a flat object are its keys, in the schema's order. `city` in the object `place` is the field
`place.city`; whether the array `tags` contains the label `late` is the field `tags[late]`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from components.schema.reading import shape_of
from components.schema.shape import ABSENT, Shape

MOST_DEPTH = 8
MOST_LABELS = 50  # of an array, a field each
_YES_NO = Shape(kinds=frozenset({"boolean"}), values=(True, False))


@dataclass(frozen=True)
class Field:
    """A place in an answer: its path, its shape, and whether it is required wherever its parent is present.

    With `label`, the value says whether an array contains that label. A `holder` stands for a flattened object or array
    that may be null or missing: its value is empty if it is present.
    """

    name: str
    path: tuple[str, ...]
    shape: Shape
    required: bool
    label: Any = ABSENT
    holder: bool = False

    @property
    def top(self) -> str:
        """The top-level key that it belongs to."""
        return self.path[0]

    def of(self, answer: Any) -> Any:
        """Its value in an answer, or ABSENT."""
        value: Any = answer
        for key in self.path:
            if not isinstance(value, Mapping) or key not in value:
                return ABSENT
            value = value[key]
        if self.label is not ABSENT:
            return self.label in value if isinstance(value, list) else ABSENT
        return type(value)() if self.holder and isinstance(value, list | dict) else value

    def put(self, answer: Mapping[str, Any], value: Any) -> dict[str, Any]:
        """The answer with this value there; missing objects on the path are created."""
        return _put(answer, self.path, value)


def _put(answer: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    if len(path) == 1:
        return {**answer, path[0]: value}
    inner = answer.get(path[0])
    return {**answer, path[0]: _put(inner if isinstance(inner, Mapping) else {}, path[1:], value)}


@dataclass(frozen=True)
class Fields:
    """All fields of a schema, in order: `places` keep arrays whole, `leaves` split them into their labels."""

    top: Mapping[str, Shape]
    places: tuple[Field, ...]
    leaves: tuple[Field, ...]

    @property
    def is_flat(self) -> bool:
        """Whether the fields are exactly the keys of the answer."""
        return [leaf.name for leaf in self.leaves] == list(self.top)

    def flat(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Field → value, in the order of the answer; keys that the schema does not define are kept."""
        if self.is_flat:
            return dict(answer)
        values: dict[str, Any] = {}
        for key, value in answer.items():
            leaves = [leaf for leaf in self.leaves if leaf.top == key]
            if not leaves:
                values[key] = value
            values |= {leaf.name: seen for leaf in leaves if (seen := leaf.of(answer)) is not ABSENT}
        return values

    def answer(self, flat: Mapping[str, Any]) -> dict[str, Any]:
        """The answer with these values, the inverse of `flat` for everything that the schema defines."""
        if self.is_flat:
            return {name: flat[name] for name in self.top if name in flat}
        answer: dict[str, Any] = {}
        gone: set[tuple[str, ...]] = set()
        for leaf in self.leaves:
            if any(leaf.path[:depth] in gone for depth in range(1, len(leaf.path) + 1)):
                continue
            if leaf.name not in flat:
                if leaf.holder:
                    gone.add(leaf.path)
            elif leaf.label is not ABSENT:
                answer = _with_label(answer, leaf, has=bool(flat[leaf.name]))
            else:
                answer = leaf.put(answer, flat[leaf.name])
                if leaf.holder and not isinstance(flat[leaf.name], list | dict):
                    gone.add(leaf.path)
        return answer


def _with_label(answer: dict[str, Any], leaf: Field, *, has: bool) -> dict[str, Any]:
    """The answer with a label added to its array, or with the array as it is."""
    whole = Field(leaf.name, leaf.path, leaf.shape, leaf.required)
    there = whole.of(answer)
    labels = there if isinstance(there, list) else []
    return whole.put(answer, [*labels, leaf.label] if has else labels)


def fields_of(schema: Mapping[str, Any]) -> Fields:
    """The fields of an object's schema.

    Raises:
        ConfigError: A reference in the schema leads nowhere, or is circular.
    """
    return _cached(json.dumps(schema, ensure_ascii=False, default=str))


@lru_cache(maxsize=256)
def _cached(schema: str) -> Fields:
    root = shape_of(json.loads(schema))
    places = tuple(_walk(root, (), apart=False))
    leaves = tuple(_walk(root, (), apart=True))
    if len({leaf.name for leaf in leaves}) < len(leaves):  # a key `a.b` beside `b` in `a`: nothing is flattened
        leaves = places = tuple(Field(name, (name,), part, name in root.required) for name, part in root.fields.items())
    return Fields(root.fields, places, leaves)


def _walk(shape: Shape, path: tuple[str, ...], *, apart: bool) -> Iterator[Field]:
    """The fields of an object, in order."""
    for name, part in shape.fields.items():
        here, required = (*path, name), name in shape.required
        title = ".".join(here)
        inner = _inside(part, here, title, apart=apart)
        if not inner:
            yield Field(title, here, part, required)
            continue
        if part.nullable or not required:
            empty: Any = [] if "array" in part.kinds else {}
            values = (empty, *([None] if part.nullable else []))
            yield Field(title, here, Shape(kinds=part.kinds, values=values), required, holder=True)
        yield from inner


def _inside(part: Shape, path: tuple[str, ...], title: str, *, apart: bool) -> list[Field]:
    """The fields into which an object or an array of labels is split; empty if it is not."""
    kinds = part.kinds - {"null"}
    if kinds == frozenset(["object"]) and part.fields and len(path) < MOST_DEPTH and part.values is None:
        return list(_walk(part, path, apart=apart))
    if not apart or kinds != frozenset(["array"]) or part.members is None or part.values is not None:
        return []
    labels = part.members.labels
    if not 1 < len(labels) <= MOST_LABELS or None in labels:
        return []
    return [Field(f"{title}[{label}]", path, _YES_NO, True, label) for label in labels]
