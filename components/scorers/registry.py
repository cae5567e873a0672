"""Builds a workload's scorer from its settings: built-in ones by name, a user's own as `module:Class`."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from components.errors import ConfigError
from components.params import AgentParams, FieldMatch, Limits, ScorerParams
from components.scorers.exact import ExactScorer
from components.scorers.field_match import FieldMatchScorer
from components.scorers.format_rules import FormatRulesScorer
from components.scorers.http import HttpScorer
from components.scorers.json_schema import JsonSchemaScorer
from components.scorers.judge import JudgeScorer
from components.scorers.protocol import Scorer
from components.scorers.similarity import SimilarityScorer
from components.scorers.sql_execution import SqlExecutionScorer
from components.scorers.trajectories import CallsScorer, EfficiencyScorer, FinalStateScorer, SaidScorer
from components.scorers.unit_tests import UnitTestsScorer
from components.scorers.weighted import WeightedScorer

Schema = Mapping[str, Any]
Section = TypeVar("Section")


def build(params: ScorerParams, schema: Schema, agent: AgentParams | None = None) -> Scorer:
    """The weighted scorer of a workload with this JSON Schema (an object with properties).

    Without `fields`, field_match compares every property exactly; with them, only those. A user's class is called with
    the schema. References are replayed under the limits of the workload's agent.

    Raises:
        ConfigError: A scorer is unknown or does not load, or its settings do not suit the schema or this machine.
    """
    limits = agent.limits if agent else Limits()
    scorers = {name: (_one(name, params, schema, limits), weight) for name, weight in params.weighted.items()}
    return WeightedScorer(scorers, params.gates)


def _one(name: str, params: ScorerParams, schema: Schema, limits: Limits) -> Scorer:
    return MAKERS[name](params, schema, limits) if name in MAKERS else _own(name, schema)


def _given(section: Section | None) -> Section:
    """A section of the settings, which `ScorerParams` requires if the scorer is named."""
    assert section is not None
    return section


def _compared(fields: Mapping[str, FieldMatch], schema: Schema) -> Mapping[str, FieldMatch]:
    properties: Mapping[str, Any] = schema["properties"]
    for name in fields:
        if name not in properties:
            raise ConfigError(f"scorer.fields: expected one of {', '.join(properties)}, found {name}")
    return fields or {name: FieldMatch() for name in properties}


def _own(name: str, schema: Schema) -> Scorer:
    """A user's scorer."""
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ConfigError(f"scorer.weighted: expected {', '.join(MAKERS)} or module:Class, found {name}")
    try:
        scorer: Any = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"scorer.weighted: expected a class that can be imported as {name}, found {error}") from error
    if not callable(getattr(scorer, "score", None)):
        raise ConfigError(f"scorer.weighted: expected a class with a method `score`, found none ({name})")
    return cast(Scorer, scorer(schema))


MAKERS: dict[str, Callable[[ScorerParams, Schema, Limits], Scorer]] = {
    "json_schema": lambda _, schema, __: JsonSchemaScorer(schema),
    "field_match": lambda params, schema, _: FieldMatchScorer(_compared(params.fields, schema), schema),
    "exact": lambda *_: ExactScorer(),
    "sql_execution": lambda params, schema, _: SqlExecutionScorer(_given(params.sql_execution), schema),
    "similarity": lambda params, schema, _: SimilarityScorer(_given(params.similarity), schema),
    "unit_tests": lambda params, schema, _: UnitTestsScorer(params.unit_tests, schema),
    "format_rules": lambda params, schema, _: FormatRulesScorer(_given(params.format_rules), schema),
    "judge": lambda params, *_: JudgeScorer(_given(params.judge)),
    "http": lambda params, *_: HttpScorer(_given(params.http)),
    "final_state": lambda params, _, limits: FinalStateScorer(_given(params.trajectory), limits),
    "said": lambda *_: SaidScorer(),
    "calls": lambda params, *_: CallsScorer(_given(params.trajectory)),
    "efficiency": lambda params, *_: EfficiencyScorer(_given(params.trajectory)),
}
