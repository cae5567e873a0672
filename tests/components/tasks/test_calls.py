"""Calls in a model's text: where each begins and ends, the text around it, and whether it can be carried out."""

import json
from typing import Any

import pytest

from components.records import Tool
from components.tasks.calls import InvalidCall, Written, arguments_of, call_text, split


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


DAY: dict[str, Any] = {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]}


@pytest.mark.parametrize(
    ("parameters", "open_to_others"),
    [
        (DAY, False),
        ({"$ref": "#/$defs/day", "$defs": {"day": DAY}}, False),
        ({"$ref": "#/$defs/day", "$defs": {"day": DAY}, "properties": {"hour": {"type": "integer"}}}, True),
        ({"allOf": [DAY, {"properties": {"hour": {"type": "integer"}}}]}, True),
        ({"anyOf": [DAY, {"properties": {"hour": {"type": "integer"}}, "required": ["hour"]}]}, True),
        ({"oneOf": [DAY, {"properties": {"hour": {"type": "integer"}}, "required": ["hour"]}]}, True),
        ({"if": {"required": ["day"]}, "then": DAY}, True),
        ({"allOf": [DAY], "unevaluatedProperties": False}, False),
    ],
)
def test_a_tool_can_be_called_with_what_any_part_of_its_schema_names(
    parameters: dict[str, Any], open_to_others: bool
) -> None:
    tools = [Tool(name="book", parameters=parameters)]
    assert arguments_of(Written("book", '{"day": "Monday"}'), tools) == {"day": "Monday"}
    with pytest.raises(InvalidCall, match=r"5 is not of type 'string'|is not valid under any"):
        arguments_of(Written("book", '{"day": 5}'), tools)
    other = Written("book", '{"day": "Monday", "hours": 1}')
    if open_to_others:
        assert arguments_of(other, tools) == {"day": "Monday", "hours": 1}
    else:
        with pytest.raises(InvalidCall, match="'hours' was unexpected"):
            arguments_of(other, tools)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ('{"x": NaN}', "NaN is no JSON"),
        ('{"x": 1e400}', "1e400 is no JSON"),
        ('{"x": "\\ud800"}', "are not JSON"),
        ('{"x": "\ud800"}', "are not JSON"),
        ('{"x": ' + "[" * 250 + "]" * 250 + "}", "are not JSON"),
        ('{"x": ' + "[" * 100_000, "are not JSON"),
        ('["x"]', "do not fit note: they are no object"),
    ],
)
def test_arguments_that_no_tool_could_take_are_an_invalid_call(arguments: str, reason: str) -> None:
    with pytest.raises(InvalidCall, match=reason):
        arguments_of(Written("note", arguments), [Tool(name="note", parameters={"type": ["object", "array"]})])
