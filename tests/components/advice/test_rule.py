"""The rule on evidence with an obvious answer, and what it never does."""

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.advice import (
    AtHand,
    Evidence,
    Headroom,
    Learning,
    Movement,
    Paying,
    Scoring,
    Shown,
    Standing,
    Takes,
    Writing,
    advise,
    choose,
)
from components.advice.gates import scorable, writable
from components.advice.record import Asked
from components.advice.words import table
from components.economics import Case
from components.params import AdviceParams
from components.records import Interval, Need

PARAMS = AdviceParams()


def near(value: float, spread: float = 0.02) -> Interval:
    return Interval(value=value, low=value - spread, high=value + spread)


def stands(accuracy: float, method: Literal["prompt", "sft", "grpo"] = "prompt") -> Standing:
    learnt: dict[str, tuple[Need, ...]] = {"sft": ("demonstrations",), "grpo": ("reward",)}
    makes = "prompt" if method == "prompt" else "model"
    return Standing(name=method, makes=makes, learnt_from=learnt.get(method, ()), accuracy=near(accuracy), n=500)


def scores(false_positives: float = 0.01, false_negatives: float = 0.01, reads: bool = True) -> Scoring:
    return Scoring(
        false_positives=near(false_positives, 0.01), false_negatives=near(false_negatives, 0.01), n=400,
        source="by hand", reads_reference=reads,
    )  # fmt: skip


def learns(full: float, doubling: float = 0.0) -> Learning:
    points = ((500, near(full - 0.1)), (1000, near(full - 0.05)), (2000, near(full - 0.02)))
    return Learning(points=points, full=near(full), doubled=near(full + doubling), doubling=near(doubling, 0.01))


def room(gap: float) -> Headroom:
    return Headroom(k=8, n=200, pass_1=near(0.8), pass_k=near(0.8 + gap), gap=near(gap, 0.01), zero_variance=near(0.5))


def pays(years: float | None) -> Paying:
    return Paying(
        years=years, low=years, high=years, likely=float(years is not None), investment_usd=100.0,
        saved_usd_per_year=100.0 / years if years else -1.0, horizon_years=2.0,
    )  # fmt: skip


def costs_more(usd_per_error: float = 0.5, **changes: float) -> Paying:
    """A million calls a year, of which each costs 100 µ$ more than the incumbent's; 50,000 dollars once."""
    given = {"incumbent_usd": 1e-4, "owned_usd": 2e-4, "calls_per_year": 1e6, "investment_usd": 50_000.0, **changes}
    case = Case(**given, usd_per_error=usd_per_error)
    return Paying(
        years=None, low=None, high=None, likely=0.0, investment_usd=given["investment_usd"],
        saved_usd_per_year=1e6 * (given["incumbent_usd"] - given["owned_usd"]), horizon_years=2.0, case=vars(case),
    )  # fmt: skip


def known(**changes: Any) -> Evidence:
    """Prompts at 70 %, 8,000 demonstrations with agreement, SFT that reaches 90 %, an accurate scorer."""
    result: dict[str, Any] = {
        "standing": stands(0.7), "writing": Writing(examples=8000, agreement=near(0.95), pairs=200),
        "scoring": scores(), "headroom": room(0.1), "learning": learns(0.9),
        "prompts": {"a": near(0.69), "b": near(0.7)}, "prompt_examples": 500,
        "paying": {"imitate": pays(0.5), "reward": pays(0.5)},
    }  # fmt: skip
    return Evidence(**{**result, **changes})


def advised(**changes: Any) -> str:
    return choose(known(**changes), PARAMS).rung


DISPUTED = Writing(examples=8000, agreement=near(0.5), pairs=200, by_field={"priority": 0.4, "product": 0.95})


def test_demonstrations_that_teach_are_learnt_first() -> None:
    result = choose(known(), PARAMS)
    assert result.rung == "imitate"
    assert result.gain.value == pytest.approx(0.2)
    # two independent intervals of ±2 points: ±2.83 together
    assert result.gain.high == pytest.approx(0.2 + 0.02 * 2**0.5)


