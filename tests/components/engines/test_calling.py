"""Tool calls: decoding under their schemas, parsing of streamed turns, and remembered tokens."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from transformers import AutoTokenizer

from components.engines import Calls, ChatRequest, Sampling
from components.engines.calling import CLOSE, OPEN, TurnParser, TurnWriter, parse_turn
from components.engines.constraint import Grammar, Vocabulary
from components.engines.conversations import Conversations
from components.engines.transformers_engine import TransformersEngine
from components.engines.turns import Turns
from components.errors import EngineError
from components.records import Message, Tool, ToolCall
from tests.flows.conftest import ROOT

REFUND = Tool(
    name="refund",
    description="Pay back.",
    parameters={
        "type": "object",
        "properties": {
            "order": {"type": "string", "pattern": "^W[0-9]{4}$"},
            "why": {"$ref": "#/$defs/why"},
            "parts": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 9}, "maxItems": 3},
        },
        "required": ["order", "why"],
        "$defs": {"why": {"enum": ["damaged", "lost"]}},
    },
)
PING = Tool(name="ping", parameters={"type": "object", "properties": {}})
TOOLS = (REFUND, PING)
REQUESTS = [ChatRequest(str(number), [Message(role="user", content=f"ticket {number}")]) for number in range(6)]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(ROOT / "models" / "nano")


def calls(*names: str, **more: Any) -> Calls:
    return Calls(tools=TOOLS, names=names or tuple(tool.name for tool in TOOLS), **more)


def drawn(engine: TransformersEngine, held: Calls, n: int = 4, most: int = 120, schema: Any = None) -> list[str]:
    sampling = Sampling(temperature=1.0, n=n, max_new_tokens=most, seed=3, calls=held, answer_schema=schema)
    return [each.text for each in engine.generate(REQUESTS, sampling)]


def refused(call: ToolCall) -> bool:
    """Whether a call is invalid."""
    tool = next(tool for tool in TOOLS if tool.name == call.name)
    return not Draft202012Validator(tool.arguments_schema).is_valid(json.loads(call.arguments))


def test_a_model_of_random_weights_makes_no_call_that_cannot_be_carried_out(engine: TransformersEngine) -> None:
    turns = [parse_turn(text) for text in drawn(engine, calls(least=1, most=1))]
    made = [turn.message.tool_calls for turn in turns]
    assert [len(each) for each in made] == [1] * 24 and all(turn.whole for turn in turns)
    assert {call.name for (call,) in made} == {"refund", "ping"}  # the choice stays the model's
    assert [call for (call,) in made if refused(call)] == []
    assert {turn.message.content for turn in turns} == {""}


def test_the_tool_that_was_named_is_the_one_that_is_called(engine: TransformersEngine) -> None:
    made = [parse_turn(text).message.tool_calls for text in drawn(engine, calls("ping", least=1, most=1))]
    assert made == [(ToolCall(id="call_0", name="ping", arguments="{}"),)] * 24


def test_several_calls_follow_each_other_where_they_may(engine: TransformersEngine) -> None:
    made = [parse_turn(text) for text in drawn(engine, calls(least=1), most=200)]
    assert any(len(turn.message.tool_calls) > 1 for turn in made)
    whole = [call for turn in made if turn.whole for call in turn.message.tool_calls]
    assert whole and not any(map(refused, whole))


def test_where_nothing_may_be_called_no_call_is_written(engine: TransformersEngine) -> None:
    free, quiet = (drawn(engine, calls(**most), most=150) for most in ({}, {"most": 0}))
    assert any(OPEN in text for text in free)
    assert not any(OPEN in text or CLOSE in text for text in quiet)


def test_text_is_free_until_a_call_begins_and_a_call_is_held_from_there(engine: TransformersEngine) -> None:
    turns = [parse_turn(text) for text in drawn(engine, calls(), most=150)]
    assert any(turn.message.content and turn.message.tool_calls for turn in turns)
    assert not any(refused(call) for turn in turns if turn.whole for call in turn.message.tool_calls)
    assert all(turn.message.content or turn.message.tool_calls for turn in turns)


def test_an_answer_is_a_call_or_obeys_the_schema(engine: TransformersEngine) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"],
              "additionalProperties": False}  # fmt: skip
    turns = [parse_turn(text) for text in drawn(engine, calls(most=1), schema=schema)]
    said = {turn.message.content for turn in turns if not turn.message.tool_calls}
    assert said == {'{"ok": true}', '{"ok": false}'}
    assert any(turn.message.tool_calls for turn in turns)


def test_a_schema_that_no_grammar_can_follow_is_refused_in_words(engine: TransformersEngine) -> None:
    odd = Tool(name="odd", parameters={"type": "object", "properties": {"x": {"type": "string", "pattern": "(a"}}})
    with pytest.raises(EngineError, match="expected a schema for constrained decoding, found: "):
        engine.generate(REQUESTS, Sampling(calls=Calls(tools=(odd,), names=("odd",))))


@pytest.mark.parametrize("most", [None, 0])
def test_the_tag_of_a_call_cannot_be_put_together_of_pieces(tokenizer: Any, most: Any) -> None:
    held = Sampling(calls=calls(most=most))
    grammar = Grammar(Vocabulary(tokenizer, len(tokenizer), [tokenizer.eos_token_id]), held)
    *pieces, last = [id for part in ("so <", "tool", "_", "call", ">") for id in tokenizer.encode(part)]
    assert tokenizer.decode([*pieces, last]) == f"so {OPEN}" and tokenizer.convert_tokens_to_ids(OPEN) not in pieces
    constraint = grammar.constraint(1)
    for token in pieces:
        constraint.take([0], [token])
    with pytest.raises(EngineError):
        constraint.take([0], [last])


def test_a_turn_that_was_cut_does_not_begin_the_next(engine: TransformersEngine) -> None:
    held = Sampling(max_new_tokens=6, calls=calls(least=1, most=1))
    (cut,) = engine.generate(REQUESTS[:1], held)
    assert cut.finish_reason == "length"
    going_on = [*REQUESTS[0].messages, parse_turn(cut.text).message, Message(role="user", content="And?")]
    asked = ChatRequest("", going_on)
    fresh = Conversations(Turns(engine.tokenizer, engine.ends, engine.chat)).prompt(asked, TOOLS)
    assert engine._conversations.prompt(asked, TOOLS) == fresh


CALL = '<tool_call>{"name": "refund", "arguments": {"order": "W1", "why": "a \\"}{\\\\ b"}}</tool_call>'
ARGUMENTS = '{"order": "W1", "why": "a \\"}{\\\\ b"}'
PING_CALL = '<tool_call>\n{"name": "ping", "arguments": {}}\n</tool_call>'
READ = [
    (" as it is <b> ", " as it is <b> ", []),
    ("", "", []),
    ("less < than <tool_cal", "less < than <tool_cal", []),
    (CALL, "", [ARGUMENTS]),
    (f" Let me look. {CALL}\n", " Let me look.", [ARGUMENTS]),
    (f"{CALL}\n{PING_CALL}", "", [ARGUMENTS, "{}"]),
    (f"A{PING_CALL} and {CALL} so", "Aandso", ["{}", ARGUMENTS]),
    (f"{PING_CALL} I will look\n\nthat up. ", "I will look\n\nthat up.", ["{}"]),
    (f"Let me see.\n{PING_CALL}\nOne  more thing: {CALL} That  is\tall.", "Let me see.One  more thing:That  is\tall.",
     ["{}", ARGUMENTS]),
    (f"{PING_CALL} it is <b> or <tool ", "it is <b> or <tool", ["{}"]),
    (f"{PING_CALL} it is <tool", "it is <tool", ["{}"]),
    ('<tool_call>{"name": "x", "arguments": {"y": "</tool_call><tool_call>"}}</tool_call>', "",
     ['{"y": "</tool_call><tool_call>"}']),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said", "arguments"), READ)
def test_a_turn_is_split_into_text_and_calls(text: str, said: str, arguments: list[str]) -> None:
    turn = parse_turn(text)
    assert turn.whole
    assert turn.message.content == said
    assert [call.arguments for call in turn.message.tool_calls] == arguments


@pytest.mark.parametrize("text", [text for text, _, _ in READ])
def test_a_turn_in_single_characters_has_the_text_of_the_whole_turn(text: str) -> None:
    parser = TurnParser()
    pieces = [piece for sign in text for piece in parser(sign)] + parser.close()
    assert "".join(piece.text for piece in pieces if piece.call is None) == parse_turn(text).message.content


@given(st.sampled_from(READ), st.lists(st.integers(1, 9), max_size=60))
@settings(max_examples=80, deadline=None)
def test_a_turn_in_pieces_is_the_same_turn(read: tuple[str, str, list[str]], sizes: list[int]) -> None:
    text, parser, pieces = read[0], TurnParser(), []
    for size in sizes:
        pieces += parser(text[:size])
        text = text[size:]
    pieces += [*parser(text), *parser.close()]
    assert "".join(piece.text for piece in pieces if piece.call is None) == read[1]
    for number, arguments in enumerate(read[2]):
        own = [piece for piece in pieces if piece.call == number]
        assert [piece.name is not None for piece in own] == [True] + [False] * (len(own) - 1)
        assert "".join(piece.text for piece in own) == arguments


def test_text_is_streamed_and_only_a_possible_call_is_held_back() -> None:
    parser = TurnParser()
    assert [piece.text for piece in parser("Yes. ")] == ["Yes."]
    assert [piece.text for piece in parser("No <")] == [" No"]
    assert [piece.text for piece in parser("b>")] == [" <b>"]
    assert parser("<tool_") == [] and not parser.inside
    assert parser('call>{"name": "p') == [] and parser.inside
    assert [(piece.call, piece.name, piece.text) for piece in parser('ing", "arguments": {"a": 1')] == [
        (0, "ping", ""), (0, None, '{"a": 1'),
    ]  # fmt: skip


def test_a_call_that_was_cut_is_not_whole() -> None:
    for end in range(1, len(CALL)):
        turn = parse_turn(CALL[:end])
        assert turn.whole == (end < len(OPEN))
        for call in turn.message.tool_calls:
            assert ARGUMENTS.startswith(call.arguments)


def conversation(*turns: Message) -> list[Message]:
    return [Message(role="user", content="Ping it."), *turns]


ANSWER = Message(role="tool", content="ok", tool_call_id="a")


def test_a_conversation_goes_on_from_the_tokens_that_were_sampled(tokenizer: Any) -> None:
    known = Conversations(Turns(tokenizer, [tokenizer.eos_token_id]))
    first = known.prompt(ChatRequest("", conversation()), TOOLS)
    # Odd pieces of an ordinary text, as a model may draw them at a temperature.
    text = f"Sure. {PING_CALL}"
    odd = [*(token for sign in text.removesuffix(PING_CALL) for token in tokenizer.encode(sign)),
           *tokenizer.encode(PING_CALL), tokenizer.eos_token_id]  # fmt: skip
    known.keep(ChatRequest("", conversation()), TOOLS, [*first, *odd], text)
    said = Message(role="assistant", content="Sure.", tool_calls=(ToolCall(id="a", name="ping", arguments="{ }"),))
    second = known.prompt(ChatRequest("", conversation(said, ANSWER)), TOOLS)
    assert second[: len(first) + len(odd)] == [*first, *odd]
    assert tokenizer.decode(second).endswith("<|im_end|>\n<|im_start|>tool\nok<|im_end|>\n<|im_start|>assistant\n")
    for other in (
        ChatRequest("", conversation(said, ANSWER), "somebody else"),
        ChatRequest("", conversation(said, said, ANSWER)),
    ):
        assert known.prompt(other, TOOLS)[: len(second)] != second
    assert known.prompt(ChatRequest("", conversation(said, ANSWER)), TOOLS[:1]) != second


def test_a_conversation_that_is_not_remembered_is_rendered_to_the_same_tokens(tokenizer: Any) -> None:
    turns = Turns(tokenizer, [tokenizer.eos_token_id])
    known = Conversations(turns)
    first = known.prompt(ChatRequest("", conversation()), TOOLS)
    tokens = [*first, *tokenizer.encode(CALL), tokenizer.eos_token_id]
    known.keep(ChatRequest("", conversation()), TOOLS, tokens, CALL)
    asked = ChatRequest("", conversation(parse_turn(CALL).message, ANSWER))
    assert known.prompt(asked, TOOLS) == Conversations(turns).prompt(asked, TOOLS)


def test_arguments_that_can_be_read_but_not_written_again_are_remembered_as_they_are(tokenizer: Any) -> None:
    known = Conversations(Turns(tokenizer, [tokenizer.eos_token_id]))
    for depth in range(500, 1000):  # where reading and writing give up depends on the stack
        nested = ToolCall(id="a", name="ping", arguments='{"a": ' + "[" * depth + "]" * depth + "}")
        said = Message(role="assistant", content="", tool_calls=(nested,))
        known.keep(ChatRequest("", conversation(said, ANSWER)), TOOLS, [7], "Yes.")


def test_no_more_tokens_are_remembered_than_are_allowed(tokenizer: Any) -> None:
    known = Conversations(Turns(tokenizer, [tokenizer.eos_token_id]), most=1000)
    for number in range(30):
        known.keep(ChatRequest("", [Message(role="user", content=str(number))]), (), [7] * 300, "Yes.")
    known.keep(ChatRequest("", [Message(role="user", content="29")]), (), [7] * 200, "Yes.")
    asked = [ChatRequest("", [Message(role="user", content=str(number)), Message(role="assistant", content="Yes."),
                      Message(role="user", content="?")]) for number in range(30)]  # fmt: skip
    kept = [number for number, request in enumerate(asked) if known.prompt(request, ())[:3] == [7] * 3]
    assert kept == [27, 28, 29]


def written(text: str, calls: list[tuple[str, str]], size: int) -> str:
    """A turn as an API streams it: its text, then its calls, whose arguments come in pieces of a size."""
    writer = TurnWriter()
    pieces = [writer.text(text)]
    for number, (name, arguments) in enumerate(calls):
        pieces.append(writer.call(number, name, None))
        parts = [arguments[at : at + size] for at in range(0, len(arguments), size)]
        pieces += [writer.call(number, None, part) for part in parts]
    return "".join([*pieces, writer.close()])


OBJECTS = st.dictionaries(
    st.text(max_size=5), st.text(max_size=9) | st.integers() | st.lists(st.booleans()), max_size=3
)


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.characters(exclude_characters="<", exclude_categories=["Cs"]), max_size=20),
    st.lists(st.tuples(st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True), OBJECTS, st.booleans()), max_size=3),
    st.integers(1, 9),
)
def test_calls_that_an_api_made_apart_from_its_text_are_read_as_they_were_made(
    text: str, calls: list[tuple[str, Any, bool]], size: int
) -> None:
    made = [(name, json.dumps(value, indent=2 if wide else None)) for name, value, wide in calls]
    turn = parse_turn(written(text, made, size))
    assert turn.whole
    assert turn.message.content == (text.rstrip() if made else text)
    assert [(call.name, call.arguments) for call in turn.message.tool_calls] == made


@pytest.mark.parametrize(
    ("arguments", "read", "whole"),
    [
        ("", "{}", True),
        (" \n", "{}", True),
        ("null", "{}", True),
        (" null ", "{}", True),
        ('{"kind": "re', '{"kind": "re', False),
        ('{"a": {}', '{"a": {}', False),
        ("[1]", "[1]", False),
        ("12", "12", False),
        ('"a}"', '"a}"', False),
        ("nul", "nul", False),
    ],
)
@pytest.mark.parametrize("size", [1, 4])
def test_a_call_of_an_api_without_arguments_has_none_and_one_that_was_cut_or_has_no_object_stays_open(
    arguments: str, read: str, whole: bool, size: int
) -> None:
    turn = parse_turn(written("", [("look", '{"kind": 1}'), ("ping", arguments)], size))
    assert [call.arguments for call in turn.message.tool_calls] == ['{"kind": 1}', read]
    assert turn.whole == whole


@pytest.mark.parametrize("before", ["", " ", "\n", " \r\n\t"])
@pytest.mark.parametrize("behind", ["", "\n "])
def test_blanks_around_the_arguments_of_an_apis_call_take_nothing_of_them(before: str, behind: str) -> None:
    arguments, parser = '{"a": {"b" : "}"}, "c":\n[1]}', TurnParser()
    turn = written("Well.", [("look", before + arguments + behind), ("ping", f"{before}{{}}")], 1)
    read = parse_turn(turn)
    assert read.whole and [call.arguments for call in read.message.tool_calls] == [arguments, "{}"]
    pieces = [piece for sign in turn for piece in parser(sign)]
    assert "".join(piece.text for piece in pieces if piece.call == 0) == arguments and not parser.inside


def test_nothing_behind_a_call_of_an_api_that_has_no_object_is_read_as_its_arguments() -> None:
    turn = parse_turn(written("", [("look", "12"), ("ping", "{}")], 1))
    assert not turn.whole and [call.arguments for call in turn.message.tool_calls] == ["12"]


def test_text_behind_a_call_of_an_api_is_text() -> None:
    writer = TurnWriter()
    text = writer.call(0, "ping", "{}") + writer.text("Done.") + writer.close()
    turn = parse_turn(text)
    assert (turn.message.content, [call.name for call in turn.message.tool_calls]) == ("Done.", ["ping"])


DAY: dict[str, Any] = {"type": "object", "properties": {"day": {"enum": ["Monday", "Friday"]}}, "required": ["day"]}


@pytest.mark.parametrize(
    "parameters",
    [
        {"$ref": "#/$defs/day", "$defs": {"day": DAY}},
        {"allOf": [{"$ref": "#/$defs/day"}], "$defs": {"day": DAY}},
        {"anyOf": [DAY, {"properties": {"hour": {"type": "integer"}}, "required": ["hour"]}]},
    ],
)
def test_a_tool_whose_schema_is_composed_can_be_called_with_what_its_parts_name(
    tokenizer: Any, parameters: dict[str, Any]
) -> None:
    held = Sampling(calls=Calls(tools=(Tool(name="book", parameters=parameters),), names=("book",), least=1, most=1))
    constraint = Grammar(Vocabulary(tokenizer, len(tokenizer), [tokenizer.eos_token_id]), held).constraint(1)
    for token in tokenizer.encode(f'{OPEN}{{"name": "book", "arguments": {{"day": "Friday"}}}}{CLOSE}'):
        constraint.take([0], [token])
