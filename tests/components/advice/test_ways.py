"""What speaks for each method, and that nothing learns from a scorer that nobody measured."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.advice import Evidence, Feedback, Writing, ways
from tests.components.advice.test_rule import PARAMS, room, scores, stands

LEARNING_FROM_SCORES = {"Rejection sampling", "RL", "RL on a judge"}


def open_ways(**known: Any) -> set[str]:
    given: dict[str, Any] = {"standing": stands(0.6, "sft"), "writing": Writing(examples=500), **known}
    return {way.label for way in ways(Evidence(**given), PARAMS) if way.speaks}


@pytest.mark.parametrize(
    ("feedback", "expected"),
    [
        (Feedback(), set[str]()),
        (Feedback(pairs=100), {"Pairs (DPO)"}),
        (Feedback(pairs=99), set[str]()),
        (Feedback(good=90, bad=10), {"Thumbs (KTO)"}),
        (Feedback(good=100, bad=0), set[str]()),
        (Feedback(good=2001, bad=100), set[str]()),
        (Feedback(good=90, bad=10, pairs=100), {"Pairs (DPO)"}),  # pairs say more
        (Feedback(logs=100, uneven_logs=True), {"Training on weighted logs"}),
        (Feedback(logs=100), set[str]()),
        (Feedback(logs=99, uneven_logs=True), set[str]()),
    ],
)
def test_feedback_opens_the_way_that_can_learn_from_it(feedback: Feedback, expected: set[str]) -> None:
    assert open_ways(feedback=feedback) == expected


def test_before_any_training_examples_a_search_and_sft_are_at_hand() -> None:
    assert open_ways(standing=stands(0.6)) == {
        "Examples in the prompt",
        "Searched prompt",
        "Training on demonstrations",
    }
    assert open_ways(standing=stands(0.6), writing=Writing(examples=0)) == {"Searched prompt"}


def test_a_measured_scorer_and_headroom_open_sampling_and_rl_but_not_logs() -> None:
    logs = Feedback(logs=500, uneven_logs=True)
    assert open_ways(scoring=scores(), headroom=room(0.1), feedback=logs) == LEARNING_FROM_SCORES
    assert open_ways(scoring=scores(), headroom=room(0.0)) == {"RL on a judge"}


@given(st.floats(0.13, 0.9), st.floats(0.0, 0.9), st.booleans(), st.booleans())
def test_nothing_learns_from_a_scorer_whose_errors_are_many_or_unknown(
    passes: float, refuses: float, measured: bool, headroom: bool
) -> None:
    scoring = scores(passes, refuses) if measured else None
    assert not LEARNING_FROM_SCORES & open_ways(scoring=scoring, headroom=room(0.3) if headroom else None)


def test_each_way_says_why_or_why_not_and_never_both() -> None:
    found = ways(Evidence(standing=stands(0.6), writing=Writing(examples=500)), PARAMS)
    assert all(bool(way.speaks) != bool(way.against) for way in found)
