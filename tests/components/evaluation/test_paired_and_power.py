"""Intervals, tests and sample sizes: values derived by hand or published, and what holds for all inputs."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import DataError
from components.evaluation.looks import SKETCH, alpha_of_look, holm_climb, shared, sketch
from components.evaluation.metrics import wilson
from components.evaluation.paired import holm, mean_of, sign_flip, tango, tango_p_not_worse, tango_z
from components.evaluation.power import mcnemar_examples, mcnemar_power, mean_examples
from components.params import GateParams
from components.records import Example, Verdict

COUNTS = st.integers(1, 400).flatmap(
    lambda n: st.integers(0, n).flatmap(lambda fixed: st.tuples(st.just(fixed), st.integers(0, n - fixed), st.just(n)))
)


# Bentur et al. 2009, 21 children before and after a transplantation, 1 and 7 discordant: −0.517 to −0.026
# (Fagerland, Lydersen and Laake 2017, Statistical Analysis of Contingency Tables, chapter 8).
def test_tangos_interval_of_a_published_table() -> None:
    interval = tango(1, 7, 21)
    assert (interval.value, interval.low, interval.high) == pytest.approx((-6 / 21, -0.517, -0.026), abs=5e-4)


def test_tangos_statistic_at_no_difference_is_mcnemars() -> None:
    assert tango_z(9, 1, 50, 0.0) == pytest.approx((9 - 1) / math.sqrt(9 + 1))


@given(COUNTS)
@settings(deadline=None)
def test_tangos_interval_holds_the_difference_within_its_range_and_mirrors(counts: tuple[int, int, int]) -> None:
    fixed, broken, n = counts
    interval, mirrored = tango(fixed, broken, n), tango(broken, fixed, n)
    assert -1 <= interval.low <= interval.value <= interval.high <= 1
    assert interval.low == pytest.approx(-mirrored.high, abs=1e-6)


def test_tango_covers_the_truth_where_few_examples_change_sides() -> None:
    # of 100 examples 3 are fixed and 1 broken on average: the percentile bootstrap holds the truth in 92 of 100 samples
    draws = np.random.default_rng(1).multinomial(100, [0.03, 0.01, 0.96], size=3000)
    ends = [tango(int(fixed), int(broken), 100) for fixed, broken, _ in draws]
    assert 0.93 < np.mean([interval.low <= 0.02 <= interval.high for interval in ends]) < 0.97


@pytest.mark.parametrize("counts", [(0, 0, 0), (5, 6, 10), (-1, 0, 10)])
def test_impossible_counts_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(DataError, match="expected counts"):
        tango(*counts)


def test_not_worse_by_the_margin_is_the_interval_read_from_below() -> None:
    # one-sided p < 0.025 where the lower end of the two-sided 95 % interval is above −margin, and only there
    low = tango(20, 15, 500).low
    assert tango_p_not_worse(20, 15, 500, -low + 0.001) < 0.025 < tango_p_not_worse(20, 15, 500, -low - 0.001)


def test_the_interval_of_a_mean_is_about_wilsons_for_right_and_wrong_and_tangos_for_pairs() -> None:
    # half of the statistic is the same, and the likelihood root differs little where neither end is near
    right = np.repeat([1.0, 0.0], [180, 20])
    measured, expected = mean_of(right, None, (0.0, 1.0)), wilson(180, 200)
    assert (measured.low, measured.high) == pytest.approx((expected.low, expected.high), abs=2e-3)
    change = np.repeat([1.0, -1.0, 0.0], [24, 15, 261])
    interval, expected = mean_of(change), tango(24, 15, 300)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-3)


def test_where_all_scores_agree_a_rare_failure_is_allowed_for() -> None:
    # of 100 ones, at the low end m = 0.9741 the score √(100 (1 − m) / m) = 1.630 and the likelihood root
    # √(−200 ln m) = 2.290 are 1.96 in the mean
    measured = mean_of(np.ones(100), None, (0.0, 1.0))
    assert (measured.value, measured.high) == (1.0, 1.0)
    assert measured.low == pytest.approx(0.9741, abs=1e-4)


def test_with_one_group_only_the_ends_are_known() -> None:
    assert (mean_of(np.array([0.5])).low, mean_of(np.array([0.5])).high) == (-1, 1)
    assert (mean_of(np.array([0.5, 0.6]), ["a", "a"], (0.0, 1.0)).low) == 0.0


def test_sign_flip_by_hand() -> None:
    # all five differences are positive: 1 of 2⁵ sign patterns is as extreme, 2 of 32 two-sided
    two_sided, greater = sign_flip(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), seed=0)
    assert (two_sided, greater) == pytest.approx((2 / 32, 1 / 32), abs=0.01)


def test_signs_of_one_chunk_are_in_memory_at_a_time() -> None:
    # 1,000 signs of 2,000 groups are 16 MB as floats, and twice that while they are made of bits; all 9,999 are 160 MB
    differences = np.random.default_rng(0).uniform(-1, 1, 2000)
    tracemalloc.start()
    sign_flip(differences, seed=0)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 3 * 16e6


def test_sign_flip_of_equal_scores_finds_nothing() -> None:
    assert sign_flip(np.array([0.3, -0.3, 0.1, -0.1]), seed=0)[0] == 1.0


def test_holm_by_hand() -> None:
    # sorted 0.01 · 3, 0.03 · 2, then 0.04 · 1 which may be no smaller than the one before
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([]) == []
    assert holm([0.5, 0.9]) == [1.0, 1.0]


def test_power_by_enumeration() -> None:
    # All five examples change sides and all are fixed: 5 to 0 has p = 2 / 2⁵ = 0.0625
    assert mcnemar_power(5, 1.0, 1.0, 0.07) == pytest.approx(1.0)
    assert mcnemar_power(5, 1.0, 1.0, 0.05) == pytest.approx(0.0)
    # each of six is fixed with 0.9: only 6 to 0 is below 0.05 (p = 0.03125), which happens with 0.9⁶
    assert mcnemar_power(6, 1.0, 0.8, 0.05) == pytest.approx(0.9**6)


def test_power_is_what_simulation_finds() -> None:
    from components.evaluation.metrics import mcnemar_exact

    draws = np.random.default_rng(2).multinomial(1000, [0.06, 0.04, 0.9], size=4000)
    simulated = np.mean(
        [fixed > broken and mcnemar_exact(int(fixed), int(broken)) < 0.05 for fixed, broken, _ in draws]
    )
    assert mcnemar_power(1000, 0.1, 0.02, 0.05) == pytest.approx(simulated, abs=0.025)


def test_the_examples_asked_for_have_the_power_and_little_more() -> None:
    n = mcnemar_examples(0.1, 0.02, 0.05, 0.8)
    assert mcnemar_power(n, 0.1, 0.02, 0.05) >= 0.8 > mcnemar_power(round(0.97 * n), 0.1, 0.02, 0.05)
    # Connor 1987: (1.96 · sqrt(0.1) + 0.8416 · sqrt(0.1 − 0.0004))² / 0.0004 = 1,960; an exact test takes some more
    assert 1960 <= n <= 1.05 * 1960


def test_the_normal_sample_size_by_hand() -> None:
    # (1.95996 + 0.84162)² · 0.3² / 0.05² = 282.6
    assert mean_examples(0.3, 0.05, 0.05, 0.8) == 283


def test_all_looks_together_promote_at_most_alpha_of_equal_challengers() -> None:
    params = GateParams(alpha=0.05, looks=10)
    spent = sum(alpha_of_look(params, look) / 2 for look in range(1, 100))  # half of two-sided: only better ones win
    assert spent == pytest.approx(0.05)
    assert (alpha_of_look(params, 1), alpha_of_look(params, 11)) == (0.05, 0.0)
    assert [alpha_of_look(GateParams(looks=1), look) for look in (1, 2)] == [0.05, 0.0]


def test_holms_level_grows_with_each_comparison_that_was_won() -> None:
    asked: list[float] = []
    p_values = {"a": 0.001, "b": 0.02, "c": 0.03}  # below 0.05 / 3, then 0.05 / 2, then 0.05

    def walk(alpha: float) -> list[Verdict]:
        asked.append(alpha)
        return [
            Verdict(champion="old", challenger=name, decision="promoted" if p < alpha else "kept", reasons=())
            for name, p in p_values.items()
        ]

    assert [verdict.decision for verdict in holm_climb(0.05, 3, walk)] == ["promoted"] * 3
    assert asked == pytest.approx([0.05 / 3, 0.05 / 2, 0.05, 0.05])


def examples(numbers: range) -> list[Example]:
    return [Example(id=f"{n}", input={"text": f"t{n}"}, demonstration="", reference="{}", group="g") for n in numbers]


@pytest.mark.parametrize(
    ("today", "part"), [((0, 1000), 1.0), ((500, 1500), 0.5), ((0, 2000), 0.5), ((1000, 1100), 0.0)]
)
def test_how_much_of_a_split_was_seen_before_is_estimated_from_sketches(today: tuple[int, int], part: float) -> None:
    earlier = sketch(examples(range(1000)))
    assert len(earlier) == 3 * SKETCH  # contents, ids and the one input
    assert shared(sketch(examples(range(*today))), earlier) == pytest.approx(part, abs=0.12)


def test_a_small_split_is_known_exactly() -> None:
    assert shared(sketch(examples(range(40))), sketch(examples(range(30, 90)))) == 10 / 40


def test_a_split_is_recognised_by_what_stayed_of_it() -> None:
    before = sketch(examples(range(300)))
    reordered = examples(range(300))[::-1]
    written = [example.model_copy(update={"reference": '{"a": 1}'}) for example in reordered]
    wider = [
        example.model_copy(update={"input": {**example.input, "more": f"m{example.id}", "kind": "k"}})
        for example in written
    ]
    renamed = [example.model_copy(update={"id": f"x{example.id}"}) for example in wider]
    for today in (written, wider, renamed):
        assert shared(sketch(today), before) == 1.0
    # labels that every split has tell nothing
    other = [
        example.model_copy(update={"input": {**example.input, "kind": "k"}}) for example in examples(range(500, 800))
    ]
    assert shared(sketch(other), sketch(wider)) == 0.0


def test_a_sketch_of_an_earlier_version_is_still_understood() -> None:
    today = sketch(examples(range(100)))
    assert shared(today, [mark for mark in today if len(mark) == 8]) == 1.0
