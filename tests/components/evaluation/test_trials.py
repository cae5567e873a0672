"""pass^k and pass@k, by hand."""

from itertools import combinations

import pytest

from components.errors import DataError
from components.evaluation.trials import all_of, over_tasks, pass_by_k
from components.records import Trajectory, Usage


def tries(task: str, *rewards: float | None) -> list[Trajectory]:
    return [
        Trajectory(
            id=f"{task}#{trial}", example_id=task, trial=trial, messages=(), stop_reason="completed",
            usage=Usage(input_tokens=0, output_tokens=0), reward=reward,
        )
        for trial, reward in enumerate(rewards)
    ]  # fmt: skip


def test_the_estimate_is_the_share_of_all_choices_of_k_trials() -> None:
    outcomes = [True, True, True, False, False]
    chosen = list(combinations(outcomes, 2))
    assert all_of(3, 5, 2) == sum(map(all, chosen)) / len(chosen) == 0.3
    assert 1 - all_of(2, 5, 2) == sum(map(any, chosen)) / len(chosen) == 0.9


def test_each_task_counts_once_and_only_up_to_as_many_tries_as_it_had() -> None:
    counted = pass_by_k([*tries("a", 1, 1, 0, 0), *tries("b", 1, 1), *tries("c", 0)])
    at_1, at_2, at_3, at_4 = counted.by_k
    assert (at_1.every.value, at_1.tasks) == (0.5, 3)  # (1/2 + 1 + 0) / 3
    assert (at_2.every.value, at_2.tasks) == (pytest.approx((1 / 6 + 1) / 2), 2)
    assert at_2.some.value == pytest.approx((5 / 6 + 1) / 2)
    assert (at_3.every.value, at_3.some.value, at_3.tasks) == (0.0, 1.0, 1)
    assert (at_4.every.value, at_4.some.value) == (0.0, 1.0)
    assert (counted.tasks, counted.trials, counted.undecided) == (3, 7, 0)


def test_rewards_near_one_count_as_solved_and_missing_ones_as_undecided() -> None:
    counted = pass_by_k(tries("a", 1.0000001, 0.9999999, 0.999, 1.01, None))
    assert counted.by_k[0].every.value == 0.5 and counted.undecided == 1
    with pytest.raises(DataError, match="rewards"):
        pass_by_k(tries("a", None))


def test_intervals_are_over_tasks_and_not_over_their_trials() -> None:
    alike = pass_by_k([trial for task in range(10) for trial in tries(str(task), *[float(task < 5)] * 8)])
    once = pass_by_k([trial for task in range(10) for trial in tries(str(task), float(task < 5))])
    width = [counted.by_k[0].every.high - counted.by_k[0].every.low for counted in (alike, once)]
    assert width[0] == pytest.approx(width[1])  # eight trials that agree say no more than one
    mixed = pass_by_k(
        [trial for task in range(10) for trial in tries(str(task), *[1, 0, 0, 1, 1, 0, task % 2, task % 2])]
    )
    assert mixed.by_k[0].every.high - mixed.by_k[0].every.low < width[0]  # while trials that differ do


def test_a_task_solved_less_often_never_raises_the_lower_end() -> None:
    solved, less = over_tasks([1.0] * 10), over_tasks([1.0] * 9 + [27 / 28])  # pass@2 of 8 of 8, and of 6 of 8
    assert less.value < solved.value and less.low <= solved.low


def test_tasks_that_are_never_solved_may_be_too_rare_to_be_seen() -> None:
    # Where one task in twenty is never solved, 30 tasks have none of them with a chance of 0.95³⁰ = 21 %.
    for last in (1.0, 27 / 28):
        assert over_tasks([1.0] * 29 + [last]).low < 0.95


def test_certainty_is_never_claimed() -> None:
    assert over_tasks([1.0] * 20).low < 0.9 < over_tasks([1.0] * 20).high == 1.0
    assert over_tasks([0.5]).low < 0.15 and over_tasks([0.5]).high > 0.85
    assert over_tasks([0.0] * 3).high > 0.5
