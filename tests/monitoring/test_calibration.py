"""Limits under chance for clustered rows, and in the tail beyond the resamples."""

import numpy as np
import pandas as pd
import pytest

from monitoring.calibration import beyond, effect, limits
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


def test_a_tail_beyond_the_resamples_is_extrapolated_from_the_largest() -> None:
    drawn = np.random.default_rng(0).exponential(size=2000)
    assert beyond(drawn, 0.05) == np.quantile(drawn, 0.95, method="higher")
    assert beyond(drawn, 1e-5) == pytest.approx(np.log(1e5), rel=0.2)  # of an exponential distribution
    assert beyond(drawn, 1e-4) < beyond(drawn, 1e-5)
