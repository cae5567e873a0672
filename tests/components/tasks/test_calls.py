"""Calls in a model's text: where each begins and ends, and the text around it."""

import json

import pytest

from components.tasks.calls import Written, call_text, split


def call(**arguments: str) -> str:
    return json.dumps({"name": "note", "arguments": arguments})


def written(**arguments: str) -> Written:
    return Written("note", json.dumps(arguments))


TAGS = "a </tool_call> b <tool_call> c"


@pytest.mark.parametrize(
    ("text", "said", "calls"),
    [
        (" as it is ", " as it is ", []),
        (f"<tool_call>{call(x='y')}</tool_call>", "", [written(x="y")]),
        (f" One. <tool_call>\n{call(x='y')}\n</tool_call> Two. ", "One.  Two.", [written(x="y")]),
        (f"<tool_call>{call(x=TAGS)}</tool_call>", "", [written(x=TAGS)]),
        (f"<tool_call>{call(x=TAGS)}</tool_call>so<tool_call>{call(y=TAGS)}</tool_call>", "so",
         [written(x=TAGS), written(y=TAGS)]),
        (f"<tool_call>{call(x='y')}", "", [written(x="y")]),
    ],
)  # fmt: skip
def test_a_call_ends_with_its_tag_and_not_with_one_in_its_texts(text: str, said: str, calls: list[Written]) -> None:
    assert split(text) == (said, calls)


@pytest.mark.parametrize("inside", ["", "{", '{"name": "note", "arguments": {"x": "', "no JSON", f"{call()} more"])
def test_text_that_is_not_a_call_ends_at_the_next_tag(inside: str) -> None:
    said, calls = split(f"a<tool_call>{inside}</tool_call>b<tool_call>{call(x='y')}</tool_call>")
    assert said == "ab" and calls[1] == written(x="y")
    assert calls[0].problem.startswith("the call is not JSON")


@pytest.mark.parametrize("name", ["note", 'a "note"', "ß\\"])
def test_a_written_call_is_read_as_the_call_that_it_was(name: str) -> None:
    for arguments in ({"x": TAGS, "n": [1, None]}, '{"x":  "as it is"}'):
        said, (read,) = split(f"So. {call_text(name, arguments)}")
        kept = arguments if isinstance(arguments, str) else json.dumps(arguments)
        assert (said, read) == ("So.", Written(name, kept))
