import random

from hypothesis import given
from hypothesis import strategies as st

from components.methods.grpo.selection import Mix, choose, schedule, variance


def test_variance_is_that_of_the_population() -> None:
    assert variance([0.0, 1.0]) == 0.25
    assert variance([0.5, 0.5]) == 0.0
    assert variance([]) == 0.0


def test_varied_prompts_come_first_and_the_share_of_others_is_kept() -> None:
    rewards = [[0.2, 0.4], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0], [1.0, 1.0]]
    mix = choose(rewards, 0.5, random.Random(0))
    assert mix.varied == (2, 0)  # variances 0.25 and 0.01
    assert len(mix.easy) == 2  # as many as vary: half of the mix
    assert set(mix.easy) <= {1, 3, 4}


def test_without_any_variance_all_prompts_are_used() -> None:
    mix = choose([[1.0, 1.0], [0.0, 0.0]], 0.1, random.Random(0))
    assert mix.varied == ()
    assert sorted(mix.easy) == [0, 1]


def test_a_part_pass_takes_the_most_varied_prompts() -> None:
    assert sorted(schedule(Mix((5, 3, 8), ()), 2, random.Random(0))) == [3, 5]


@given(st.lists(st.integers(0, 99), min_size=1, max_size=20, unique=True), st.integers(0, 3), st.integers(1, 60))
def test_a_schedule_has_the_asked_length_and_passes_over_the_whole_mix(
    indices: list[int], easy: int, prompts: int
) -> None:
    split = max(1, len(indices) - easy)
    mix = Mix(tuple(indices[:split]), tuple(indices[split:]))
    order = schedule(mix, prompts, random.Random(1))
    assert len(order) == prompts
    for start in range(0, prompts - len(indices) + 1, len(indices)):
        assert sorted(order[start : start + len(indices)]) == sorted(indices)
