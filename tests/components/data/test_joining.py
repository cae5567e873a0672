"""Requests of one conversation become one try: by what was said, by whom and when."""

import inspect
import sys
from collections.abc import Sequence
from typing import Any, cast

import pytest

from components.data.joining import MOST_APART_S, Joined, _connect, _Turn, is_failure, join, kindred, refusal
from components.records import Message, Tool, ToolCall, Trace, Usage
from components.records.messages import in_order_of_calls

LOOK = Tool(name="look", parameters={"type": "object", "properties": {"id": {"type": "string"}}})
ASKED = (Message(role="system", content="Help."), Message(role="user", content="Where is it?"))


def call(id: str, name: str = "look") -> ToolCall:
    return ToolCall(id=id, name=name, arguments='{"id": "W1"}')


def answer(id: str, content: str = '{"status": "sent"}') -> Message:
    return Message(role="tool", content=content, tool_call_id=id)


def user(content: str) -> Message:
    return Message(role="user", content=content)


def trace(id: str, messages: Sequence[Message], at: float, text: str = "", **more: Any) -> Trace:
    usual: dict[str, Any] = {
        "workload": "desk", "version": 3, "method": "sft", "finish_reason": "stop", "latency_ms": 2.0, "valid": True,
        "usage": Usage(input_tokens=10, output_tokens=4), "tools": (LOOK,), "customer": "c1",
    }  # fmt: skip
    whole: dict[str, Any] = {**usual, "id": id, "messages": tuple(messages), "at": at, "text": text, **more}
    return Trace(**whole)


def following(first: Trace, *new: Message) -> tuple[Message, ...]:
    return (*first.messages, first.reply, *new)


FIRST = trace("a", ASKED, 1.0, calls=(call("x"),))
SECOND = trace("b", following(FIRST, answer("x")), 2.0, "It is sent.")
THIRD = trace("c", following(SECOND, user("And when?")), 3.0, "Soon.", version=4)


def paths(traces: Sequence[Trace]) -> list[tuple[str, ...]]:
    return [conversation.traces for conversation in join(traces)]


def test_requests_that_continue_each_other_are_one_try_with_all_that_is_known_of_it() -> None:
    (conversation,) = join([THIRD, FIRST, SECOND], {"b": 0.25, "c": 1.0, "z": 0.0})
    assert conversation == Joined(trajectory=conversation.trajectory, traces=("a", "b", "c"), customer="c1", at=3.0)
    trajectory = conversation.trajectory
    assert [message.role for message in trajectory.messages] == [
        "system", "user", "assistant", "tool", "assistant", "user", "assistant",
    ]  # fmt: skip
    assert (trajectory.id, trajectory.example_id, trajectory.trial, trajectory.answer) == ("a#0", "a", 0, "Soon.")
    assert (trajectory.turns, trajectory.tool_calls, trajectory.tool_errors, trajectory.stop_reason) == (
        3,
        1,
        0,
        "completed",
    )
    assert (trajectory.usage.input_tokens, trajectory.usage.output_tokens, trajectory.latency_ms) == (30, 12, 6.0)
    assert (trajectory.reward, trajectory.policy_version, trajectory.tools, trajectory.error) == (
        1.0,
        "3+4",
        (LOOK,),
        None,
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"customer": "c2"},
        {"caller": "k2"},
        {"workload": "shop"},
        {"at": FIRST.at + MOST_APART_S + 0.1},
        {"messages": (*ASKED, Message(role="assistant", content="", tool_calls=(call("y"),)), answer("y"))},
        {"messages": (*ASKED[:1], user("Where?"), FIRST.reply, answer("x"))},
    ],
)
def test_another_sender_another_day_or_other_words_are_another_conversation(changed: dict[str, Any]) -> None:
    assert paths([FIRST, SECOND]) == [("a", "b")]
    assert sorted(paths([FIRST, SECOND.model_copy(update=changed)])) == [("a",), ("b",)]


def test_a_request_never_continues_a_later_one() -> None:
    assert sorted(paths([FIRST.model_copy(update={"at": 9.0}), SECOND])) == [("a",), ("b",)]


def test_two_conversations_that_begin_alike_stay_two() -> None:
    again = [FIRST.model_copy(update={"id": "a2", "at": 1.5}), SECOND.model_copy(update={"id": "b2", "at": 2.5})]
    assert sorted(paths([FIRST, SECOND, *again])) == [("a", "b2"), ("a2", "b")]  # which is whose, nobody can tell
    assert all(len(conversation.trajectory.messages) == 5 for conversation in join([FIRST, SECOND, *again]))


