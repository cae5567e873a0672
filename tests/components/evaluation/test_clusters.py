"""Groups of examples: the design effect, exact flips of groups, and the statistic for bounded means, by hand."""

import math

import numpy as np
import pytest

from components.evaluation.agreement import kappa_interval
from components.evaluation.bounded import bounded_root, bounded_z
from components.evaluation.clusters import Design, design, flip_p, freedom, grouped
from components.evaluation.metrics import effective, mcnemar_exact, share_of, wilson
from components.evaluation.paired import mean_of, mean_p, tango
from components.records import Interval


def test_copies_in_groups_of_four_count_as_one() -> None:
    # 50 groups, 40 right: Σ u² = 40 · (4 − 3.2)² + 10 · 3.2² = 128, over 1 − 4/200; independent: 32 · 200/199;
    # half a group of each extreme adds ½ · (0.8² + 0.2²) · 4² = 5.44 above and 1.36 below
    values, groups = np.repeat(np.repeat([1.0, 0.0], [40, 10]), 4), np.repeat(np.arange(50), 4)
    measured = design(values, groups, (0.0, 1.0))
    assert measured.effect == pytest.approx((128 / 0.98 + 5.44) / (32 * 200 / 199 + 1.36))
    assert measured.freedom == 49
    assert effective(values == 1.0, [f"{group}" for group in groups]) == pytest.approx(200 / measured.effect)


def test_examples_that_are_groups_of_their_own_are_independent() -> None:
    assert share_of([True] * 30 + [False] * 10, [f"{at}" for at in range(40)]) == wilson(30, 40)
    assert effective([True, False], ["a", "b"]) is None


def test_where_all_answers_agree_groups_count_as_one_each() -> None:
    assert design(np.ones(40), np.repeat(np.arange(10), 4), (0.0, 1.0)).effect == 4.0


def test_unequal_groups_leave_fewer_degrees_of_freedom() -> None:
    # weights are squared sizes: (9 + 4 · 4)² / (81 + 4 · 16) − 1
    assert freedom(np.array([3.0, 2, 2, 2, 2])) == pytest.approx(625 / 145 - 1)
    assert freedom(np.full(12, 5.0)) == pytest.approx(11)


def test_flips_of_groups_by_enumeration() -> None:
    # ±3 ± 2 ± 1 with total 3 + 2 − 1 = 4: of eight patterns 6 and 4 are as large, two-sided 4 of 8
    assert flip_p(np.array([3, 2, -1])) == pytest.approx((0.5, 0.25))
    assert flip_p(np.array([0, 0])) == (1.0, 1.0)


def test_flips_of_groups_of_one_are_mcnemars_test() -> None:
    change = np.repeat([1, -1, 0], [24, 15, 261])
    assert flip_p(change)[0] == pytest.approx(mcnemar_exact(24, 15), rel=1e-9)


def test_the_statistic_of_a_bounded_mean_is_wilsons_for_shares() -> None:
    # (0.9 − 0.8) / √(0.8 · 0.2 / 100), with 99 for 100 in the variance
    statistic = bounded_z(grouped(np.repeat([1.0, 0.0], [90, 10]), None), (0.0, 1.0), 0.8)
    assert statistic == pytest.approx(0.1 / math.sqrt(0.16 / 100) * math.sqrt(99 / 100), rel=1e-6)


def test_few_groups_widen_tests_by_students_t_and_intervals_by_the_effect_alone() -> None:
    # t(0.975, 9) = 2.2622, and 1.95996 is the normal quantile; both in errors of independent examples, √4 as large
    few = Design(4.0, 9.0)
    assert few.tail(2 * 2.2622) == pytest.approx(0.025, abs=1e-5)
    assert few.critical() == pytest.approx(2 * 1.95996, abs=1e-4)


def test_the_interval_of_a_bounded_mean_weighs_the_score_with_the_likelihood_root() -> None:
    # three of 200 fail, 0.5 % do under the hypothesis: score (3 − 1) / √(200 · 0.005 · 0.995) = 2.00502, root
    # √(2 (3 ln 3 + 197 ln (197 / 199))) = 1.61612; Wilson's interval misses that truth, and theirs holds it
    values = np.repeat([0.9, 0.0], [197, 3])
    root = bounded_root(grouped(values, None), (0.0, 1.0), 0.9 * 0.995)
    assert root == pytest.approx(-(2.00502 + 1.61612) / 2, abs=1e-4)
    assert wilson(3, 200).low > 0.005 and mean_of(values, None, (0.0, 1.0)).high > 0.9 * 0.995


def test_the_likelihood_root_where_all_values_agree_is_that_of_what_was_not_seen() -> None:
    # all of 20 are 1, where the mean is 0.8: score √(20 · 0.2 / 0.8) = 2.23607, root √(−2 · 20 · ln 0.8) = 2.98763
    assert bounded_root(grouped(np.ones(20), None), (0.0, 1.0), 0.8) == pytest.approx((2.23607 + 2.98763) / 2, abs=1e-4)


def test_losses_too_rare_to_be_seen_do_not_make_a_gain() -> None:
    # 200 gains of 0.009 and no loss: of losses of 1 with a share of 0.009 none is seen with a chance of 16 %
    assert mean_p(np.full(200, 0.009), None, seed=0)[0] > 0.05
    assert mean_p(np.full(200, 0.05), None, seed=0)[0] < 0.01  # the share would be 0.05: 0.95²⁰⁰ = 0.00004


def test_a_few_large_gains_do_not_make_a_gain_either() -> None:
    change = np.full(200, -0.009)
    change[:4] = 0.9
    assert mean_p(change, None, seed=0)[0] > 0.05


def test_tangos_interval_is_that_of_as_many_pairs_as_groups_are_worth() -> None:
    groups = np.repeat(np.arange(75), 4)
    change = np.repeat(np.repeat([1.0, -1.0, 0.0], [6, 4, 65]), 4)
    grouped_by_four = design(change, groups, (-1.0, 1.0))
    e, measured = grouped_by_four.effect, tango(24, 16, 300, design=grouped_by_four)
    fewer = tango(24 / e, 16 / e, 300 / e)  # as many as they are worth
    assert (measured.low, measured.high) == pytest.approx((fewer.low, fewer.high), abs=1e-6)


def test_kappa_has_an_interval_that_few_clusters_widen() -> None:
    right = [True] * 20 + [False] * 20
    judged = [True] * 18 + [False] * 18 + [True] * 4  # two of the right refused, four of the wrong let pass
    # D = 6 / 40, E = 1 − (20 · 22 + 20 · 18) / 1600 = 0.5
    many = kappa_interval([f"{at}" for at in range(40)], right, judged)
    few = kappa_interval([f"{at // 4}" for at in range(40)], right, judged)
    assert many.value == pytest.approx(1 - 0.15 / 0.5)
    assert few.low < many.low < many.value < many.high < few.high
    assert kappa_interval(["a"] * 40, right, judged) == Interval(value=many.value, low=-1.0, high=1.0)
