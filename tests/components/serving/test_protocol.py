"""What a request may say, bound by bound, and what becomes of it."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from components.params import ServingParams
from components.records import Message, ToolCall
from components.serving.protocol import ChatCompletionRequest, FeedbackRequest, ResponseFormat, Turn
from components.serving.refusals import RequestError

PARAMS = ServingParams(most_new_tokens=100, most_schema_bytes=1024)
SCHEMA = {"type": "object", "properties": {"kind": {"enum": ["refund"]}}}


def asked(**fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest.model_validate(
        {"model": "m", "messages": [{"role": "user", "content": "late"}], **fields}
    )


CALL: dict[str, Any] = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        ({"role": "user", "content": "a"}, ("user", "a")),
        ({"role": "system", "content": ""}, ("system", "")),
        ({"role": "developer", "content": "a"}, ("system", "a")),
        ({"role": "assistant", "content": None}, ("assistant", "")),
        ({"role": "assistant"}, ("assistant", "")),
        ({"role": "assistant", "content": "a", "tool_calls": [], "function_call": None}, ("assistant", "a")),
        ({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}]},
         ("user", "ab")),
        ({"role": "assistant", "content": [{"type": "output_text", "text": "a"}]}, ("assistant", "a")),
        ({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, ("assistant", "no")),
        ({"role": "user", "content": "a", "annotations": [1]}, ("user", "a")),
        ({"role": "user", "content": "a", "tool_call_id": "1"}, ("user", "a")),
        ({"role": "system", "content": "a", "tool_call_id": "1"}, ("system", "a")),
    ],
)  # fmt: skip
def test_a_message_is_its_text(turn: dict[str, Any], message: tuple[str, str]) -> None:
    assert Turn.model_validate(turn).message == Message(role=message[0], content=message[1])  # type: ignore[arg-type]


def test_calls_and_their_answers_are_kept_as_they_were_written() -> None:
    odd = {**CALL, "function": {"name": "f", "arguments": '{"a":  1'}}
    called = Turn.model_validate({"role": "assistant", "content": None, "tool_calls": [odd]}).message
    assert called == Message(
        role="assistant", content="", tool_calls=(ToolCall(id="1", name="f", arguments='{"a":  1'),)
    )
    answered = Turn.model_validate({"role": "tool", "content": "3", "tool_call_id": "1"}).message
    assert answered == Message(role="tool", content="3", tool_call_id="1")


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        ({"role": "tool", "content": "a"}, "expected tool_call_id"),
        ({"role": "function", "content": "a"}, "messages of the role function are not supported here"),
        ({"role": "judge", "content": "a"}, "Input should be 'system'"),
        ({"role": "user", "content": None}, "expected content"),
        ({"role": "user"}, "expected content"),
        ({}, "expected content"),
        ({"role": "", "content": None}, "expected content"),
        ({"role": "user", "content": 7}, "valid string"),
        ({"role": "user", "content": "a", "tool_calls": [CALL]}, "messages of the assistant alone"),
        ({"role": "assistant", "content": "a", "tool_calls": [{"id": "1"}]}, "Field required"),
        ({"role": "assistant", "content": "a", "tool_calls": [CALL | {"id": ""}]}, "at least 1 character"),
        ({"role": "assistant", "content": "a", "tool_calls": [CALL | {"type": "custom"}]}, "'function'"),
        (
            {"role": "assistant", "content": "a", "function_call": {"name": "f"}},
            "`function_call` is not supported here",
        ),
        ({"role": "user", "content": [{"type": "image_url", "text": "a"}]}, "of the type image_url is not supported"),
        ({"role": "user", "content": [{"type": "text", "text": None}]}, "expected parts of the form"),
        ({"role": "user", "content": [{"type": "refusal", "text": "a"}]}, "expected parts of the form"),
        ({"role": "user", "content": [{"type": ["text"], "text": "a"}]}, "expected parts of the form"),
        ({"role": "user", "content": ["a"]}, "expected parts of the form"),
        ("late", "valid dictionary"),
    ],
)
def test_a_message_that_holds_anything_else_is_refused(turn: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Turn.model_validate(turn)


def test_an_unknown_type_is_named_in_no_more_than_a_line() -> None:
    with pytest.raises(ValidationError, match=f"of the type {'x' * 40} is not"):
        Turn.model_validate({"role": "user", "content": [{"type": "x" * 41}]})


INSIDE: list[dict[str, Any]] = [
    {"temperature": 0}, {"temperature": 2}, {"top_p": 1}, {"top_p": 1e-9}, {"n": 1}, {"n": 16}, {"max_tokens": 1},
    {"max_completion_tokens": 1}, {"stop": "x" * 256}, {"stop": ["x"] * 16}, {"seed": -1},
    {"messages": [{"role": "user", "content": "a"}] * 1024},
]  # fmt: skip
OUTSIDE: list[dict[str, Any]] = [
    {"temperature": -1e-9}, {"temperature": 2.001}, {"top_p": 0}, {"top_p": 1.001}, {"n": 0}, {"n": 17},
    {"max_tokens": 0}, {"max_completion_tokens": 0}, {"stop": "x" * 257}, {"stop": ["x"] * 17}, {"seed": 0.5},
    {"messages": []}, {"messages": [{"role": "user", "content": "a"}] * 1025},
]  # fmt: skip


@pytest.mark.parametrize("fields", INSIDE, ids=str)
def test_a_value_at_a_bound_is_allowed(fields: dict[str, Any]) -> None:
    asked(**fields)


@pytest.mark.parametrize("fields", OUTSIDE, ids=str)
def test_a_value_beyond_a_bound_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        asked(**fields)


def test_null_counts_as_missing_and_a_single_stop_as_a_list_of_one() -> None:
    given = asked(temperature=None, top_p=None, n=None, stream=None, stop=None, stream_options=None)
    assert (given.temperature, given.top_p, given.n, given.stream, given.stop) == (0.0, 1.0, 1, False, ())
    assert given.stream_options is None
    assert asked(stop="a").stop == ("a",)
    assert asked(stop=["", "a"]).stop == ("a",)
    assert asked(stream_options={}).stream_options.include_usage is False  # type: ignore[union-attr]
    with pytest.raises(ValidationError):
        ChatCompletionRequest.model_validate([])


def test_unsupported_parameters_are_refused_by_name() -> None:
    asked(odd_for_nobody=None).refuse_unknown()
    with pytest.raises(RequestError, match="functions"):
        asked(functions=[{"name": "f"}]).refuse_unknown()


def test_an_answer_is_drawn_as_asked_with_no_more_tokens_than_are_allowed() -> None:
    drawn = asked(temperature=0.5, top_p=0.9, n=3, seed=7).sampling(12, SCHEMA, PARAMS)
    assert (drawn.temperature, drawn.top_p, drawn.n, drawn.seed) == (0.5, 0.9, 3, 7)
    assert (drawn.max_new_tokens, drawn.answer_schema) == (12, SCHEMA)
    assert asked(max_tokens=20).sampling(12, None, PARAMS).max_new_tokens == 20
    assert asked(max_tokens=20, max_completion_tokens=30).sampling(12, None, PARAMS).max_new_tokens == 30
    assert asked(max_tokens=10**9).sampling(12, None, PARAMS).max_new_tokens == 100
    assert asked(max_tokens=10**9, n=16).sampling(12, None, PARAMS).max_new_tokens == 6  # of 100 / 16
    assert asked(seed=-5).sampling(12, None, PARAMS).seed == 5
    assert asked(seed=2**63 + 4).sampling(12, None, PARAMS).seed == 4
    assert asked().sampling(12, None, PARAMS).seed == 0


def test_a_request_is_its_messages_and_whom_it_is_asked_for() -> None:
    assert asked().conversation == [Message(role="user", content="late")]
    assert asked().customer is asked(user="", safety_identifier=7).customer is None
    assert asked(user="Ann").customer == asked(user="Bob", safety_identifier="Ann").customer == "Ann"


def test_answers_of_tools_come_in_the_order_of_their_calls() -> None:
    turns = [
        {"role": "assistant", "tool_calls": [CALL | {"id": id} for id in "abc"]},
        *({"role": "tool", "content": f"of {id}", "tool_call_id": id} for id in "cab"),
        {"role": "assistant", "content": "So."},
    ]
    assert [message.content for message in asked(messages=turns).conversation] == ["", "of a", "of b", "of c", "So."]


def test_an_answer_may_call_what_is_offered_and_nothing_after_calls_without_an_offer() -> None:
    offer = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    turns = [{"role": "user", "content": "late"}, {"role": "assistant", "tool_calls": [CALL]},
             {"role": "tool", "content": "3", "tool_call_id": "1"}]  # fmt: skip
    text, offered, called = asked(stop="x"), asked(tools=offer), asked(messages=turns)
    assert [sent.calling for sent in (text, offered, called)] == [False, True, True]
    assert text.calls(PARAMS) is text.sampling(12, None, PARAMS).calls is None
    assert (calls := offered.calls(PARAMS)) and calls.most is None
    assert (alone := asked(tools=offer, parallel_tool_calls=False).calls(PARAMS)) and alone.most == 1
    assert offered.sampling(12, None, PARAMS).calls == calls
    assert (none := called.calls(PARAMS)) and none.most == 0
    for request in (asked(tools=offer, stop="x"), asked(messages=turns, stop="x")):
        with pytest.raises(RequestError, match="a call must not be cut") as cut:
            request.calls(PARAMS)
        assert (cut.value.status, cut.value.code, cut.value.param) == (400, "unsupported_parameter", "stop")


def test_the_form_of_an_answer_is_the_requests_before_the_workloads() -> None:
    def held_to(form: dict[str, Any]) -> Any:
        return asked(response_format=form).sampling(12, SCHEMA, PARAMS).answer_schema

    own = {"type": "array"}
    assert held_to({"type": "text"}) is None
    assert held_to({"type": "json_object"}) == {"type": "object"}
    assert held_to({"type": "json_schema", "json_schema": {"name": "x", "schema": own}}) == own
    assert held_to({"type": "json_object", "json_schema": {"schema": own}}) == {"type": "object"}
    assert held_to({"type": "text", "json_schema": {"schema": own, "strict": True}}) is None


def test_a_schema_that_is_missing_or_too_long_is_refused() -> None:
    with pytest.raises(RequestError, match=r"expected response_format\.json_schema, found none") as missing:
        ResponseFormat(type="json_schema").answer_schema(1024)
    assert (missing.value.status, missing.value.param) == (400, "response_format")

    def form(length: int) -> ResponseFormat:
        schema = {"title": "x" * (length - len(json.dumps({"title": ""})))}
        return ResponseFormat.model_validate({"type": "json_schema", "json_schema": {"schema": schema}})

    assert form(1024).answer_schema(1024)
    with pytest.raises(RequestError, match="expected a schema of at most 1,024 bytes") as long:
        form(1025).answer_schema(1024)
    assert (long.value.status, long.value.param) == (400, "response_format")


def test_feedback_holds_a_score_or_a_correction() -> None:
    assert FeedbackRequest(id="a", score=0).score == 0
    assert FeedbackRequest(id="a" * 100, score=1).corrected is None
    assert FeedbackRequest(id="a", corrected="").corrected == ""


@pytest.mark.parametrize(
    "word",
    [{"id": "a"}, {"id": "", "score": 1}, {"id": "a" * 101, "score": 1}, {"id": "a", "score": -0.01},
     {"id": "a", "score": 1.01}, {"id": "a", "corrected": 7}, {"score": 1}, {"id": "a", "score": 1, "odd": 1}],
    ids=str,
)  # fmt: skip
def test_empty_and_unknown_feedback_is_refused(word: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FeedbackRequest.model_validate(word)