def test_a_conversation_continued_in_two_ways_is_two_tries_at_one_task() -> None:
    other = trace("b2", following(FIRST, answer("x", '{"error": "LookupError"}')), 2.5, "There is none.")
    tries = [conversation.trajectory for conversation in join([FIRST, SECOND, other])]
    assert [(attempt.id, attempt.example_id, attempt.trial, attempt.tool_errors) for attempt in tries] == [
        ("a#0", "a", 0, 0), ("a#1", "a", 1, 1),
    ]  # fmt: skip


def test_completions_that_nobody_continued_are_not_tries() -> None:
    name = "chatcmpl-0f"
    first, second = trace(name, ASKED, 1.0, calls=(call("x"),)), trace(f"{name}-1", ASKED, 1.1, calls=(call("y"),))
    taken = trace("chatcmpl-1f", following(second, answer("y")), 2.0, "Sent.")
    assert paths([first, second, taken]) == [(f"{name}-1", "chatcmpl-1f")]
    assert paths([first, second]) == [(name,)]


def test_a_retried_failure_is_left_out_and_another_is_the_engines_error() -> None:
    failed = trace("f", SECOND.messages, 1.5, "no answer within 60 s", finish_reason="error", valid=False)
    assert paths([FIRST, failed, SECOND]) == [("a", "b")]
    (conversation,) = join([FIRST, failed])
    assert (conversation.trajectory.stop_reason, conversation.trajectory.error) == (
        "engine_error",
        "no answer within 60 s",
    )
    assert conversation.trajectory.messages == failed.messages and conversation.trajectory.turns == 1


def test_the_end_of_a_conversation_is_recorded_where_it_is_known() -> None:
    (cut,) = join([FIRST, SECOND.model_copy(update={"finish_reason": "length"})])
    (left,) = join([FIRST])
    assert (cut.trajectory.stop_reason, left.trajectory.stop_reason) == ("max_sampled_tokens", "imported")


def test_requests_without_tools_and_answers_that_nobody_got_are_no_conversations() -> None:
    plain = trace("p", ASKED, 1.0, "It is sent.", tools=())
    shadow = SECOND.model_copy(update={"id": "b~shadow", "returned": False})
    assert paths([plain, FIRST, shadow, SECOND]) == [("a", "b")]


def test_a_try_whose_tools_have_no_schema_is_refused_by_its_name() -> None:
    bare = [turn.model_copy(update={"tools": ()}) for turn in (FIRST, SECOND)]
    whole, unknown = join([FIRST, SECOND])[0].trajectory, join(bare)[0].trajectory
    assert refusal(whole) is None
    message = "expected the schema of each tool that is called, found none of 'look' (a#0)"
    assert refusal(unknown) == message
    assert refusal(unknown, "line 3") == message.replace("a#0", "line 3")


def test_answers_of_tools_are_put_in_the_order_of_their_calls_whichever_way_a_trace_has_them() -> None:
    first = trace("a", ASKED, 1.0, calls=(call("x"), call("y")))
    second = trace("b", following(first, answer("y", "second"), answer("x", "first")), 2.0, "It is sent.")
    third = trace("c", (*following(first, answer("x", "first"), answer("y", "second")), second.reply, user("?")), 3.0)
    for traces in ([first, second], [first, second, third]):
        (conversation,) = join(traces)
        results = [each.content for each in conversation.trajectory.messages if each.role == "tool"]
        assert results == ["first", "second"]


@pytest.mark.parametrize(
    ("calls", "answers", "ordered"),
    [
        ("xy", ["y1", "x2"], ["x2", "y1"]),
        ("xyz", ["z1", "x2"], ["x2", "z1"]),  # of a turn that was cut
        ("xyx", ["x1", "x2", "y3"], ["x1", "y3", "x2"]),
        ("xy", ["y1", "-2"], ["y1", "-2"]),  # whose call the second one answers, nobody can tell
        ("", ["y1", "x2"], ["y1", "x2"]),
    ],
)
def test_each_answer_stands_at_the_place_of_its_call(calls: str, answers: list[str], ordered: list[str]) -> None:
    said = Message(role="assistant", content="", tool_calls=tuple(map(call, calls)))
    given = [answer(each[0], each) if each[0] != "-" else Message(role="tool", content=each) for each in answers]
    turns = in_order_of_calls([said, *given, user("?"), said, *given])
    assert [each.content for each in turns] == ["", *ordered, "?", "", *ordered]


