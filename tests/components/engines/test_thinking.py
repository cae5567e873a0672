from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.engines.thinking import AnswerFilter, answer_of


@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        ('{"a": 1}', False, '{"a": 1}'),
        (" plain ", False, " plain "),
        ('<think>\nhm </think>\n\n{"a": 1}', False, '{"a": 1}'),
        ('\n<think></think>{"a": 1}', False, '{"a": 1}'),
        ("<think>and on and on", False, ""),
        ('so be it</think>\n{"a": 1}', True, '{"a": 1}'),
        ("never done", True, ""),
        ('{"a": "<think>x</think>"}', False, '{"a": "<think>x</think>"}'),  # a text that speaks of thoughts
    ],
)
def test_thoughts_before_an_answer_are_no_part_of_it(text: str, thinking: bool, answer: str) -> None:
    assert answer_of(text, thinking=thinking) == answer


@given(st.lists(st.sampled_from(["<think>", "</think>", "<thi", "nk>", "</", "\n", "{}", "x", " "])), st.booleans())
def test_streamed_text_is_the_beginning_of_the_answer(pieces: Sequence[str], thinking: bool) -> None:
    reported = list[str]()
    take = AnswerFilter(reported.append, thinking=thinking)
    for piece in pieces:
        take(piece)
    answer = answer_of("".join(pieces), thinking=thinking)
    assert answer.startswith("".join(reported))
    if not thinking and len(answer.strip()) > len("<think>"):
        assert "".join(reported) == answer
