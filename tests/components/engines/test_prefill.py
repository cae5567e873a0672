from hypothesis import given
from hypothesis import strategies as st

from components.engines.prefill import common_prefix


def test_the_prefix_ends_at_the_first_difference() -> None:
    assert common_prefix([[1, 2, 3, 4], [1, 2, 5], [1, 2, 3, 9]]) == 2


def test_every_prompt_keeps_a_token_of_its_own() -> None:
    assert common_prefix([[1, 2, 3], [1, 2, 3, 4]]) == 2
    assert common_prefix([[7]]) == 0


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=8), min_size=1, max_size=8))
def test_the_prefix_is_common_and_no_longer_prefix_is(prompts: list[list[int]]) -> None:
    length, shortest = common_prefix(prompts), min(map(len, prompts))
    assert len({tuple(prompt[:length]) for prompt in prompts}) == 1
    assert length == shortest - 1 or len({tuple(prompt[: length + 1]) for prompt in prompts}) > 1
