"""When a canary is promoted, when withdrawn, and for what it waits."""

import math
from dataclasses import replace

import numpy as np
import pytest

from components.params import ReleaseParams
from monitoring import canary as canaries
from monitoring.canary import Judged, Side
from monitoring.sequence import Share, boundary, difference, share_of, variance_of

PARAMS = ReleaseParams(canary_answers=200, canary_customers=30, canary_labelled=100, margin=0.05, alpha=0.05)


def answers(n: int, good: int, repeats: int = 1) -> list[tuple[str, bool]]:
    """Answers to customers with several requests each, the good ones first."""
    return [(f"customer {at // repeats}", at < good) for at in range(n)]


def side(n: int, valid: int, right: int | None = None, drawn: int | None = None) -> Side:
    labelled = [] if right is None else answers(n, right)
    return Side(answers(n, valid), labelled, len(labelled) if drawn is None else drawn)


def judge(champion: Side, canary: Side, params: ReleaseParams, share: float = 0.0) -> Judged:
    return canaries.judge(champion, canary, params, share, 0.9)


def test_an_equal_canary_is_promoted_and_a_better_one_too() -> None:
    assert judge(side(4000, 3960, 3800), side(1000, 990, 950), PARAMS).decision == "promoted"
    assert judge(side(4000, 3960, 3200), side(1000, 999, 950), PARAMS).decision == "promoted"


def test_a_canary_that_is_wrong_more_often_is_withdrawn() -> None:
    result = judge(side(900, 899, 850), side(200, 200, 150), PARAMS)
    assert result.decision == "withdrawn"
    assert "75.0% of 200 answers of the canary are right, 94.4% of 900 of the champion: worse" in result.reasons[1]


def test_a_canary_that_only_fails_is_withdrawn_without_any_label() -> None:
    assert judge(side(900, 899), side(200, 0), PARAMS).decision == "withdrawn"


def test_a_canary_without_labels_waits_for_them_unless_validity_suffices() -> None:
    champion, canary = side(4000, 3999, drawn=400), side(1000, 1000, drawn=100)
    result = judge(champion, canary, PARAMS)
    assert (
        result.decision == "waiting"
        and "100 answers of the canary that were drawn for labelling 0 have a label" in (result.reasons[1])
    )
    assert judge(champion, canary, PARAMS.model_copy(update={"judged_by": "valid"})).decision == "promoted"


def test_labels_of_a_part_say_nothing_because_the_rest_may_be_what_was_wrong() -> None:
    whole, part = side(1000, 990, 950), side(1000, 990, 950, drawn=1200)
    assert judge(side(4000, 3960, 3800), whole, PARAMS).decision == "promoted"
    assert judge(side(4000, 3960, 3800), part, PARAMS).decision == "waiting"


def test_what_a_judge_has_not_read_yet_is_read_and_not_labelled() -> None:
    part = replace(side(1000, 990, 950, drawn=1200), read=True)
    result = judge(replace(side(4000, 3960, 3800), read=True), part, PARAMS)
    assert result.reasons[1].endswith("1,000 have a verdict: waiting for 90% of them (gradus score).")


def test_few_answers_and_few_customers_are_waited_for() -> None:
    few = Side(answers(199, 199), answers(199, 199), 199)
    assert judge(side(4000, 3999, 3999), few, PARAMS).decision == "waiting"
    few_customers = Side(answers(1000, 1000, 40), answers(1000, 1000, 40), 1000)  # 25 of them
    result = judge(side(4000, 3999, 3999), few_customers, PARAMS)
    assert result.decision == "waiting" and "waiting for 200 of each to 30 customers" in result.reasons[0]


def test_silence_is_evidence_if_requests_were_to_be_expected() -> None:
    assert judge(side(900, 899, 899), Side(), PARAMS, share=0.2).decision == "withdrawn"
    assert judge(side(20, 20, 20), Side(), PARAMS, share=0.2).decision == "waiting"  # 0.8 ** 20 is one in 87
    assert judge(Side(), Side(), PARAMS, share=0.2).decision == "waiting"
    strangers = Side([("", True)] * 900)  # each of them a customer, as where requests are drawn
    assert judge(strangers, Side(), PARAMS, share=0.2).decision == "withdrawn"


def test_the_variance_counts_customers_and_not_their_answers() -> None:
    alone, together = (share_of([good for _, good in some], [who for who, _ in some]) for some in (
        answers(800, 400), answers(800, 400, 8)
    ))  # fmt: skip
    assert (alone.customers, together.customers) == (800, 100)
    assert together.variance / alone.variance == pytest.approx(8, rel=0.03)
    unnamed = share_of([True, False], ["", ""])
    assert unnamed.customers == 2


def test_where_all_answers_are_good_the_variance_is_not_nothing() -> None:
    # Two customers more, one right and one wrong throughout: apart from the mean 11/12 by 1/12 (11 times) and 11/12.
    squares = 11 * (1 / 12) ** 2 + (11 / 12) ** 2
    assert variance_of(np.ones(10), np.ones(10)) == pytest.approx(squares * 12 / 11 / 100)
    assert math.isinf(variance_of(np.zeros(0), np.zeros(0)))


def test_the_boundary_is_that_of_the_normal_mixture() -> None:
    # Howard et al. 2021, equation 14, with v/rho = 1: sqrt(2 * 2 * log(sqrt(2) / 0.1 + 1)).
    wanted = 2 * math.log(10) + math.log(1 + 2 * math.log(10))
    assert boundary(8 / wanted, 0.05) == pytest.approx(math.sqrt(4 * math.log(math.sqrt(2) / 0.1 + 1)))
    assert boundary(8, 0.05) < boundary(80, 0.05) < boundary(8000, 0.05)  # it grows, as looks go on


def test_a_lucky_share_near_one_has_the_variance_of_one_that_is_worse_by_the_margin() -> None:
    lucky, usual = Share(100, 100, 100, 0.0001), Share(950, 1000, 1000, 0.00005)
    result = difference(lucky, usual, 0.05, (0.05, 0.05))
    assert result.value - result.low > result.high - result.value
