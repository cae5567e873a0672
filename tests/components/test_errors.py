"""The error family: callers may catch it as a whole, by cause, or as a standard type."""

import pytest

from components.errors import (
    ConfigError,
    DataError,
    EngineError,
    GradusError,
    RegistryError,
    ScorerError,
    ServiceError,
    TrainingError,
)

STANDARD_TYPES: list[tuple[type[GradusError], type[Exception]]] = [
    (ConfigError, ValueError),
    (DataError, ValueError),
    (EngineError, RuntimeError),
    (ScorerError, RuntimeError),
    (TrainingError, RuntimeError),
    (RegistryError, RuntimeError),
    (ServiceError, RuntimeError),
]


@pytest.mark.parametrize(("error", "standard"), STANDARD_TYPES)
def test_each_error_is_caught_as_gradus_error_and_as_its_standard_type(
    error: type[GradusError], standard: type[Exception]
) -> None:
    for caught_as in (GradusError, standard):
        with pytest.raises(caught_as, match="rank must be ≥ 1"):
            raise error("rank must be ≥ 1, found 0 (params/profiles/nano.yaml)")


def test_the_family_is_complete() -> None:
    known = {error for error in GradusError.__subclasses__() if error.__module__ == "components.errors"}
    assert known == {error for error, _ in STANDARD_TYPES}


def test_causes_do_not_catch_each_other() -> None:
    causes = [error for error, _ in STANDARD_TYPES]
    for cause in causes:
        assert [other for other in causes if issubclass(cause, other)] == [cause]


def test_a_plain_standard_error_is_not_a_gradus_error() -> None:
    assert not issubclass(ValueError, GradusError)
    assert not issubclass(RuntimeError, GradusError)
