"""Schemas of tools' arguments: which are none, and what a call's arguments lack of their tool's.

Decides that a schema is whole before a try begins, so that afterwards an objection is the agent's affair. References
stay within the schema: nothing is fetched.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from jsonschema import SchemaError
from jsonschema_specifications import REGISTRY
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from components.errors import ConfigError
from components.records import Tool
from components.schema.patterns import SchemaValidator, errors


def refuse_bad_schemas(tools: Sequence[Tool], address: str) -> None:
    """Refuse tools whose arguments nothing can be held against.

    Raises:
        ConfigError: Names the first one, what is wrong with its schema, and the environment.
    """
    for tool in tools:
        if problem := _problem(tool):
            raise ConfigError(
                f"agent.environment: expected a JSON Schema for the arguments of {tool.name}, "
                f"found {problem} ({address})"
            )


def objection(tool: Tool, arguments: Any) -> str | None:
    """Why these are no arguments of a tool whose schema is whole; None if they are."""
    error = next(errors(_validator(tool.model_dump_json()), arguments), None)
    return None if error is None else error.message[:200]


@lru_cache(maxsize=256)
def _validator(tool: str) -> Any:
    """The validator of a tool's arguments."""
    return SchemaValidator(Tool.model_validate_json(tool).arguments_schema, registry=Registry())


def _problem(tool: Tool) -> str | None:
    """Why a tool's schema is none; None if it is one."""
    try:
        validator = _validator(tool.model_dump_json())
        SchemaValidator.check_schema(validator.schema)
        if (lost := _lost_reference(validator.schema)) is not None:
            return f"the reference {lost!r:.80}, which leads to no schema in it"
        for _ in validator.iter_errors({}):  # follows what leads back to the same value
            pass
    except SchemaError as error:
        return error.message[:200]
    except RecursionError:
        return "one that leads back to itself, or is nested too deeply"
    except ValueError:
        return "one that cannot be written as JSON"
    return None


def _lost_reference(schema: dict[str, Any]) -> str | None:
    """The first reference in a schema that leads nowhere, or to something that is none; None if there is no such.

    Raises:
        SchemaError: A reference leads to what should be a schema, in a place that only references know.
    """
    todo: list[tuple[Any, Any]] = [(schema, REGISTRY.resolver_with_root(DRAFT202012.create_resource(schema)))]
    seen: set[int] = set()
    while todo:
        place, resolver = todo.pop()
        if isinstance(place, bool) or id(place) in seen:
            continue
        seen.add(id(place))
        for reference in (place[keyword] for keyword in ("$ref", "$dynamicRef") if keyword in place):
            try:
                target = resolver.lookup(reference)
            except Unresolvable:
                return reference
            if not isinstance(target.contents, dict | bool):
                return reference
            if id(target.contents) not in seen:
                SchemaValidator.check_schema(target.contents)
                todo.append((target.contents, target.resolver))
        todo += [
            (part, resolver.in_subresource(DRAFT202012.create_resource(part)))
            for part in DRAFT202012.subresources_of(place)
        ]
    return None
