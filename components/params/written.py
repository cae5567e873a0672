"""Texts that YAML reads as other values because no quotes stand around them.

Decides which of them are refused in settings that hold JSON: what JSON does not have, such as dates, and labels that
became true, false or numbers where texts are meant.
"""

import json
import math
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator

UNQUOTED = "YAML reads yes, no, on, off, numbers and dates as other things; quote them"
_NUMBERS = ("number", "integer")


def as_json(value: Any) -> Any:
    """The value, if JSON has it.

    Raises:
        ValueError: JSON does not have it: it holds a date, a key that is no text, or itself.
    """
    try:
        problem = next(_foreign(value, ()), None)
    except RecursionError:
        problem = "expected JSON, found what contains itself, or is nested too deeply"
    if problem:
        raise ValueError(problem)
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(as_json)]


def _foreign(value: Any, place: tuple[str, ...]) -> Iterator[str]:
    """What JSON does not have in a value, each with its place."""
    if isinstance(value, dict):
        items: dict[Any, Any] = value
        for name, part in items.items():
            if not isinstance(name, str):
                yield _at(place, f"expected text as a key, found {_shown(name)}: {UNQUOTED}")
            yield from _foreign(part, (*place, str(name)))
    elif isinstance(value, list | tuple):
        parts: list[Any] | tuple[Any, ...] = value
        for at, part in enumerate(parts):
            yield from _foreign(part, (*place, str(at)))
    elif isinstance(value, date):
        yield _at(place, f"expected text, found the date {value}: {UNQUOTED}")
    elif not (value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))):
        yield _at(place, f"expected what JSON has, found {value!r:.80}")


def refuse_misread_labels(schema: Any) -> None:
    """Refuse a JSON Schema that lists true, false or numbers where texts are meant.

    Raises:
        ValueError: It does; says where.
    """
    if problem := next(_misread(schema, ()), None):
        raise ValueError(problem)


def _misread(schema: Any, place: tuple[str, ...]) -> Iterator[str]:
    """Such labels in a schema and its parts, each with its place."""
    if isinstance(schema, list):
        parts: list[Any] = schema
        for at, part in enumerate(parts):
            yield from _misread(part, (*place, str(at)))
    if not isinstance(schema, dict):
        return
    content: dict[str, Any] = schema
    for keyword in ("enum", "const", "default"):
        listed: Any = content.get(keyword)
        labels: list[Any] = listed if isinstance(listed, list) else [listed]
        for label in labels:
            if _is_misread(label, labels, _kinds(content)):
                yield _at((*place, keyword), f"expected text, found {_shown(label)}: {UNQUOTED}")
    for name, part in content.items():
        yield from _misread(part, (*place, name))


def _is_misread(label: Any, beside: list[Any], kinds: list[Any]) -> bool:
    """Whether a label of these types, which the schema lists with others, is no text though texts are meant."""
    if isinstance(label, bool):
        return "boolean" not in kinds and (
            "string" in kinds if kinds else any(isinstance(each, str) for each in beside)
        )
    return isinstance(label, int | float) and "string" in kinds and not any(kind in kinds for kind in _NUMBERS)


def _kinds(schema: Mapping[str, Any]) -> list[Any]:
    """The types that a schema names."""
    kinds: Any = schema.get("type", [])
    return kinds if isinstance(kinds, list) else [kinds]


def _shown(value: Any) -> str:
    return json.dumps(value, default=str)


def _at(place: tuple[str, ...], problem: str) -> str:
    return f"{'.'.join(place)}: {problem}" if place else problem
