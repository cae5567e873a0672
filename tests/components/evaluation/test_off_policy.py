"""Off-policy evaluation: right values by hand, intervals that hold the truth, and logs that are inconclusive."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from components.errors import DataError
from components.evaluation.off_policy import Limits, OffPolicy, effective_size, off_policy

KINDS, ANSWERS = 20, 6
Table = NDArray[np.float64]


def chances(logits: Table) -> Table:
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_the_same_policy_scores_what_was_logged() -> None:
    estimate = off_policy([1.0, 0.0, 1.0, 1.0], [0.0] * 4)
    assert estimate.value.value == pytest.approx(0.75)
    assert (estimate.effective, estimate.clipped) == (pytest.approx(4.0), pytest.approx(0.0))


def test_answers_count_as_much_as_the_other_policy_is_likelier_to_give_them() -> None:
    # Weights 3 and 1: (3 * 1 + 1 * 0) / 4, and (3 + 1)^2 / (9 + 1) answers that count.
    estimate = off_policy([1.0, 0.0], [math.log(3), 0.0])
    assert estimate.value.value == pytest.approx(0.75)
    assert estimate.effective == pytest.approx(1.6)


def test_a_common_factor_changes_nothing() -> None:
    scores, ratios = [1.0, 0.0, 0.5], np.array([0.3, -0.2, 0.1])
    ends = [off_policy(scores, list(ratios + by), Limits(clip=1e300)).value for by in (-600.0, 0.0, 600.0)]
    assert ends[0].value == pytest.approx(ends[1].value)
    assert ends[1].value == pytest.approx(ends[2].value)


def test_clipping_is_reported_as_the_share_of_weight_that_it_takes() -> None:
    # Weights 8 and 1 and 1 are clipped at 4: 4 of 10 are taken off.
    estimate = off_policy([1.0, 0.0, 0.0], [math.log(8), 0.0, 0.0], Limits(clip=4))
    assert estimate.value.value == pytest.approx(4 / 6)
    assert estimate.clipped == pytest.approx(0.4)


@pytest.mark.parametrize("largest", [100.0, 376.0, 760.0, 5000.0])
def test_an_answer_of_any_likelihood_leaves_the_others_their_weight(largest: float) -> None:
    # The last weight, of an answer that scored 0, is clipped at 50; 99 of 1/20 are left, 50 of them scored 1.
    estimate = off_policy([1.0, 0.0] * 50, [math.log(1 / 20)] * 99 + [largest])
    assert estimate.value.value == pytest.approx(2.5 / 54.95)
    assert estimate.effective == pytest.approx(54.95**2 / (2500 + 99 / 400))
    assert estimate.clipped == pytest.approx(1.0)
    assert "it answers differently from what was logged" in estimate.silent


@pytest.mark.parametrize(("weights", "size"), [([1, 1, 1], 3.0), ([1, 0, 0], 1.0), ([2, 1], 1.8), ([0, 0], 0.0)])
def test_the_effective_size_is_kishs(weights: list[float], size: float) -> None:
    assert effective_size(weights) == pytest.approx(size)


@pytest.mark.parametrize("n", [200, 1000])
def test_intervals_hold_the_truth_in_93_to_97_percent_of_simulated_logs(n: int) -> None:
    """Six policies in contexts of twenty kinds, 200 logs of each; the logged and the other one differ clearly."""
    rng, held, logs = np.random.default_rng([7, n]), 0, 0
    for _ in range(6):
        logged = rng.normal(size=(KINDS, ANSWERS))
        other = chances(logged + 0.8 * rng.normal(size=(KINDS, ANSWERS)))
        logged, right = chances(logged), rng.beta(1.5, 1.5, size=(KINDS, ANSWERS))
        truth = float((other * right).sum(axis=1).mean())
        for _ in range(200):
            estimate = _simulated(rng, n, logged, other, right)
            assert not estimate.silent
            logs += 1
            held += estimate.value.low <= truth <= estimate.value.high
    assert 0.93 <= held / logs <= 0.97, held / logs


def test_failures_too_rare_to_be_logged_leave_an_interval_that_holds_them() -> None:
    """400 logs of 200 answers, of which two in a hundred fail, so that some logs have no failure at all."""
    rng, held = np.random.default_rng(11), 0
    other = chances(0.8 * rng.normal(size=(KINDS, ANSWERS)))
    logged, right = np.full((KINDS, ANSWERS), 1 / ANSWERS), np.full((KINDS, ANSWERS), 0.98)
    for _ in range(400):
        estimate = _simulated(rng, 200, logged, other, right)
        held += estimate.value.low <= 0.98 <= estimate.value.high
    assert 0.91 <= held / 400 <= 0.97, held / 400  # 0.93 within two standard errors; without what is counted in, 0.83
    none_failed = off_policy([1.0] * 200, [0.0] * 200).value
    # 201 right and one wrong: residuals 1/201 and −1, over 202; Student's quantile with 199 is 1.97196
    assert none_failed.low == pytest.approx(1 - 1.97196 * math.sqrt(201 / 201**2 + 1) / 202)


def _simulated(rng: np.random.Generator, n: int, logged: Table, other: Table, right: Table) -> OffPolicy:
    kinds = rng.integers(KINDS, size=n)
    drawn = (logged[kinds].cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    scores = (rng.random(n) < right[kinds, drawn]).astype(float)
    return off_policy(scores.tolist(), np.log(other[kinds, drawn] / logged[kinds, drawn]).tolist())


def test_logs_of_a_very_different_policy_are_inconclusive() -> None:
    rng = np.random.default_rng(1)
    estimate = off_policy(rng.integers(2, size=1000).tolist(), (rng.normal(size=1000) * 4).tolist(), Limits(clip=1e9))
    assert estimate.effective < 30
    assert "1,000 logged answers say as much as" in estimate.silent
    assert "it answers differently from what was logged" in estimate.silent


def test_logs_whose_weight_had_to_be_clipped_are_inconclusive() -> None:
    ratios = [math.log(200.0)] * 40 + [0.0] * 960
    estimate = off_policy([1.0] * 40 + [0.0] * 960, ratios, Limits(least_effective=0.01))
    assert "of the weight had to be clipped, where 5% are allowed" in estimate.silent


def test_invalid_logs_are_refused() -> None:
    with pytest.raises(DataError, match="at least two scores, each with a ratio, found 1 and 1"):
        off_policy([1.0], [0.0])
    with pytest.raises(DataError, match="finite scores and probabilities"):
        off_policy([1.0, 0.0], [0.0, math.inf])
