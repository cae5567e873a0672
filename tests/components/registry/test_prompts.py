"""Prompt versions: a new one only for a new text, kept exactly as it is written."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import RegistryError
from components.prompts import Prompt
from components.registry import register_prompt
from components.registry.prompts import to_template

LOOSE = Prompt("loose", "", "Read this: {message}")
SCHEMA = Prompt("schema", 'Answer with {"intent": "…"} {% if %} {{braces}}', "{channel}: {message}")


def test_an_unchanged_text_keeps_its_version_and_a_changed_one_gets_the_next(record: Any) -> None:
    assert register_prompt("versions", LOOSE) == 1
    assert register_prompt("versions", SCHEMA) == 2
    assert register_prompt("versions", LOOSE) == 1
    assert register_prompt("versions", Prompt("loose", "", "Read that: {message}")) == 3
    assert register_prompt("versions", SCHEMA) == 2


def test_an_alias_points_to_the_prompt_exactly_and_moves(record: Any) -> None:
    def kept(alias: str) -> Any:
        return record.get_prompt_version_by_alias("moves-prompt", alias)

    register_prompt("moves", SCHEMA, ("best", "trained"))
    assert kept("best").template == to_template(SCHEMA)
    register_prompt("moves", LOOSE, ("best",))
    assert kept("best").template == to_template(LOOSE)
    assert kept("trained").template == to_template(SCHEMA)
    assert kept("best").tags["gradus.text_hash"] == LOOSE.version


def test_mlflow_itself_can_fill_in_a_registered_prompt(record: Any) -> None:
    register_prompt("filled", LOOSE, ("best",))
    version = record.get_prompt_version_by_alias("filled-prompt", "best")
    assert version.format(message="Hi") == [{"role": "user", "content": "Read this: Hi"}]


def test_an_alias_that_mlflow_reserves_is_refused(record: Any) -> None:
    with pytest.raises(RegistryError, match="reserved"):
        register_prompt("reserved", LOOSE, ("latest",))


@given(st.text(), st.text(alphabet="{}ab _"))
def test_a_template_holds_any_text_with_placeholders_as_mlflow_writes_them(system: str, user: str) -> None:
    *first, asked = to_template(Prompt("x", system, user))
    assert first == ([{"role": "system", "content": system}] if system else [])
    assert asked["content"] == re.sub(r"\{(\w+)\}", r"{{\1}}", user)
