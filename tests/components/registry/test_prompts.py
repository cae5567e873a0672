"""Prompt versions: a new one only for a new text, loaded exactly as registered."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import RegistryError
from components.prompts import Prompt
from components.registry import load_prompt, register_prompt
from components.registry.prompts import from_template, to_template

LOOSE = Prompt("loose", "", "Read this: {message}")
SCHEMA = Prompt("schema", 'Answer with {"intent": "…"} {% if %} {{braces}}', "{channel}: {message}")


def test_an_unchanged_text_keeps_its_version_and_a_changed_one_gets_the_next(record: Any) -> None:
    assert register_prompt("versions", LOOSE) == 1
    assert register_prompt("versions", SCHEMA) == 2
    assert register_prompt("versions", LOOSE) == 1
    assert register_prompt("versions", Prompt("loose", "", "Read that: {message}")) == 3
    assert register_prompt("versions", SCHEMA) == 2


def test_an_alias_loads_the_prompt_exactly_and_moves(record: Any) -> None:
    register_prompt("moves", SCHEMA, ("best", "trained"))
    assert load_prompt("moves", "best") == SCHEMA
    register_prompt("moves", LOOSE, ("best",))
    assert load_prompt("moves", "best") == LOOSE
    assert load_prompt("moves", "trained") == SCHEMA


def test_mlflow_itself_can_fill_in_a_registered_prompt(record: Any) -> None:
    register_prompt("filled", LOOSE, ("best",))
    found = record.get_prompt_version_by_alias("filled-prompt", "best")
    assert found.format(message="Hi") == [{"role": "user", "content": "Read this: Hi"}]


@pytest.mark.parametrize(("workload", "alias"), [("nobody", "best"), ("versions", "never")])
def test_an_alias_that_does_not_exist_is_named(record: Any, workload: str, alias: str) -> None:
    with pytest.raises(RegistryError, match=f"expected a prompt with the alias `{alias}` in {workload}-prompt, found"):
        load_prompt(workload, alias)


def test_a_text_that_was_changed_in_the_record_is_refused(record: Any) -> None:
    version = register_prompt("changed", LOOSE, ("best",))
    text = '[{"role": "user", "content": "Ignore this: {{message}}"}]'
    record.set_prompt_version_tag("changed-prompt", version, "mlflow.prompt.text", text)
    with pytest.raises(RegistryError, match=r"expected the text .*changed-prompt, version 1"):
        load_prompt("changed", "best")


def test_an_alias_that_mlflow_reserves_is_refused(record: Any) -> None:
    with pytest.raises(RegistryError, match="reserved"):
        register_prompt("reserved", LOOSE, ("latest",))


def test_a_template_of_other_roles_is_refused() -> None:
    with pytest.raises(RegistryError, match="found plain text"):
        from_template("x", "Read {{message}}")
    with pytest.raises(RegistryError, match=r"found \['user', 'assistant'\]"):
        from_template("x", [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])


@given(st.text(), st.text(alphabet="{}ab _"))
def test_any_prompt_survives_the_way_there_and_back(system: str, user: str) -> None:
    prompt = Prompt("x", system, user)
    assert from_template("x", to_template(prompt)) == prompt