def test_rl_starts_where_sft_ended_and_closes_most_of_the_gap() -> None:
    result = choose(known(standing=stands(0.9, "sft"), learning=None, headroom=room(0.1)), PARAMS)
    assert result.rung == "reward"
    assert result.gain.value == pytest.approx(0.8 * 0.1)
    # the share moves it by 0.6 · 0.1 downwards, the gap of ±1 point by 0.8 · 0.01
    assert result.gain.low == pytest.approx(0.08 - (0.06**2 + 0.008**2) ** 0.5)
    assert result.gain.high == pytest.approx(0.12)  # there is no more to be gained above 88 %


def test_a_rung_that_answers_as_well_as_its_best_draw_gains_nothing_by_rl() -> None:
    assert advised(standing=stands(0.9, "sft"), learning=None, headroom=room(0.0)) == "stay"


def test_more_demonstrations_bring_a_rung_trained_by_rl_only_what_is_above_it() -> None:
    after_rl = {"standing": stands(0.95, "grpo"), "headroom": room(0.0)}
    assert advised(**after_rl, learning=learns(0.9, doubling=0.04)) == "stay"
    result = choose(known(**after_rl, learning=learns(0.94, doubling=0.04)), PARAMS)
    assert (result.rung, result.gain.value) == ("label", pytest.approx(0.03))


def test_no_outcome_that_can_be_scored_means_no_rl() -> None:
    after_sft = {"standing": stands(0.9, "sft"), "learning": None, "headroom": room(0.1)}
    assert advised(**after_sft, scoring=scores(false_positives=0.3)) == "stay"
    assert advised(**after_sft, scoring=scores(false_negatives=0.4)) == "stay"
    assert advised(**after_sft, scoring=None) == "stay"
    assert advised(writing=DISPUTED, scoring=scores(reads=True)) != "reward"


def test_a_verifier_that_needs_no_reference_makes_up_for_people_who_disagree() -> None:
    assert advised(writing=DISPUTED, scoring=scores(reads=False)) == "reward"


def test_neither_written_nor_scored_asks_for_a_definition_that_names_the_field() -> None:
    evidence = known(writing=DISPUTED)
    result = advise(evidence, PARAMS, Asked(workload="w", profile="p", at="", data_version="", mlflow_run_id=None))
    assert result.choice.rung == "define"
    assert "priority" in result.define[0] and "product" not in result.define[0]
    assert any("RL on the scorer" in line or "SFT" in line for line in result.changes)


def test_learnt_errors_ask_for_better_demonstrations_where_no_scorer_can_help() -> None:
    wrong = Writing(examples=8000, agreement=near(0.95), pairs=200, errors=near(0.1), learnt_errors=near(0.08))
    result = choose(known(standing=stands(0.9, "sft"), writing=wrong, scoring=scores(0.4)), PARAMS)
    assert result.rung == "label"
    assert (result.gain.value, result.gain.high) == (0.08, pytest.approx(0.12))  # at most all errors, 10 ± 2 points


def test_training_that_does_not_pay_is_not_advised() -> None:
    assert advised(paying={"imitate": pays(None), "reward": pays(None)}) == "stay"
    assert advised(paying={"imitate": pays(2.5), "reward": pays(2.5)}) == "stay"


def test_a_training_pays_back_by_the_errors_that_it_saves() -> None:
    # 20 points of a million calls at 0.5 dollars are 100,000 a year, less the 100 that it costs more
    assert costs_more().paid_back(0.2) == pytest.approx(50_000 / 99_900, rel=1e-3)
    assert advised(paying={"imitate": costs_more(), "reward": costs_more()}) == "imitate"
    free = costs_more(usd_per_error=0.0)
    assert free.paid_back(0.2) is None
    assert advised(paying={"imitate": free, "reward": free}) == "stay"
    lines = table(known(paying={"imitate": costs_more()}), PARAMS)
    [line] = [each for each in lines if each.question == "Does volume pay for SFT?"]
    assert line.finding.endswith("$-100.00 a year saved over the incumbent, $100,000.00 by its gain")
    # the gain is known to ± 2.83 points: 50,000 / 114,042 to 50,000 / 85,758 years
    assert line.reading == "pays back after 0.50 years (0.44 to 0.58); it has 2 years"


