"""Near-duplicates: exact against a comparison of all pairs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data import similarity
from components.data.similarity import near_duplicates


def grams(text: str) -> set[str]:
    text = " ".join(text.casefold().split())
    return {text[start : start + 5] for start in range(max(1, len(text) - 4))}


def bundled(texts: list[str], threshold: float) -> list[int]:
    """By a comparison of all pairs: each text takes the first of whatever it resembles, until nothing changes."""
    sets = [grams(text) for text in texts]
    firsts, before = list(range(len(sets))), list[int]()
    while firsts != before:
        before = firsts
        firsts = [
            min(
                before[other]
                for other in range(len(sets))
                if len(sets[at] & sets[other]) >= threshold * len(sets[at] | sets[other]) - 1e-9
            )
            for at in range(len(sets))
        ]
    return firsts


def test_the_index_is_the_share_of_common_five_grams() -> None:
    # "abcdefgh" has abcde bcdef cdefg defgh; "abcdefgX" shares the first three: 3 of 5.
    assert near_duplicates(["abcdefgh", "abcdefgX"], 3 / 5) == [0, 0]
    assert near_duplicates(["abcdefgh", "abcdefgX"], 3 / 5 + 1e-6) == [0, 1]


def test_case_and_white_space_make_no_difference() -> None:
    assert near_duplicates(["Where is  my\ncard", "where IS my card"], 1.0) == [0, 0]


def test_texts_shorter_than_a_gram_match_only_themselves() -> None:
    assert near_duplicates(["ok", "no", "OK", ""], 0.1) == [0, 1, 0, 3]


@pytest.mark.parametrize("texts", [[], ["alone"]])
def test_fewer_than_two_texts_have_no_pairs(texts: list[str]) -> None:
    assert near_duplicates(texts, 0.9) == list(range(len(texts)))


WORDS = st.lists(st.sampled_from(["card", "lost", "arrive", "my", "refund", "please", "help"]), min_size=1, max_size=12)


@given(st.lists(WORDS.map(" ".join), max_size=30), st.sampled_from([0.3, 0.5, 0.7, 0.8, 0.9, 1.0]))
def test_bundles_equal_those_of_comparing_every_pair(texts: list[str], threshold: float) -> None:
    assert near_duplicates(texts, threshold) == bundled(texts, threshold)


@settings(max_examples=25, deadline=None)
@given(st.lists(WORDS.map(" ".join), min_size=20, max_size=60), st.sampled_from([0.5, 0.8, 0.9]))
def test_looking_at_families_first_changes_no_bundle(texts: list[str], threshold: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity, "DENSE", 3)
        patch.setattr(similarity, "BLOCK_PRODUCTS", 50)
        patch.setattr(similarity, "BLOCK_PAIRS", 4)
        assert near_duplicates(texts, threshold) == bundled(texts, threshold)
