from pathlib import Path

import pytest

from components.errors import ConfigError
from components.prompts import load_prompt
from components.records import Example

EXAMPLE = Example(id="1", input={"message": "{braces} and $1"}, demonstration="{}", reference="{}", group="1")


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "v.md").write_text(text)
    return tmp_path


def test_a_prompt_becomes_a_system_and_a_user_message_with_the_input_untouched(tmp_path: Path) -> None:
    prompt = load_prompt(write(tmp_path, "Sort it.\n---user---\nTicket: {message}\n"), "v", ("message",))
    assert [(message.role, message.content) for message in prompt.messages(EXAMPLE)] == [
        ("system", "Sort it."), ("user", "Ticket: {braces} and $1"),
    ]  # fmt: skip


def test_a_prompt_without_a_divider_is_a_user_message(tmp_path: Path) -> None:
    prompt = load_prompt(write(tmp_path, "Sort {message}"), "v", ("message",))
    assert [message.role for message in prompt.messages(EXAMPLE)] == ["user"]


def test_a_prompt_without_its_placeholder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"expected the placeholder \{message\} in the user message, found none .*v\.md"
    ):
        load_prompt(write(tmp_path, "Sort it.\n---user---\nnow"), "v", ("message",))


def test_a_placeholder_that_is_no_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"found \{massage\}"):
        load_prompt(write(tmp_path, "{massage}"), "v", ("message",))


def test_a_missing_prompt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected the prompt `none`, found no file"):
        load_prompt(tmp_path, "none", ("message",))


def test_a_changed_text_is_another_version(tmp_path: Path) -> None:
    first = load_prompt(write(tmp_path, "a {message}"), "v", ("message",)).version
    assert first != load_prompt(write(tmp_path, "b {message}"), "v", ("message",)).version


def test_a_prompt_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "v.md").write_bytes(b"Sort \xe9 {message}")
    with pytest.raises(ConfigError, match=r"expected a prompt in UTF-8, found .*v\.md"):
        load_prompt(tmp_path, "v", ("message",))
