from hypothesis import given
from hypothesis import strategies as st

from components.engines.planning import READ_TOKENS, plan_batches, plan_reads

lengths = st.lists(st.integers(min_value=11, max_value=900), min_size=1, max_size=60)


def test_a_batch_is_filled_up_to_the_budget_with_the_shared_prefix_counted_once() -> None:
    # Own and new tokens of a row: 14 - 10 + 6 = 10. Three rows: 10 + 30 = 40; a fourth needs 50.
    assert list(plan_batches([14, 14, 14, 14], shared=10, new_tokens=6, budget=40)) == [[0, 1, 2], [3]]


def test_neighbours_in_length_share_a_batch() -> None:
    assert list(plan_batches([30, 11, 31, 12], shared=10, new_tokens=4, budget=60)) == [[1, 3], [0, 2]]


def test_a_row_that_is_too_long_makes_a_batch_of_its_own() -> None:
    assert list(plan_batches([20, 5_000], shared=10, new_tokens=4, budget=100)) == [[0], [1]]


def test_shorter_rows_start_inside_the_prefix_and_shorten_what_is_shared() -> None:
    # The group computes 24 - 10 = 14 tokens of each row, so the row of 20 starts at 6.
    layout = plan_reads([20, 22, 24], prefix=10, budget=1_000, spread=None)
    assert (layout.groups, layout.shared, layout.width) == ([range(3)], 6, 18)


def test_rows_that_would_start_before_their_first_token_leave_nothing_shared() -> None:
    layout = plan_reads([12, 40], prefix=10, budget=1_000, spread=None)
    assert (layout.shared, layout.width) == (0, 40)


def test_a_bounded_spread_cuts_groups() -> None:
    assert plan_reads([20, 25, 40], prefix=10, budget=1_000, spread=10).groups == [range(2), range(2, 3)]


@given(lengths, st.integers(1, 200), st.integers(100, 20_000))
def test_every_row_is_in_one_batch_and_no_batch_of_several_exceeds_the_budget(
    row_lengths: list[int], new_tokens: int, budget: int
) -> None:
    batches = list(plan_batches(row_lengths, 10, new_tokens, budget))
    assert sorted(at for batch in batches for at in batch) == list(range(len(row_lengths)))
    for batch in batches:
        longest = max(row_lengths[at] for at in batch)
        assert len(batch) == 1 or 10 + len(batch) * (longest - 10 + new_tokens) <= budget


@given(lengths, st.integers(0, 10), st.integers(100, 20_000), st.one_of(st.none(), st.integers(0, 50)))
def test_groups_cover_the_batch_within_their_bounds_and_rows_keep_all_their_own_tokens(
    row_lengths: list[int], prefix: int, budget: int, spread: int | None
) -> None:
    row_lengths.sort()
    layout = plan_reads(row_lengths, prefix, budget, spread)
    assert [at for group in layout.groups for at in group] == list(range(len(row_lengths)))
    for group in layout.groups:
        longest = row_lengths[group[-1]]
        assert len(group) == 1 or len(group) * (longest - prefix) <= READ_TOKENS
        assert len(group) == 1 or len(group) * longest <= budget
        assert spread is None or longest - row_lengths[group[0]] <= spread
    assert 0 <= layout.shared <= prefix
    assert layout.shared + layout.width == max(row_lengths)
