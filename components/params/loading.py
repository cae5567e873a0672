"""Reading settings: YAML into frozen models, with errors that name file, field, expected and found."""

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from components.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


# What YAML raises besides its own errors: for a month 13, a number of 5,000 digits, `!!bool x`, endless brackets.
_UNREADABLE = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, ArithmeticError, RecursionError)
_SHOWN = reprlib.Repr()  # YAML's aliases can make a value whose repr is endless
_SHOWN.maxstring = _SHOWN.maxother = _SHOWN.maxlong = 300
_SHOWN.maxlevel, _SHOWN.maxdict, _SHOWN.maxlist = 2, 10, 10


def _without_login(address: str) -> str:
    parts = urlsplit(address)
    if parts.username is not None or parts.password is not None:
        raise ValueError("expected no login in it: errors and the record would show it")
    return address


Address = Annotated[str, AfterValidator(_without_login)]  # of a server; secrets come from the environment


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
        content: Any = yaml.safe_load(text)
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
    """Settings with some of them replaced; the changes are from `field` in `path`.

    Raises:
        ConfigError: A change is unknown or out of bounds.
    """
    try:
        return type(settings).model_validate({**settings.model_dump(), **changes})
    except ValidationError as error:
        raise ConfigError(explain(error, field, path)) from error


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
    more = f" (and {len(others)} more)" if others else ""
    said = f"{message[0].lower()}{message[1:]}{seen} ({path}){more}"
    return f"{field}: {said}" if field else said
