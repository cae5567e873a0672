"""Numbers derived by hand, and what holds for all inputs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import DataError
from components.evaluation import metrics
from components.records import Example, Score


def score(passed: bool, **parts: float) -> Score:
    return Score(value=float(passed), passed=passed, parts=parts)


def example(name: str, **slices: str) -> Example:
    return Example(id=name, input={}, demonstration="", reference="", group=name, slices=slices)


# With z = 1.96: centre (0.8 + 0.19207) / 1.38415 = 0.71674, half 1.96 / 1.38415 · sqrt(0.016 + 0.0096) = 0.22657;
# at 0 of 10 the upper bound is z² / (n + z²) = 3.8415 / 13.8415.
@pytest.mark.parametrize(
    ("successes", "n", "low", "high"), [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)]
)
def test_wilson_by_hand(successes: int, n: int, low: float, high: float) -> None:
    interval = metrics.wilson(successes, n)
    assert (interval.value, interval.low, interval.high) == pytest.approx((successes / n, low, high), abs=5e-5)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_proportion_within_0_and_1_and_mirrors(counts: tuple[int, int]) -> None:
    successes, n = counts
    interval, mirrored = metrics.wilson(successes, n), metrics.wilson(n - successes, n)
    assert 0 <= interval.low <= interval.value <= interval.high <= 1
    assert interval.low == pytest.approx(1 - mirrored.high, abs=1e-12)


def test_wilson_covers_the_truth_in_about_95_of_100_samples() -> None:
    draws = np.random.default_rng(1).binomial(200, 0.9, size=4000)
    intervals = {int(k): metrics.wilson(int(k), 200) for k in np.unique(draws)}
    covered = np.mean([intervals[int(k)].low <= 0.9 <= intervals[int(k)].high for k in draws])
    assert 0.93 < covered < 0.97


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="at least one example"):
        metrics.accuracy([])


def test_accuracy_counts_what_passed_not_what_was_nearly_right() -> None:
    assert metrics.accuracy([Score(value=0.9, passed=False), score(True)]).value == 0.5


def test_fields_are_means_of_parts_and_unknown_ones_are_left_out() -> None:
    scores = [score(True, intent=1.0, json_schema=1.0), score(False, intent=0.0, json_schema=1.0)]
    assert metrics.field_accuracy(scores, ["intent", "amount"]) == {"intent": 0.5}


def test_slices_are_shares_of_their_own_examples() -> None:
    examples = [example("1", channel="mail"), example("2", channel="mail"), example("3", channel="chat"), example("4")]
    scores = {"1": score(True), "2": score(False), "3": score(True), "4": score(False)}
    expected = {"channel": {"chat": 1.0, "mail": 0.5}, "none": {}}
    assert metrics.slice_accuracy(examples, scores, ["channel", "none"]) == expected


# 9 against 1: 2 · (C(10,0) + C(10,1)) / 2¹⁰ = 22 / 1024; 5 against 0: 2 / 2⁵
@pytest.mark.parametrize(
    ("fixed", "broken", "p_value"), [(9, 1, 22 / 1024), (1, 9, 22 / 1024), (5, 0, 1 / 16), (3, 3, 1.0), (0, 0, 1.0)]
)
def test_mcnemar_by_hand(fixed: int, broken: int, p_value: float) -> None:
    assert metrics.mcnemar_exact(fixed, broken) == pytest.approx(p_value)


def test_latency_percentiles_interpolate() -> None:
    percentiles = metrics.latency_percentiles([50, 10, 30, 20, 40])
    assert (percentiles.p50, percentiles.p95) == pytest.approx((30, 48))


def test_groups_of_equal_rewards_have_no_variance() -> None:
    rewards_P_G = np.array([[1.0, 1.0], [0.0, 1.0], [0.5, 0.5], [0.0, 0.0]])
    assert metrics.zero_variance_share(rewards_P_G) == 0.75
