"""From a workload's settings to its scorer: the names that are known, and a user's own as `module:Class`."""

import importlib
from collections.abc import Mapping
from typing import Any, cast

from components.errors import ConfigError
from components.params import FieldMatch, ScorerParams
from components.scorers.exact import ExactScorer
from components.scorers.field_match import FieldMatchScorer
from components.scorers.json_schema import JsonSchemaScorer
from components.scorers.protocol import Scorer
from components.scorers.unit_tests import UnitTestsScorer
from components.scorers.weighted import WeightedScorer

NAMES = ("json_schema", "field_match", "exact", "sql_execution", "unit_tests")


def build(params: ScorerParams, schema: Mapping[str, Any]) -> Scorer:
    """The weighted scorer of a workload whose answers obey this JSON Schema (an object with properties).

    Without `fields`, field_match compares every property exactly; with them, only those named. A user's class is
    called with the schema.

    Raises:
        ConfigError: A scorer is unknown or does not load, or `fields` names what is no property.
    """
    scorers = {name: (_one(name, params, schema), weight) for name, weight in params.weighted.items()}
    return WeightedScorer(scorers, params.gates)


def _one(name: str, params: ScorerParams, schema: Mapping[str, Any]) -> Scorer:
    match name:
        case "json_schema":
            return JsonSchemaScorer(schema)
        case "field_match":
            return FieldMatchScorer(_compared(params.fields, schema))
        case "exact":
            return ExactScorer()
        case "sql_execution" if params.sql_execution:
            from components.scorers.sql_execution import SqlExecutionScorer

            return SqlExecutionScorer(params.sql_execution, schema)
        case "unit_tests":
            return UnitTestsScorer(params.unit_tests)
        case _:
            return _own(name, schema)


def _compared(fields: Mapping[str, FieldMatch], schema: Mapping[str, Any]) -> Mapping[str, FieldMatch]:
    properties: Mapping[str, Any] = schema["properties"]
    for name in fields:
        if name not in properties:
            raise ConfigError(f"scorer.fields: expected one of {', '.join(properties)}, found {name}")
    return fields or {name: FieldMatch() for name in properties}


def _own(name: str, schema: Mapping[str, Any]) -> Scorer:
    """A user's scorer."""
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ConfigError(f"scorer.weighted: expected {', '.join(NAMES)} or module:Class, found {name}")
    try:
        found: Any = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"scorer.weighted: expected a class that can be imported as {name}, found {error}") from error
    if not callable(getattr(found, "score", None)):
        raise ConfigError(f"scorer.weighted: expected a class with a method `score`, found none ({name})")
    return cast(Scorer, found(schema))
