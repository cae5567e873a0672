"""Whose feedback counts: the asker's, above it a reviewer's, and none where feedback contradicts itself."""

from typing import Any

import pytest

from components.records import Feedback, Message, Trace, Usage
from monitoring.voices import voices

A, B = '{"kind": "late", "n": 1}', '{"kind": "bill", "n": 1}'
ANY: dict[str, Any] = {}
ASKER, OTHER = {"sender": "asker"}, {"sender": "other"}
REVIEWER, SECOND = {"sender": "r1", "reviewer": True}, {"sender": "r2", "reviewer": True}


def trace(caller: str) -> Trace:
    return Trace(
        id="x", at=1.0, workload="shop", version=1, method="sft", messages=(Message(role="user", content="Hi"),),
        text=A, finish_reason="stop", usage=Usage(input_tokens=1, output_tokens=1), latency_ms=1.0, valid=True,
        caller=caller,
    )  # fmt: skip


def said(at: int, corrected: str | None, who: dict[str, Any], score: float | None = None) -> Feedback:
    return Feedback(trace_id="x", at=float(at), workload="shop", corrected=corrected, score=score, **who)


@pytest.mark.parametrize(
    ("caller", "words", "counts", "refused"),
    [
        ("asker", [(A, ASKER)], A, 0),
        ("asker", [(A, OTHER)], None, 1),
        ("asker", [(A, ANY)], None, 1),
        ("asker", [(A, REVIEWER)], A, 0),
        ("asker", [(A, ASKER), (B, ASKER)], B, 0),
        ("asker", [(A, REVIEWER), (B, ASKER)], A, 0),
        ("asker", [(A, ASKER), (B, OTHER), (B, ANY)], A, 2),
        ("asker", [(A, REVIEWER), (B, SECOND), (B, REVIEWER)], B, 0),
        ("", [(A, ANY)], A, 0),
        ("", [(A, ANY), ('{"n": 1, "kind":"late"}', ANY)], '{"n": 1, "kind":"late"}', 0),
        ("", [('["a","b"]', ANY), ('["a", "b"]', ANY)], '["a", "b"]', 0),
        ("", [('{"at": {"x": 1, "y": 2}}', ANY), ('{"at": {"y": 2, "x": 1}}', ANY)], '{"at": {"y": 2, "x": 1}}', 0),
        ("", [("late", ANY), (" late\n", ANY)], " late\n", 0),
        ("", [(A, OTHER)], None, 1),
        ("", [(A, ANY), (B, ANY), (B, REVIEWER)], B, 0),
    ],
)
def test_feedback_counts_if_its_sender_may_give_it(
    caller: str, words: list[tuple[str, dict[str, Any]]], counts: str | None, refused: int
) -> None:
    heard = voices([said(at, text, who) for at, (text, who) in enumerate(words)], [trace(caller)])
    assert {name: voice.corrected for name, voice in heard.counts.items()} == ({} if counts is None else {"x": counts})
    assert (heard.refused, heard.conflicts) == (refused, {})


@pytest.mark.parametrize(
    ("text", "other"), [('["a", "b"]', '["b", "a"]'), ("late", "bill"), ("1", '"1"'), ("1", "true")]
)
def test_lists_texts_and_kinds_that_differ_contradict_each_other(text: str, other: str) -> None:
    words = [said(1, text, ANY), said(2, other, ANY)]
    assert dict(voices(words, [trace("")]).conflicts) == {"x": words}


@pytest.mark.parametrize(("caller", "first", "second"), [("", ANY, ANY), ("asker", REVIEWER, SECOND)])
def test_where_feedback_contradicts_itself_none_counts(
    caller: str, first: dict[str, Any], second: dict[str, Any]
) -> None:
    words = [said(1, A, first, 1.0), said(2, B, second, 0.0)]
    heard = voices(words, [trace(caller)])
    assert (heard.counts, dict(heard.conflicts)) == ({}, {"x": words})


def test_a_correction_comes_with_its_senders_name_and_role_and_the_score_of_who_is_trusted_most() -> None:
    words = [said(1, A, ASKER, 1.0), said(2, None, REVIEWER, 0.0), said(3, None, ASKER, 0.5)]
    voice = voices(words, [trace("asker")]).counts["x"]
    assert (voice.corrected, voice.sender, voice.reviewer, voice.score, voice.at) == (A, "asker", False, 0.0, 1.0)


def test_scores_alone_count_and_contradict_nothing() -> None:
    heard = voices([said(1, None, ANY, 1.0), said(2, None, ANY, 0.0)], [trace("")])
    voice = heard.counts["x"]
    assert (voice.corrected, voice.score, voice.at, heard.conflicts) == (None, 0.0, 2.0, {})  # of several the latest


def test_the_asker_is_known_by_its_name_however_that_was_read() -> None:
    heard = voices([said(1, A, ASKER)], [trace(b"asker".decode())])
    assert (list(heard.counts), heard.refused) == (["x"], 0)


def test_feedback_on_unknown_answers_is_left_out() -> None:
    heard = voices([said(1, A, ANY).model_copy(update={"trace_id": "unknown"})], [trace("")])
    assert (heard.counts, heard.conflicts, heard.refused) == ({}, {}, 0)


def test_a_reviewer_who_confirms_an_answer_stands_above_others_corrections() -> None:
    words = [said(1, B, ASKER), said(2, None, REVIEWER, score=1.0)]
    (word,) = voices(words, [trace("asker")]).counts.values()
    assert (word.corrected, word.score, word.reviewer) == (None, 1.0, True)
    (word,) = voices([words[0], said(2, None, REVIEWER, score=0.0)], [trace("asker")]).counts.values()
    assert (word.corrected, word.reviewer) == (B, False)


def test_beside_a_reviewers_correction_no_other_score_counts() -> None:
    (word,) = voices([said(1, None, ASKER, score=1.0), said(2, B, REVIEWER)], [trace("asker")]).counts.values()
    assert (word.corrected, word.score, word.reviewer) == (B, None, True)


@pytest.mark.parametrize("who", [ASKER, REVIEWER])
def test_who_confirms_an_answer_takes_back_a_correction_of_it(who: dict[str, Any]) -> None:
    (word,) = voices([said(1, B, who), said(2, None, who, score=1.0)], [trace("asker")]).counts.values()
    assert (word.corrected, word.score, word.at) == (None, 1.0, 2.0)
    (word,) = voices([said(1, None, who, score=1.0), said(2, B, who)], [trace("asker")]).counts.values()
    assert (word.corrected, word.at) == (B, 2.0)
    (word,) = voices([said(1, B, who), said(2, None, who, score=0.0)], [trace("asker")]).counts.values()
    assert (word.corrected, word.score, word.at) == (B, 0.0, 1.0)


def test_a_reviewer_who_confirms_what_another_corrects_contradicts_it() -> None:
    words = [said(1, B, REVIEWER), said(2, None, SECOND, score=1.0)]
    heard = voices(words, [trace("asker")])
    assert (heard.counts, heard.conflicts) == ({}, {"x": words})
    back = voices([*words, said(3, None, SECOND, score=0.0)], [trace("asker")])
    assert back.counts["x"].corrected == B and not back.conflicts
    same = voices([said(1, A, REVIEWER), words[1]], [trace("asker")])
    assert same.counts["x"].corrected == A and not same.conflicts
