"""Near-duplicates: exact against a comparison of all pairs."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.similarity import near_duplicates


def grams(text: str) -> set[str]:
    text = " ".join(text.casefold().split())
    return {text[start : start + 5] for start in range(max(1, len(text) - 4))}


def all_pairs(texts: list[str], threshold: float) -> list[tuple[int, int]]:
    sets = [grams(text) for text in texts]
    return [
        (first, second)
        for first in range(len(sets))
        for second in range(first + 1, len(sets))
        if len(sets[first] & sets[second]) >= threshold * len(sets[first] | sets[second]) - 1e-9
    ]


def test_the_index_is_the_share_of_common_five_grams() -> None:
    # "abcdefgh" has abcde bcdef cdefg defgh; "abcdefgX" shares the first three: 3 of 5.
    (link,) = near_duplicates(["abcdefgh", "abcdefgX"], 0.5)
    assert (link.first, link.second) == (0, 1)
    assert math.isclose(link.similarity, 3 / 5)


def test_case_and_white_space_make_no_difference() -> None:
    (link,) = near_duplicates(["Where is  my\ncard", "where IS my card"], 1.0)
    assert link.similarity == 1.0


def test_texts_shorter_than_a_gram_match_only_themselves() -> None:
    assert [link[:2] for link in near_duplicates(["ok", "no", "OK", ""], 0.1)] == [(0, 2)]


@pytest.mark.parametrize("texts", [[], ["alone"]])
def test_fewer_than_two_texts_have_no_pairs(texts: list[str]) -> None:
    assert near_duplicates(texts, 0.9) == []


WORDS = st.lists(st.sampled_from(["card", "lost", "arrive", "my", "refund", "please", "help"]), min_size=1, max_size=12)


@given(st.lists(WORDS.map(" ".join), max_size=30), st.sampled_from([0.3, 0.5, 0.7, 0.8, 0.9, 1.0]))
def test_the_pairs_are_those_of_a_comparison_of_all(texts: list[str], threshold: float) -> None:
    assert [link[:2] for link in near_duplicates(texts, threshold)] == all_pairs(texts, threshold)