def test_a_client_that_rewrites_arguments_continues_the_same_call() -> None:
    def written(arguments: str) -> Message:
        made = ToolCall(id="x", name="look", arguments=arguments)
        return FIRST.reply.model_copy(update={"tool_calls": (made,)})

    same, other = (
        trace("b", (*ASKED, written(arguments), answer("x")), 2.0) for arguments in (r'{"id":"W\u0031"}', '{"id":"W2"}')
    )
    assert paths([FIRST, same]) == [("a", "b")]
    assert sorted(paths([FIRST, other])) == [("a",), ("b",)]


def test_a_conversation_longer_than_the_recursion_limit_is_one_try() -> None:
    traces = [trace("0", ASKED, 0.0, "0")]
    for number in range(1, 200):
        traces.append(trace(str(number), following(traces[-1], user("?")), float(number), str(number)))
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 100)
    try:
        (path,) = paths(traces)
    finally:
        sys.setrecursionlimit(usual)
    assert len(path) == 200


class Ended:
    """The trace of a turn that was asked and answered at once; counts how often its time is asked for."""

    looks = 0
    failed = False

    @property
    def at(self) -> float:
        Ended.looks += 1
        return 0.0


def test_conversations_that_begin_alike_are_joined_in_time_in_proportion_to_their_number() -> None:
    first = [_Turn(cast(Trace, Ended()), [b"asked", b"answered"]) for _ in range(500)]
    then = [_Turn(cast(Trace, Ended()), [b"asked", b"answered", b"and", b"end"]) for _ in range(500)]
    _connect([*first, *then])
    assert [turn.parent for turn in then] == first[::-1]  # the latest that nothing followed
    assert Ended.looks <= 4 * 500


def test_of_alike_ends_none_is_gone_on_from_after_a_day_and_a_followed_one_only_where_no_other_is_left() -> None:
    day = MOST_APART_S
    first, again = FIRST.model_copy(update={"at": 0.0}), FIRST.model_copy(update={"id": "d", "at": day})
    later = [SECOND.model_copy(update={"id": f"b{at}", "at": day + at}) for at in (1.0, 2.0)]
    assert sorted(paths([first, again, *later])) == [("a",), ("d", "b1.0"), ("d", "b2.0")]
    late = SECOND.model_copy(update={"at": 2 * day + 1.0})
    assert sorted(paths([first, again, late])) == [("a",), ("b",), ("d",)]


def test_every_trace_that_repeats_the_text_of_a_request_is_found() -> None:
    plain: dict[str, Any] = {"tools": (), "calls": ()}
    first = trace("a", ASKED, 1.0, "Sent.", **plain)
    second = trace("b", following(first, user("When?")), 2.0, "Soon.", **plain)
    third, other = (trace(name, following(second, user(name)), 9e9, "So.", **plain) for name in "cd")
    stranger = trace("e", following(second, user("c")), 3.0, customer="c2", **plain)
    alike = trace("f", ASKED, 3.0, "Sent.", **plain)  # the same words, which nothing follows
    every = [first, second, third, other, stranger, alike]
    assert kindred([second], every) == {"a", "c", "d", "f"}
    assert kindred([first], every) == {"b", "c", "d"}
    assert kindred([third], every) == {"a", "b", "f"}
    assert kindred([stranger], every) == set()


def test_a_message_is_found_inside_and_outside_of_its_prompt() -> None:
    prompt = (Message(role="system", content="Sort tickets."), user("Ticket: Where is it?"))
    first = trace("a", prompt, 1.0, "delivery", tools=(), input={"ticket": "Where is it?"})
    later = trace("b", (user("Where is it?"), first.reply, user("Sure?")), 2.0, "Yes.", tools=())
    assert kindred([first], [first, later]) == {"b"} and kindred([later], [first, later]) == {"a"}


@pytest.mark.parametrize(
    ("result", "failed"),
    [
        ('{"error": "LookupError: there is no order"}', True),
        ("Error: it is away", True),
        ("  An error occurred while running the tool", True),
        ("Traceback (most recent call last):", True),
        ('{"error": null, "status": "sent"}', False),
        ('{"status": "error"}', False),
        ("errand done", False),
        ("error_count 0", False),
        ("sent", False),
        ('["error"]', False),
        ("", False),
        ("[" * 100_000, False),
    ],
)
def test_a_tools_failure_is_recognised_by_its_answer(result: str, failed: bool) -> None:
    assert is_failure(result) == failed
