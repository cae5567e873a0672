"""The reasons for each method, its possible gain, and that none learns from a scorer without measured errors."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.advice import (
    AtHand,
    Evidence,
    Feedback,
    JudgeTrial,
    Shown,
    Takes,
    Teacher,
    Thin,
    Writing,
    choose,
    ways,
)
from components.advice.gates import Option
from components.advice.ways import COSTS
from components.records import Interval
from tests.components.advice.test_rule import PARAMS, known, learns, near, pays, room, scores, stands

LEARNING_FROM_SCORES = {"rejection_sampling", "reward", "judged_grpo", "gepa"}
JUDGE = JudgeTrial(agreement=near(0.9), pairs=200, room=near(0.1, 0.01))
WRONG = Writing(examples=500, agreement=near(0.95), errors=near(0.3), learnt_errors=near(0.2), audited_ceiling=0.8)


def after_sft(**changes: Any) -> Evidence:
    """A rung at 60 % stands that imitates 500 demonstrations; other evidence is missing unless given."""
    given: dict[str, Any] = {"standing": stands(0.6, "sft"), "writing": Writing(examples=500), **changes}
    return Evidence(**given)


def options(evidence: Evidence) -> dict[str, Option]:
    return {option.rung: option for option in choose(evidence, PARAMS).options}


def open_ways(evidence: Evidence) -> set[str]:
    return {rung for rung, each in options(evidence).items() if not each.out and each.gain}


def teacher(**changes: Any) -> AtHand:
    given: dict[str, Any] = {"name": "big", "accuracy": near(0.9), "n": 300, "inputs": 5000, **changes}
    return AtHand(teacher=Teacher(**given))


@pytest.mark.parametrize(
    ("feedback", "expected"),
    [
        (Feedback(), set[str]()),
        (Feedback(pairs=100), {"pairs"}),
        (Feedback(pairs=99), set[str]()),
        (Feedback(good=90, bad=60), {"thumbs"}),
        (Feedback(good=100, bad=0), set[str]()),
        (Feedback(good=4001, bad=200), set[str]()),
        (Feedback(good=90, bad=60, pairs=100), {"pairs"}),  # pairs say more
        (Feedback(logs=100, uneven_logs=True, logged=near(0.5), leans=near(0.8)), {"weighted_sft"}),
        (Feedback(logs=100, logged=near(0.5), leans=near(0.8)), set[str]()),
        (Feedback(logs=99, uneven_logs=True, logged=near(0.5), leans=near(0.8)), set[str]()),
        (Feedback(logs=900, uneven_logs=True, logged=near(0.5), leans=near(0.8), silent="few"), set[str]()),
    ],
)
def test_feedback_opens_the_way_that_can_learn_from_it(feedback: Feedback, expected: set[str]) -> None:
    assert open_ways(after_sft(feedback=feedback)) == expected


def test_pairs_mend_a_share_of_the_errors_as_far_as_so_many_tell() -> None:
    # 300 of 300 + 300: half of 0.4 of the 40 % that are wrong
    gain = options(after_sft(feedback=Feedback(pairs=300)))["pairs"].gain
    thumbs = options(after_sft(feedback=Feedback(good=600, bad=600)))["thumbs"].gain
    assert gain is not None and gain.value == pytest.approx(0.5 * 0.4 * 0.4) and gain.low == 0.0
    assert thumbs is not None and thumbs.value == pytest.approx(gain.value)  # a bad thumb tells half of a pair


def test_logs_promise_a_share_of_what_their_weights_lean_to() -> None:
    logs = Feedback(logs=500, uneven_logs=True, logged=near(0.5), leans=near(0.8))
    gain = options(after_sft(feedback=logs))["weighted_sft"].gain
    assert gain is not None and gain.value == pytest.approx(0.4 * 0.3)


def test_a_measured_scorer_and_headroom_open_sampling_and_rl_but_not_logs() -> None:
    logs = Feedback(logs=500, uneven_logs=True, logged=near(0.5), leans=near(0.8))
    given = after_sft(scoring=scores(), headroom=room(0.1), feedback=logs, at_hand=AtHand(judge=JUDGE))
    assert open_ways(given) == {"rejection_sampling", "reward", "judged_grpo"}
    gain = options(given)["rejection_sampling"].gain
    assert gain is not None and gain.value == pytest.approx(0.06)
    assert open_ways(after_sft(scoring=scores(), headroom=room(0.0))) == set()


@given(st.floats(0.13, 0.9), st.floats(0.0, 0.9), st.booleans(), st.booleans(), st.sampled_from(["prompt", "sft"]))
def test_nothing_learns_from_a_scorer_whose_errors_are_many_or_unknown(
    passes: float, refuses: float, measured: bool, headroom: bool, method: Any
) -> None:
    evidence = after_sft(
        scoring=scores(passes, refuses) if measured else None, headroom=room(0.3) if headroom else None,
        at_hand=AtHand(judge=JUDGE, reflects=True), standing=stands(0.5, method),
    )  # fmt: skip
    assert not LEARNING_FROM_SCORES & open_ways(evidence)
    assert choose(evidence, PARAMS).rung not in LEARNING_FROM_SCORES


@pytest.mark.parametrize(
    "judge",
    [
        JUDGE.model_copy(update={"agreement": Interval(value=0.8, low=0.74, high=0.86)}),
        JUDGE.model_copy(update={"pairs": 49}),
        None,
    ],
)
def test_a_judge_that_may_disagree_with_people_opens_no_way(judge: JudgeTrial | None) -> None:
    given = after_sft(scoring=scores(), headroom=room(0.1), at_hand=AtHand(judge=judge))
    assert "judged_grpo" not in open_ways(given)


def test_an_apis_model_cannot_be_trained_and_its_draws_are_no_evidence_for_another() -> None:
    ours = known(writing=Writing(examples=0), standing=stands(0.7), scoring=scores(reads=False), learning=None)
    theirs = ours.model_copy(update={"standing": ours.standing.model_copy(update={"weights": False})})
    assert choose(ours, PARAMS).rung == "reward"
    assert not {"reward", "rejection_sampling"} & open_ways(theirs)


def test_examples_in_the_prompt_gain_what_was_measured_with_them() -> None:
    shown = AtHand(shown=Shown(accuracy=near(0.95), n=300))
    result = choose(known(at_hand=shown), PARAMS)
    assert result.rung == "few_shot" and result.gain.value == pytest.approx(0.25)
    assert "few_shot" not in open_ways(known(at_hand=shown, standing=stands(0.7, "sft")))  # it answers by its weights


def test_a_prompt_is_searched_where_something_can_reflect_and_the_scorer_is_trusted() -> None:
    reflects = AtHand(reflects=True)
    untaught = {"writing": Writing(examples=0), "learning": None, "paying": {"reward": pays(None)}}
    assert "gepa" in open_ways(known(at_hand=reflects, scoring=scores(reads=False), **untaught))
    assert "gepa" not in open_ways(known(scoring=scores(reads=False), **untaught))
    assert "gepa" not in open_ways(known(at_hand=reflects, scoring=scores(0.4, reads=False), **untaught))


def test_relabelling_mends_a_share_of_the_errors_that_the_audit_and_dev_agree_on() -> None:
    gain = options(after_sft(writing=WRONG))["relabel"].gain
    assert gain is not None and gain.value == pytest.approx(0.6 * 0.2)
    assert (gain.low, gain.high) == (0.0, pytest.approx(0.32))  # at most all errors
    contradicted = WRONG.model_copy(update={"learnt_errors": near(0.04)})
    gain = options(after_sft(writing=contradicted))["relabel"].gain
    assert gain is not None and gain.value == pytest.approx(0.6 * 0.04 - 0.16 / 2) and gain.low == pytest.approx(-0.16)
    assert "relabel" not in open_ways(after_sft(writing=contradicted))


def test_before_any_training_relabelling_is_imitation_and_what_it_mends() -> None:
    writing = Writing(examples=8000, agreement=near(0.95), pairs=200, audited_ceiling=0.9)
    result = choose(known(writing=writing, learning=learns(0.8)), PARAMS)
    assert result.rung == "relabel"
    assert result.gain.value == pytest.approx(0.1 + 0.6 * 0.1)
    sound = writing.model_copy(update={"audited_ceiling": 0.995})
    assert choose(known(writing=sound, learning=learns(0.8)), PARAMS).rung == "imitate"


def test_a_teacher_that_is_surely_better_teaches_by_its_weights_where_they_are_here() -> None:
    assert choose(after_sft(at_hand=teacher()), PARAMS).rung == "teacher_answers"
    assert choose(after_sft(at_hand=teacher(weights=True)), PARAMS).rung == "on_policy_distillation"
    gain = options(after_sft(at_hand=teacher()))["teacher_answers"].gain
    assert gain is not None and gain.value == pytest.approx(0.99 * 0.9 - 0.6)
    for worse in (teacher(accuracy=near(0.61)), teacher(inputs=99), AtHand()):
        assert not {"teacher_answers", "on_policy_distillation"} & open_ways(after_sft(at_hand=worse))


def test_what_is_prompted_today_may_teach_a_cheaper_model_that_is_nearly_as_good() -> None:
    few = known(
        learning=learns(0.5), standing=stands(0.7), headroom=None, at_hand=teacher(accuracy=near(0.7), stands=True)
    )
    assert choose(few, PARAMS).rung == "teacher_answers"
    dear = few.model_copy(update={"paying": {"imitate": pays(None)}})
    assert choose(dear, PARAMS).rung != "teacher_answers"


def test_a_long_prompt_is_distilled_only_for_its_price() -> None:
    given = known(learning=learns(0.5), headroom=None)
    paying = {**given.paying, "prompt_distillation": pays(0.5)}
    assert choose(given.model_copy(update={"paying": paying}), PARAMS).rung == "prompt_distillation"
    lost = {**given.paying, "prompt_distillation": pays(None)}
    assert choose(given.model_copy(update={"paying": lost}), PARAMS).rung == "stay"


def test_new_examples_of_a_thin_slice_catch_up_by_its_share_of_dev() -> None:
    thin = (Thin(name="channel chat", train_share=0.01, dev_share=0.2, wrong=near(0.5), behind=near(0.3)),)
    result = choose(after_sft(thin=thin, at_hand=AtHand(invents=True)), PARAMS)
    assert result.rung == "synthetic"
    assert result.gain.value == pytest.approx(0.2 * 0.6 * 0.3) and result.gain.high == pytest.approx(0.2 * 0.52)
    assert "synthetic" not in open_ways(after_sft(thin=thin))
    rewarded = after_sft(thin=thin, at_hand=AtHand(invents=True), standing=stands(0.6, "grpo"))
    assert "synthetic" not in open_ways(rewarded)


def test_where_a_point_is_worth_dollars_gains_are_less_what_they_cost() -> None:
    """Better demonstrations gain 20 points against 8 by pairs; labels cost 5 points, or 15."""
    both = after_sft(
        writing=WRONG.model_copy(update={"audited_ceiling": None}), feedback=Feedback(pairs=300)
    )  # fmt: skip
    assert choose(both, PARAMS).rung == "pairs"  # people's work comes last
    for usd, advised in ((500.0, "label"), (1500.0, "pairs")):
        at_hand = AtHand(usd_per_point=100.0, takes={"label": Takes(seconds=0, usd=usd)})
        assert choose(both.model_copy(update={"at_hand": at_hand}), PARAMS).rung == advised


def test_each_option_has_a_reason_for_or_against_and_never_both() -> None:
    at_hand = AtHand(reflects=True, takes={"reward": Takes(seconds=60, usd=0.1)}, ladders={"relabel": "repair"})
    for evidence in (after_sft(), known(at_hand=at_hand), known(standing=stands(0.6, "sft"), at_hand=at_hand)):
        result = ways(evidence, choose(evidence, PARAMS))
        assert [way.label for way in result] == [label for label, _ in COSTS.values()]
        assert all(bool(way.speaks) != bool(way.against) for way in result)
    assert {way.rung: way.ladder for way in result if way.ladder} == {"relabel": "repair"}
    assert [way.takes.usd for way in result if way.takes] == [0.1]
