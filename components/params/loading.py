"""Reading settings: YAML into frozen models, with errors that name file, field, expected and found."""

import reprlib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from yaml.constructor import ConstructorError

from components.errors import ConfigError
from components.params.written import UNQUOTED

Model = TypeVar("Model", bound=BaseModel)


# What YAML raises besides its own errors: for a month 13, a number of 5,000 digits, `!!bool x`, endless brackets.
_UNREADABLE = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError)
_SHOWN = reprlib.Repr()  # YAML's aliases can make a value whose repr is endless
_SHOWN.maxstring = _SHOWN.maxother = _SHOWN.maxlong = 300
_SHOWN.maxlevel, _SHOWN.maxdict, _SHOWN.maxlist = 2, 10, 10
_SWITCHES = {"yes": "true", "no": "false", "on": "true", "off": "false"}


def without_login(address: str) -> str:
    """The address of a server, if it has no login.

    Raises:
        ValueError: It has one.
    """
    parts = urlsplit(address)
    if parts.username is not None or parts.password is not None:
        raise ValueError("expected no login in it: errors and the record would show it")
    return address


Address = Annotated[str, AfterValidator(without_login)]  # of a server; secrets come from the environment


class UniqueKeysLoader(yaml.SafeLoader):
    """Reads plain values, and no mapping that has a key twice: the last one would count in silence."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                continue
            if (key.tag, key.value) in seen:
                raise ConstructorError(None, None, f"the key {_SHOWN.repr(key.value)} twice", key.start_mark)
            seen.add((key.tag, key.value))
        return node


class _Loader(UniqueKeysLoader):
    """Reads settings: no yes, no, on or off without quotes where a name or a label stands.

    That is as a key, in a list and behind `const`. Elsewhere they are true and false, as YAML says.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        node = super().compose_node(parent, index)
        names = isinstance(parent, yaml.SequenceNode) or index is None or getattr(index, "value", None) == "const"
        if names and isinstance(node, yaml.ScalarNode) and (read := _read_as(node)):
            problem = f"`{node.value}` without quotes, which YAML reads as {read},"
            raise ConstructorError(None, None, problem, node.start_mark)
        return node


def _read_as(node: yaml.ScalarNode) -> str | None:
    """What YAML makes of a yes, no, on or off without quotes; None of anything else."""
    if node.tag != "tag:yaml.org,2002:bool" or node.style:
        return None
    return _SWITCHES.get(node.value.lower())


class Settings(BaseModel):
    """A frozen group of settings that refuses unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def part(self, kind: type[Model]) -> Model:
        """These settings as an instance of a class that they extend, without the additional ones."""
        return kind.model_validate({name: getattr(self, name) for name in kind.model_fields})


def read_text(path: Path, what: str) -> str:
    """The text of a user's file; `what` says what it should contain, for the error message.

    Raises:
        ConfigError: It cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected {what} in UTF-8, found {error} ({path})") from error


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: The file is missing, not UTF-8, not YAML, or no mapping.
    """
    if not path.is_file():
        raise ConfigError(f"expected a YAML file, found none at {path}")
    text = read_text(path, "YAML")
    try:
        content: Any = yaml.load(text, _Loader)
    except _UNREADABLE as error:
        raise ConfigError(f"expected YAML in UTF-8, found {_found(error)} ({path})") from error
    if not isinstance(content, dict):
        raise ConfigError(f"expected a mapping of settings, found {type(content).__name__} ({path})")
    return content  # pyright: ignore[reportUnknownVariableType]


def load(path: Path, model: type[Model], section: str | None = None) -> Model:
    """Read a YAML file, or one section of it, into its model.

    Raises:
        ConfigError: The file cannot be read, or a value is unknown, missing or out of bounds.
    """
    content: Any = read_yaml(path)
    if section is not None:
        if section not in content:
            raise ConfigError(f"expected a section `{section}`, found none ({path})")
        content = content[section]
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigError(explain(error, section, path)) from error


def load_named(path: Path, model: type[Model]) -> Model:
    """Read a YAML file whose setting `name` is the file's own: folders and the record go by it.

    Raises:
        ConfigError: As `load`, or it has another name, as a copy of another file has.
    """
    settings = load(path, model)
    if (found := getattr(settings, "name", None)) != path.stem:
        raise ConfigError(f"name: expected {path.stem}, as the file is called, found {found} ({path})")
    return settings


def changed(settings: Model, changes: Mapping[str, Any], field: str, path: Path) -> Model:
    """Settings with changes, as `merged` makes them; the changes are from `field` in `path`.

    Raises:
        ConfigError: A change is unknown or out of bounds.
    """
    try:
        return type(settings).model_validate(merged(settings.model_dump(), changes))
    except ValidationError as error:
        raise ConfigError(explain(error, field, path)) from error


def merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with changes: a mapping changes only the keys that it names, unless it is of another `kind`."""
    inner = {
        name: merged(settings[name], value)
        for name, value in changes.items()
        if name in settings and _same_kind(settings[name], value)
    }
    return {**settings, **changes, **inner}


def _same_kind(settings: Any, changes: Any) -> bool:
    """Whether both are mappings, and not of two kinds, whose keys differ."""
    if not isinstance(settings, Mapping) or not isinstance(changes, Mapping):
        return False
    return "kind" not in settings or "kind" not in changes or settings["kind"] == changes["kind"]


def _found(error: Exception) -> str:
    """The problem and its place, on one line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{error.problem} in line {mark.line + 1}, column {mark.column + 1}"
    return (str(error).splitlines() or [type(error).__name__])[0]


def explain(error: ValidationError, section: str | None, path: Path) -> str:
    """The first problem in one sentence, with the number of others."""
    first, *others = error.errors()
    field = ".".join(str(part) for part in (*([section] if section else []), *first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    seen = (
        ""
        if not field or first["type"] in ("missing", "extra_forbidden", "value_error")
        else f", found {_SHOWN.repr(first['input'])}"
    )
    if first["type"] == "string_type" and isinstance(first["input"], bool | int | float | date):
        seen += f": {UNQUOTED}"
    more = f" (and {len(others)} more)" if others else ""
    said = f"{message[0].lower()}{message[1:]}{seen} ({path}){more}"
    return f"{field}: {said}" if field else said
