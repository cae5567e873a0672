"""What is served is prepared as what was trained on was."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.sources import read
from components.data.texts import shown
from components.params import Columns, FileSource, Workload
from components.prompts import Prompt
from components.records import Message
from components.serving import Served
from components.serving.refusals import RequestError

PROMPT = Prompt("short", "Sort.", "{subject}|{paid}|{amount}|{tags}")
VALUES = {"subject": " Late\r\nor lost\t ", "paid": True, "amount": 12.0, "tags": ["a", None, "ä"]}


def served(user: str) -> Served:
    return Served(1, "sft", None, Prompt("short", "Sort.", user), 8)  # type: ignore[arg-type]


def user(content: str) -> list[Message]:
    return [Message(role="user", content=content)]


def test_values_of_an_object_are_shown_as_the_data_shows_them() -> None:
    asked, inputs = served(PROMPT.user).conversation(user(json.dumps({**VALUES, "more": 1})))
    assert inputs == {"subject": "Late\nor lost", "paid": "true", "amount": "12", "tags": '["a", null, "ä"]'}
    assert asked[-1].content == 'Late\nor lost|true|12|["a", null, "ä"]'
    assert served("{a}-{b}").conversation(user('{"a": null, "b": false}'))[0][-1].content == "-false"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    )
)
def test_a_row_of_a_file_and_a_message_with_the_same_values_give_the_same_inputs(value: Any) -> None:
    row = json.loads(json.dumps({"a": value, "b": "x"}))
    inputs = served("{a} {b}").conversation(user(json.dumps(row)))[1]
    assert inputs == {"a": shown(row["a"]), "b": "x"}


@pytest.mark.parametrize("text", ["I paid twice.\r\nHelp!\r\n", "  I paid twice.\rHelp!  \n", "I paid twice.\nHelp!"])
def test_line_ends_and_white_space_of_a_text_are_those_of_the_data(text: str, tmp_path: Path) -> None:
    with (tmp_path / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([["text", "kind"], [text, "refund"]])
    columns = Columns(input=("text",), output={"kind": "kind"})
    source = FileSource(files={"all": "rows.csv"}, kind="csv", columns=columns)
    workload = Workload.model_construct(
        source=source, output={"type": "object", "properties": {"kind": {"type": "string"}}}, harvest=()
    )
    [row] = read(workload, tmp_path)
    asked, inputs = served("Ticket: {text}").conversation(user(text))
    assert inputs == row.example.input == {"text": "I paid twice.\nHelp!"}
    assert asked[-1].content == "Ticket: I paid twice.\nHelp!"
    whole = [Message(role="system", content="Sort.\r\n"), Message(role="user", content=text)]
    assert [turn.content for turn in served("{text}").conversation(whole)[0]] == ["Sort.", "I paid twice.\nHelp!"]


@pytest.mark.parametrize(
    "content", ["x", "[1]", '{"a": 1}', '{"a": NaN, "b": 1}', "[" * 100_000, '{"a": 1' + "0" * 5000 + "}"]
)
def test_a_message_that_is_not_an_object_of_all_inputs_is_refused(content: str) -> None:
    with pytest.raises(RequestError, match="expected a JSON object with a, b as user message"):
        served("{a} {b}").conversation(user(content))
