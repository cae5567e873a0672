"""Limits under chance for clustered rows, and in the tail beyond the resamples."""

import numpy as np
import pandas as pd
import pytest

from monitoring.calibration import _mean_effect, beyond, effect, limits
from monitoring.columns import Groups, Table


def test_rows_that_say_the_same_are_worth_one() -> None:
    customers = np.arange(400) // 4
    same = pd.Series(np.random.default_rng(0).normal(size=100)[customers])
    # Sums of four equal rows: 16 times the square for each, over 4 of it by rows; 100 groups of 99, and 8.5 for few.
    assert effect(same, customers) == pytest.approx(4 * 108.5 / 99)
    assert effect(same, None) == effect(same, np.zeros(400, int)) == 1.0
    labels = pd.Series(np.where(same > 0, "a", "b"))
    assert effect(labels, customers) == pytest.approx(4 * 108.5 / 99)


def test_a_level_that_moves_once_is_no_reason_to_look_less_closely() -> None:
    noise = np.random.default_rng(0).normal(0, 0.3, 1000)
    moved, blocks = pd.Series(np.r_[np.zeros(500), np.ones(500)] + noise), np.arange(1000) // 20
    assert effect(moved, blocks) > 10  # by groups
    assert effect(moved, blocks, in_time=True) < 6


def test_limits_are_wider_where_customers_repeat_themselves() -> None:
    rng = np.random.default_rng(0)
    before, customers = pd.DataFrame({"a": rng.normal(size=400)}), np.arange(400) // 4
    now = pd.DataFrame({"a": rng.normal(size=100)[customers]})
    alone, together = (
        limits(Table(before, now, ("a",), (), (Groups(), groups)), 0.05, 400, 0)["a"]
        for groups in (Groups(), Groups(customers))
    )
    assert together / alone == pytest.approx((5.38 / 2) ** 0.5, rel=0.02)  # 1 + 4 · 108.5/99 to 1 + 1


def test_limits_are_as_skewed_as_the_few_customers_that_there_are() -> None:
    rng = np.random.default_rng(0)
    before, customers = pd.DataFrame({"a": np.exp(rng.normal(0, 1.5, 400))}), np.arange(240) // 8
    now = pd.DataFrame({"a": np.exp(rng.normal(0, 1.5, 30))[customers]})
    limit = limits(Table(before, now, ("a",), (), (Groups(), Groups(customers))), 0.02, 2000, 0)["a"]
    few = limits(Table(before, now.iloc[::11], ("a",), ()), 0.02, 2000, 0)["a"]  # 240 rows are worth 22
    assert limit == pytest.approx(few, rel=0.1)


def test_an_effect_by_time_that_columns_disagree_about_is_widened() -> None:
    assert _mean_effect(np.array([2.0, 2.0, 2.0])) == pytest.approx(2.0, rel=1e-3)
    # Mean 3, standard error 1: (1/3)² leaves 2 · 9 = 18 degrees of freedom, of which Student's quantile beyond 4 normal
    # standard errors is 4 + 68/72 + 6156/(96 · 18²) + … = 5.178.
    apart = np.array([3 - 3**0.5, 3, 3 + 3**0.5])
    assert _mean_effect(apart) == pytest.approx(3 * (5.178 / 4) ** 2, rel=1e-3)
    assert _mean_effect(np.array([0.2, 0.4])) >= 1.0


def test_a_column_with_large_chance_distances_does_not_widen_the_limits_of_others() -> None:
    rng = np.random.default_rng(0)
    both = pd.DataFrame({"a": rng.normal(size=300), "b": np.exp(rng.normal(0, 3, 300))})
    alone = limits(Table(both.filter(["a"]), both.filter(["a"]), ("a",), ()), 0.02, 400, 0)
    together = limits(Table(both, both, ("a", "b"), ()), 0.04, 400, 0)  # each takes half of the level
    assert together["a"] == alone["a"]


def test_a_column_that_chance_never_moves_has_a_limit_all_the_same() -> None:
    before, now = pd.DataFrame({"a": np.ones(300)}), pd.DataFrame({"a": np.arange(300.0)})
    assert limits(Table(before, now, ("a",), ()), 0.02, 200, 0)["a"] > 0


def test_the_tail_of_shares_is_chi_squareds() -> None:
    labels = np.repeat(["x", "y", "z"], 5000)
    side = pd.DataFrame({"a": labels})
    limit = limits(Table(side, side, (), ("a",)), 1e-5, 4000, 0)["a"]
    # Of two degrees of freedom 23.03 is exceeded by 1e-5; 8 n of the squared distance is chi-squared, 1/n = 2/15000.
    exact = (23.03 * (1 / 15000 + 1 / 15000) / 8) ** 0.5
    assert exact < limit < 1.15 * exact


def test_a_tail_beyond_the_resamples_is_extrapolated_from_the_largest() -> None:
    drawn = np.random.default_rng(0).exponential(size=2000)
    assert beyond(drawn, 0.05) == np.quantile(drawn, 0.95, method="higher")
    assert beyond(drawn, 1e-5) == pytest.approx(np.log(1e5), rel=0.2)  # of an exponential distribution
    assert beyond(drawn, 1e-4) < beyond(drawn, 1e-5)
