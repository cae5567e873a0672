"""Answers: converts cells into a JSON object with the schema's types, and reports what is wrong with an answer.

Decides how text becomes a number, a boolean or null. A cell that fits no type is kept as it is: validation quarantines
its row with the reason.
"""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Never

from jsonschema.exceptions import ValidationError

from components.data.texts import clean
from components.schema import composed
from components.schema.patterns import SchemaValidator, errors

BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
MESSAGE_CHARACTERS = 160


class AnswerSchema:
    """The JSON Schema of a workload's answers, an object with properties."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.properties: dict[str, Any] = dict(schema["properties"])
        self._answer = SchemaValidator(dict(schema))
        self._fields = {name: self._answer.evolve(schema=part) for name, part in self.properties.items()}
        self._typed: dict[tuple[str, str], Any] = {}
        optional = self.properties.keys() - set(schema.get("required", ()))
        self._left_out = {name for name in optional if next(errors(self._fields[name], None), None) is not None}

    def typed(self, field: str, cell: Any) -> Any:
        """The cell with the type in the field's schema: text is read as JSON, a boolean or null if necessary.

        An empty cell is null. Text without a fitting reading stays text.
        """
        if cell is None or isinstance(cell, bool | int | list | dict):
            return composed(cell)
        if isinstance(cell, float):
            return cell if math.isfinite(cell) else None
        cell = str(cell)
        key = field, cell
        if key not in self._typed:
            self._typed[key] = _best(self._fields[field], _readings(clean(cell)))
        return self._typed[key]

    def leaves_out(self, field: str, value: Any) -> bool:
        """Whether an answer lacks a field with this value: null, where the field may be missing but not be null."""
        return value is None and field in self._left_out

    def problems(self, answer: Any) -> dict[str, str]:
        """What is wrong with an answer: field → reason; "" is for the whole object."""
        by_field: dict[str, str] = {}
        for error in errors(self._answer, answer):
            by_field.setdefault(str(error.path[0]) if error.path else "", _brief(error))
        return by_field


def _readings(text: str) -> list[Any]:
    """The possible values of a cell, the most likely first; the last is the cell itself."""
    if not text:
        return [None]
    readings: list[Any] = []
    with suppress(ValueError, RecursionError):
        readings.append(composed(json.loads(text, parse_constant=_refuse, parse_float=_finite)))
    if text.lower() in BOOLEANS:
        readings.append(BOOLEANS[text.lower()])
    return [*readings, text]


def _best(field: Any, readings: list[Any]) -> Any:
    """The first reading that fits; else the first of the right type, if that is not text; else the text."""

    def of_wrong_type(value: Any) -> bool:
        return any(error.validator == "type" for error in errors(field, value))

    def fits(value: Any) -> bool:
        return next(errors(field, value), None) is None

    text = readings[-1]
    fitting = next((value for value in readings if fits(value)), text)
    if fits(fitting) or not of_wrong_type(text):
        return fitting
    return next((value for value in readings if not of_wrong_type(value)), text)


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is not JSON")


def _finite(number: str) -> float:
    """A finite number; 1e999 is not."""
    value = float(number)
    return value if math.isfinite(value) else _refuse(number)


def _brief(error: ValidationError) -> str:
    """The validator's message, at most a line."""
    allowed: Any = error.validator_value
    if error.validator == "enum":
        message = f"{error.instance!r} is not one of the {len(allowed)} allowed values"
    else:
        message = error.message
    return message if len(message) <= MESSAGE_CHARACTERS else message[: MESSAGE_CHARACTERS - 1] + "…"