def test_a_gain_does_not_count_where_the_task_moves_on_within_the_horizon() -> None:
    paying = costs_more(investment_usd=95_000.0)  # 20 points at 5,000 dollars: back within a year, by its price never
    assert advised(paying={"imitate": paying, "reward": paying}) == "imitate"
    for span, rung in ((6.0, "stay"), (9.0, "imitate")):  # 10 % of labels move in 1.5 years, or in 2.25
        moved = Movement(field="label", distance=0.2, p_value=0.005, span_years=span)
        assert moved.stable_years(0.1) == pytest.approx(span / 4)
        assert advised(movement=moved, paying={"imitate": paying, "reward": paying}) == rung


def test_what_a_model_costs_more_to_run_is_taken_from_its_gain() -> None:
    # A point is worth 10,000 dollars. Imitation gains 20 points, its calls cost 120,000 more in two years and it 10,000
    # once: 7 points are left, where examples in the prompt gain 15.
    dear = costs_more(owned_usd=0.0601, investment_usd=10_000.0)
    at_hand = AtHand(
        shown=Shown(accuracy=near(0.85), n=300), usd_per_point=10_000.0,
        takes={"imitate": Takes(seconds=0, usd=10_000.0)},
    )  # fmt: skip
    assert advised(paying={"imitate": dear, "reward": dear}, at_hand=at_hand) == "few_shot"
    cheap = costs_more(investment_usd=10_000.0)  # 200 in two years: 19 points are left
    assert advised(paying={"imitate": cheap, "reward": cheap}, at_hand=at_hand) == "imitate"


def test_a_task_that_moves_on_before_training_has_paid_is_not_trained() -> None:
    # 20 % of labels in half a year between the halves' middles: 10 % every quarter
    moving = Movement(field="label", distance=0.2, p_value=0.005, span_years=1.0)
    assert moving.stable_years(0.1) == pytest.approx(0.25)
    assert advised(movement=moving) == "stay"
    assert advised(movement=moving.model_copy(update={"p_value": 0.2})) == "imitate"  # chance
    assert advised(movement=moving, paying={"imitate": pays(0.1)}) == "imitate"


def test_equal_quality_at_a_lower_price_is_reason_enough() -> None:
    assert advised(learning=learns(0.7)) == "imitate"
    assert advised(learning=learns(0.65)) != "imitate"


def test_prompts_that_differ_promise_a_better_one() -> None:
    spread = {"a": near(0.4), "b": near(0.55), "c": near(0.7)}
    result = choose(known(prompts=spread, learning=None, headroom=None, paying={}), PARAMS)
    assert result.rung == "prompt"
    # X ~ N(0.55, 0.15² − 0.23/500) beside 0.7: (μ − b) Φ(z) + σ φ(z) with σ = 0.1483, z = −1.0115
    assert result.gain.value == pytest.approx(0.01206, abs=2e-4)
    assert (result.gain.low, result.gain.high) == (
        0.0,
        pytest.approx(0.32),
    )  # three versions say little: up to 1 − 0.68


def test_missing_measurements_rule_out_only_rl() -> None:
    result = choose(known(paying={}, movement=None, prompts={}), PARAMS)
    assert result.rung == "imitate"


def test_what_would_change_the_advice_follows_from_the_rule_with_changed_evidence() -> None:
    result = advise(known(), PARAMS, Asked(workload="w", profile="p", at="", data_version="", mlflow_run_id=None))
    assert "If volume never paid for training: then stay where you are." in result.changes


SHARES = st.floats(0, 1)


SCORERS = st.builds(scores, SHARES, SHARES, st.booleans())
WRITINGS = st.builds(
    lambda n, agreed: Writing(examples=n, agreement=near(agreed), pairs=100), st.integers(0, 9), SHARES
)


@given(SCORERS, WRITINGS, st.sampled_from(["prompt", "sft", "grpo"]), SHARES)
def test_rl_is_never_advised_without_a_scorer_that_can_be_trusted(
    scorer: Scoring, written: Writing, method: Any, accuracy: float
) -> None:
    evidence = known(standing=stands(accuracy, method), scoring=scorer, writing=written)
    rung = choose(evidence, PARAMS).rung
    if rung == "reward":
        assert scorable(evidence, PARAMS)
        assert scorer.false_positives.high <= PARAMS.max_false_positives
        assert scorer.false_negatives.high <= PARAMS.max_false_negatives
        assert writable(evidence, PARAMS) or not scorer.reads_reference
    if not scorable(evidence, PARAMS) and not writable(evidence, PARAMS):
        assert rung == "define"
