"""A workload's own regular expressions (`pattern` in its schema, its rules or its tools), which may be slow.

A match that exceeds its time limit raises an error; other threads can run meanwhile. The validator of JSON Schemas
that keeps these limits is here too; it computes multiples in decimals, so that 19.99 is one of 0.01.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeVar

import regex
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

MATCH_SECONDS = 0.5  # an ordinary pattern takes microseconds
_LIMITS: dict[str, Any] = {"timeout": MATCH_SECONDS, "concurrent": True}
Result = TypeVar("Result")


class TooSlow(Exception):
    """A pattern could not be matched with a text in time; the message has the pattern."""


class Pattern:
    """A compiled pattern; every call has the time limit."""

    def __init__(self, pattern: str) -> None:
        """Compile it.

        Raises:
            regex.error: It is not a regular expression.
        """
        self._compiled: Any = regex.compile(pattern)

    def search(self, text: str) -> bool:
        """Whether it matches anywhere in a text.

        Raises:
            TooSlow: The time limit is exceeded.
        """
        return self._timed(lambda: self._compiled.search(text, **_LIMITS) is not None)

    def fullmatch(self, text: str) -> bool:
        """Whether it matches the whole text.

        Raises:
            TooSlow: The time limit is exceeded.
        """
        return self._timed(lambda: self._compiled.fullmatch(text, **_LIMITS) is not None)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """The spans of its matches in a text.

        Raises:
            TooSlow: The time limit is exceeded.
        """
        return self._timed(lambda: [match.span() for match in self._compiled.finditer(text, **_LIMITS)])

    def _timed(self, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except TimeoutError:
            raise TooSlow(f"{self._compiled.pattern!r} cannot be matched within {MATCH_SECONDS:g} s") from None


compiled = lru_cache(maxsize=1024)(Pattern)


def errors(validator: Any, instance: Any) -> Iterator[ValidationError]:
    """A `SchemaValidator`'s errors; if a pattern takes too long, or the nesting is too deep, that is the last one."""
    try:
        yield from validator.iter_errors(instance)
    except TooSlow as slow:  # not "no match", which under `not` would make the instance valid
        yield ValidationError(str(slow))
    except RecursionError:
        yield ValidationError("it is nested too deeply")


def _pattern(validator: Any, pattern: str, instance: Any, _: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "string") and not compiled(pattern).search(instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _multiple(validator: Any, step: float, instance: Any, _: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "number") and not _is_multiple(instance, step):
        yield ValidationError(f"{instance!r} is not a multiple of {step!r}")


def _is_multiple(value: float, step: float) -> bool:
    """Whether a number is a multiple of a step, both as they are written in decimals."""
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return _written(value) % _written(step) == 0


def _written(number: float) -> Fraction:
    """A number as its decimals say it: 0.1 is a tenth. A float has at most some 330 digits, an integer its own."""
    return Fraction(number) if isinstance(number, int) else Fraction(str(number))


def _guarded(keyword: str) -> Any:
    """A keyword that selects properties by patterns, checked only if all of them match in time."""
    usual: Any = Draft202012Validator.VALIDATORS[keyword]

    def check(validator: Any, value: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
        for name in instance if validator.is_type(instance, "object") else ():
            for pattern in schema.get("patternProperties", ()):
                compiled(pattern).search(name)
        yield from usual(validator, value, instance, schema) or ()

    return check


# JSON Schema 2020-12 with time limits for patterns, and multiples in decimals. Raises TooSlow if a limit is exceeded,
# RecursionError if an instance is nested too deeply for a schema that refers to itself; `errors` raises neither.
SchemaValidator: type[Any] = extend(
    Draft202012Validator,
    {"pattern": _pattern, "multipleOf": _multiple}
    | {name: _guarded(name) for name in ("patternProperties", "additionalProperties", "unevaluatedProperties")},
)
