"""What the gate judges beyond better and worse: slices, bounds, pinned cases, looks, other tests, and what it lacks."""

from typing import Any

import numpy as np
import pytest

from components.errors import DataError
from components.evaluation import Contender, Level, Split, judge, measure, repeated
from components.evaluation.checks import bounds
from components.evaluation.paired import mean_p
from components.evaluation.power import mcnemar_power
from components.evaluation.slices import tolerated
from components.params import GateParams, SliceGateParams
from components.records import Score, Verdict
from tests.components.evaluation.first_look import decide, opened

PARAMS = GateParams(min_examples=100)


def contender(name: str, outcomes: str, **more: Any) -> Contender:
    """`1` passed, `0` failed, ids by position."""
    scores = {f"e{at:04}": Score(value=float(mark), passed=mark == "1") for at, mark in enumerate(outcomes)}
    return Contender(name, scores, **more)


def sliced(*sizes: int) -> dict[str, dict[str, str]]:
    """Ids by position, in slices `kind=0`, `kind=1` … of these sizes."""
    kinds = [kind for kind, size in enumerate(sizes) for _ in range(size)]
    return {f"e{at:04}": {"kind": str(kind)} for at, kind in enumerate(kinds)}


def last_look(params: GateParams, challenger: Contender, champion: Contender, slices: Any) -> Verdict:
    """The verdict at a level of 5 % at the look at which the split retires."""
    return opened(params, challenger, champion, slices)


def test_a_slice_that_got_worse_keeps_the_champion_though_the_whole_is_better() -> None:
    # 170 of 850 fixed, 30 of 150 broken: the whole is 14 points better, the slice of 150 is 20 points worse
    champion = contender("sft", "0" * 170 + "1" * 680 + "1" * 150)
    challenger = contender("grpo", "1" * 170 + "1" * 680 + "0" * 30 + "1" * 120)
    verdict = last_look(PARAMS, challenger, champion, sliced(850, 150))
    assert verdict.decision == "kept" and not verdict.undecided
    assert verdict.reasons[4].startswith("kind=1 (150): -20.0 points (95 % interval")
    # 2 · 2⁻³⁰; the other slice has the smaller p-value, so that nothing is left to correct for
    assert "significantly worse (p = 1.9e-09, Holm over 2 slices)" in verdict.reasons[4]
    assert decide(PARAMS, challenger, champion).decision == "promoted"


def test_until_a_split_retires_the_slices_against_a_challenger_are_not_named() -> None:
    champion = contender("sft", "0" * 170 + "1" * 680 + "1" * 150)
    challenger = contender("grpo", "1" * 170 + "1" * 680 + "0" * 30 + "1" * 120)
    verdict = decide(PARAMS, challenger, champion, slices=sliced(850, 150))
    assert verdict.decision == "kept" and not verdict.undecided
    assert verdict.reasons[3].startswith("Slices speak against grpo: of 2, losses are not ruled out on all, and one is")
    assert "kind=" not in verdict.model_dump_json()
    assert "kind=1" in last_look(PARAMS, challenger, champion, sliced(850, 150)).model_dump_json()


def test_a_large_slice_whose_loss_is_not_ruled_out_keeps_the_champion_and_asks_for_more() -> None:
    # of 40 examples 3 broke, which may be chance: −7.5 points, interval from −19.9 to +1.6
    champion = contender("sft", "0" * 60 + "1" * 100 + "1" * 40)
    challenger = contender("grpo", "1" * 60 + "1" * 100 + "0" * 3 + "1" * 37)
    verdict = decide(PARAMS, challenger, champion, slices=sliced(160, 40))
    assert verdict.decision == "kept" and verdict.undecided and verdict.more_examples > 0
    assert "the next examples may rule them out" in verdict.reasons[3]
    named = last_look(PARAMS, challenger, champion, sliced(160, 40))
    assert named.reasons[4].endswith("so a loss of 10 points is not ruled out.")
    # of a fifth of the examples, where a half is large, (0.5 / 0.2)² · 10 = 62, so half of the points must be ruled out
    small = PARAMS.model_copy(update={"slices": SliceGateParams(large_share=0.5)})
    assert decide(small, challenger, champion, slices=sliced(160, 40)).decision == "promoted"


def test_what_must_be_ruled_out_on_a_slice_grows_without_a_step() -> None:
    # 10 points from a share of 0.1 on, 10 · (0.1 / share)² below, never more than 50
    shares, expected = (0.2, 0.1, 0.095, 0.05, 0.01), (0.1, 0.1, 0.1108, 0.4, 0.5)
    assert [tolerated(PARAMS, share) for share in shares] == pytest.approx(expected, abs=1e-4)


def test_a_slice_of_ten_that_breaks_entirely_is_detected() -> None:
    # its ten examples count beside nine of the whole, which gained 5 points: −53 + 2, and no interval of a certainty
    champion = contender("sft", "0" * 60 + "1" * 930 + "1" * 10)
    challenger = contender("grpo", "1" * 60 + "1" * 930 + "0" * 10)
    assert decide(PARAMS, challenger, champion, slices=sliced(990, 10)).decision == "kept"
    unhurt = contender("grpo", "1" * 60 + "1" * 930 + "0" + "1" * 9)
    verdict = decide(PARAMS, unhurt, champion, slices=sliced(990, 10))
    assert verdict.decision == "promoted"
    assert "with a chance of 80% a slice would have shown a loss of" in verdict.reasons[3]


def test_of_many_slices_that_got_worse_the_first_are_named() -> None:
    champion, challenger = contender("sft", "0" * 200 + "1" * 210), contender("grpo", "1" * 200 + "0" * 210)
    verdict = last_look(PARAMS, challenger, champion, sliced(200, *[30] * 7))
    assert [reason.partition(" ")[0] for reason in verdict.reasons[4:]] == [f"kind={kind}" for kind in range(1, 6)] + [
        "So"
    ]
    assert verdict.reasons[-1] == "So on 2 more slices."


def test_slices_are_corrected_for_their_number() -> None:
    # one slice of 25 loses 6 and gains none: p = 2 / 2⁶ = 0.031, of eight slices 0.25
    champion = contender("sft", "0" * 75 + "1" * 125)
    challenger = contender("grpo", "1" * 175 + "0" * 6 + "1" * 19)
    params = PARAMS.model_copy(update={"slices": SliceGateParams(large_share=1.0)})
    assert decide(params, challenger, champion, slices=sliced(*[25] * 8)).decision == "promoted"
    alone = last_look(params, challenger, champion, dict(list(sliced(*[25] * 8).items())[-25:]))
    assert "kind=7 (25): -24.0 points" in alone.reasons[4] and alone.decision == "kept"


def test_examples_of_one_group_count_as_one() -> None:
    # 12 examples fixed and none broken: p = 2 / 2¹² apart, but in two groups of six 2 / 2² = 0.5
    champion, challenger = contender("sft", "0" * 12 + "1" * 188), contender("grpo", "1" * 200)
    assert decide(PARAMS, challenger, champion).decision == "promoted"
    groups = {f"e{at:04}": f"{at // 6}" for at in range(200)}
    verdict = opened(PARAMS, challenger, champion, groups=groups)
    assert verdict.numbers and verdict.numbers.p_value == 0.5 and verdict.decision == "kept"
    assert verdict.reasons[0].startswith("200 sealed examples in 34 groups, as informative as ")
    assert "the exact test of whole groups has p = 0.5" in verdict.reasons[3]
    asked = [decide(PARAMS, challenger, champion, groups=each).more_examples for each in (groups, None)]
    assert asked[0] > asked[1] == 0


def test_undecided_answers_count_against_the_challenger_and_both_bounds_are_reported() -> None:
    # of 200, 20 are fixed; 10 of the challenger's are undecided, and 6 of the champion's, 4 of them with the same text
    champion = contender("sft", "0" * 20 + "1" * 174, undecided={f"e{at:04}": "same" for at in range(194, 200)})
    theirs = {f"e{at:04}": "same" if at < 198 else "other" for at in range(190, 200)}
    challenger = contender("grpo", "1" * 190, undecided=theirs)
    verdict = opened(PARAMS, challenger, champion)
    numbers = verdict.numbers
    assert numbers and numbers.versus and numbers.n == 200 and numbers.undecided == 10
    # against: 4 where the champion is right and 2 with another text are lost; for: those 2 are won, the 4 are equal
    assert (numbers.versus.fixed, numbers.versus.broken) == (20, 6)
    assert numbers.best_delta == pytest.approx((20 + 2) / 200)
    assert (
        "10 examples that the scorer could not decide count against grpo, and it would be +11.0" in verdict.reasons[2]
    )
    # while the split is in use, how far apart the bounds are: (22 − 14) / 200
    sealed = decide(PARAMS, challenger, champion).reasons[2]
    assert "about 5% of the examples" in sealed and "hide up to 4 points of a gain" in sealed


def test_two_calls_that_failed_did_not_give_the_same_answer() -> None:
    lost = {f"e{at:04}": "" for at in range(190, 200)}
    challenger, champion = (contender(name, "1" * 190, undecided=lost) for name in ("grpo", "sft"))
    numbers = opened(PARAMS, challenger, champion).numbers
    assert numbers and numbers.versus and (numbers.versus.broken, numbers.undecided) == (10, 10)


def test_where_undecided_answers_hide_the_margin_more_examples_are_not_asked_for() -> None:
    champion = contender("sft", "0" * 4 + "1" * 196)
    doubtful = contender("grpo", "1" * 192, undecided={f"e{at:04}": "?" for at in range(192, 200)})
    verdict = decide(PARAMS, doubtful, champion)
    assert (verdict.decision, verdict.undecided, verdict.more_examples) == ("kept", False, 0)


@pytest.mark.parametrize(
    ("bound", "measured", "words"),
    [
        ({"max_latency_ms_p95": 100}, {"latency_ms_p95": 101.0}, "grpo: 101 ms at the 95th percentile, not within the"),
        (
            {"max_usd_per_1k_calls": 0.5},
            {"usd_per_1k_calls": 0.6},
            "$0.6 for 1,000 calls, not within the bound",
        ),
        ({"max_usd_per_1k_calls": 0.5}, {}, "nothing measured, not within"),
    ],
)
def test_latency_and_cost_are_hard_bounds_where_they_are_declared(
    bound: dict[str, float], measured: dict[str, Any], words: str
) -> None:
    challenger, champion = contender("grpo", "1" * 100, **measured), contender("sft", "0" * 30 + "1" * 70)
    assert decide(PARAMS, challenger, champion).decision == "promoted"
    verdict = decide(PARAMS.model_copy(update=bound), challenger, champion)
    assert verdict.decision == "kept" and not verdict.undecided
    assert any(words in reason for reason in verdict.reasons)


@pytest.mark.parametrize("champion", [contender("sft", "0" * 30 + "1" * 70), None])
def test_a_broken_must_pass_case_keeps_the_champion_and_is_named(champion: Contender | None) -> None:
    verdict = decide(PARAMS, contender("grpo", "1" * 100, failed_cases=("smoke",)), champion)
    assert verdict.decision == "kept" and not verdict.undecided
    assert verdict.reasons[-1] == "grpo fails what it must pass: smoke."


def test_an_undecided_gate_asks_for_as_many_examples_as_have_the_power() -> None:
    # 12 fixed, 8 broken of 500: p = 0.50, and a gain of 2 points is not ruled out
    champion = contender("sft", "0" * 12 + "1" * 488)
    challenger = contender("grpo", "1" * 12 + "0" * 8 + "1" * 480)
    verdict = decide(PARAMS, challenger, champion)
    assert verdict.undecided and verdict.decision == "kept"
    # at the next look's level, 0.05 / 9, and a discordance somewhat above the 4 % that were measured
    n = 500 + verdict.more_examples
    assert mcnemar_power(n, 0.048, 0.02, 0.05 / 9) >= 0.89
    assert mcnemar_power(n, 0.04, 0.02, 0.05 / 9) > 0.9
    assert f"{n:,} sealed examples with a chance of 90%" in verdict.reasons[-1]


@pytest.mark.parametrize(("fixed", "broken", "more"), [(75, 75, True), (90, 60, True), (60, 90, False)])
def test_more_examples_are_asked_for_by_how_many_changed_unless_it_is_significantly_worse(
    fixed: int, broken: int, more: bool
) -> None:
    # of 1,500; 30 more broken than fixed of 150 are p = 0.018, and 30 more fixed than broken not enough at a later look
    champion = contender("sft", "0" * fixed + "1" * (1500 - fixed))
    challenger = contender("grpo", "1" * fixed + "0" * broken + "1" * (1500 - fixed - broken))
    numbers = measure(PARAMS, challenger, champion, Split())
    verdict = judge(PARAMS, ("grpo", "sft"), numbers, Level(2, 0.05 if broken > fixed else 0.05 / 9))
    assert (verdict.decision, verdict.undecided, verdict.more_examples > 0) == ("kept", more, more)
    if more:  # the same for the same number of changes
        alike = measure(PARAMS, contender("grpo", "1" * 75 + "0" * 75 + "1" * 1350),
                        contender("sft", "0" * 75 + "1" * 1425), Split())  # fmt: skip
        assert judge(PARAMS, ("grpo", "sft"), alike, Level(2, 0.05 / 9)).more_examples == verdict.more_examples


def test_where_the_examples_had_the_power_for_the_margin_no_more_are_asked_for() -> None:
    # 4 % change sides: of 1,500 examples, a gain of 2 points is found with a chance of more than 90 %
    champion, challenger = contender("sft", "0" * 30 + "1" * 1470), contender("grpo", "1" * 30 + "0" * 30 + "1" * 1440)
    assert mcnemar_power(1500, 0.044, 0.02, 0.05) > 0.9
    verdict = decide(PARAMS, challenger, champion)
    assert (verdict.decision, verdict.undecided, verdict.more_examples) == ("kept", False, 0)
    few = decide(PARAMS, contender("grpo", "1" * 12 + "0" * 12 + "1" * 576), contender("sft", "0" * 12 + "1" * 588))
    assert few.undecided


def test_once_a_split_retires_more_than_half_of_the_examples_have_to_be_new() -> None:
    champion, challenger = contender("sft", "0" * 24 + "1" * 1176), contender("grpo", "1" * 24 + "0" * 24 + "1" * 1152)
    numbers = measure(PARAMS, challenger, champion, Split())
    assert judge(PARAMS, ("grpo", "sft"), numbers, Level(11, 0.0)).more_examples == 1201


def sealed_text(fixed: int, broken: int) -> str:
    """Everything that a verdict on 600 examples tells at the second look."""
    champion = contender("sft", "0" * fixed + "1" * (600 - fixed))
    challenger = contender("grpo", "1" * fixed + "0" * broken + "1" * (600 - fixed - broken))
    numbers = measure(PARAMS, challenger, champion, Split(sliced(300, 200, 100)))
    return judge(PARAMS, ("grpo", "sft"), numbers, Level(2, 0.05 / 9)).model_dump_json()


def test_kept_challengers_cannot_be_told_apart_by_how_much_they_gained_while_the_split_is_in_use() -> None:
    texts = {sealed_text(fixed, 40 - fixed) for fixed in range(12, 29)}
    assert len(texts) == 1 and '"kept"' in texts.pop()


def test_a_promoted_challenger_does_not_tell_its_gain_either_until_the_split_retires() -> None:
    texts = {sealed_text(fixed, 40 - fixed) for fixed in (36, 38, 40)}
    assert len(texts) == 1 and '"promoted"' in texts.pop()
    champion, challenger = contender("sft", "0" * 36 + "1" * 564), contender("grpo", "1" * 36 + "0" * 4 + "1" * 560)
    assert "+5.3 points" in opened(PARAMS, challenger, champion).reasons[2]


def test_first_contenders_tell_neither_their_level_nor_their_exact_validity() -> None:
    texts = {
        decide(PARAMS, contender("sft", "1" * right + "0" * (400 - right), invalid=frozenset(names)), None)
        .model_dump_json()
        for right, names in ((300, ("e0001",)), (310, ()), (320, ("e0001", "e0002")))
    }  # fmt: skip
    assert len(texts) == 2  # 400 and 399 valid round to 100 %, 398 to 99 or 100


def test_too_few_examples_are_asked_for_without_a_champion_too() -> None:
    verdict = decide(PARAMS, contender("sft", "1" * 99), None)
    assert (verdict.undecided, verdict.more_examples) == (True, 1)


def test_non_inferiority_passes_an_equal_challenger_and_refuses_a_worse_one() -> None:
    params = PARAMS.model_copy(update={"test": "non_inferiority", "margin": 0.05})
    champion = contender("prompt", "1" * 900 + "0" * 100)
    equal = contender("sft", "0" * 10 + "1" * 890 + "1" * 10 + "0" * 90)
    worse = contender("sft", "0" * 60 + "1" * 840 + "1" * 10 + "0" * 90)  # by 5 points, which is the margin
    verdict = opened(params, equal, champion)
    assert verdict.decision == decide(params, equal, champion).decision == "promoted"
    assert "sft is not worse than prompt by +5.0 (the test of" in decide(params, equal, champion).reasons[2]
    assert verdict.reasons[3].endswith("so sft is not worse by +5.0.")
    assert decide(params, worse, champion).decision == "kept"
    assert decide(PARAMS, equal, champion).decision == "kept"  # superiority asks for more


def not_worse(challenger: Contender, champion: Contender, **settings: Any) -> Verdict:
    """The verdict on a loss of 5 points at most."""
    return opened(
        PARAMS.model_copy(update={"test": "non_inferiority", "margin": 0.05, **settings}), challenger, champion
    )


def test_the_p_value_of_non_inferiority_is_twice_a_one_sided_one_and_no_more_than_one() -> None:
    # 5 fixed and 5 broken of 100, at −0.05: Tango's q is (√190 + 20) / 400 = 0.08446, the variance 100 (2q − 0.0525) =
    # 11.64, z = 5 / √11.64 = 1.465, whose tail is 0.0714
    champion = contender("sft", "0" * 5 + "1" * 95)
    equal = not_worse(contender("grpo", "1" * 5 + "0" * 5 + "1" * 90), champion)
    assert equal.numbers and equal.numbers.p_value == pytest.approx(0.1428, abs=2e-4)
    worse = not_worse(contender("grpo", "0" * 25 + "1" * 75), champion)
    assert worse.numbers and worse.numbers.p_value == 1.0


def test_the_p_value_of_graded_scores_that_are_not_worse_is_twice_a_one_sided_one_too() -> None:
    low, high = [0.4, 0.6] * 50, [0.5, 0.7] * 50
    better = not_worse(graded("grpo", high), graded("sft", low), measure="score")
    alike = not_worse(graded("grpo", low), graded("sft", low), measure="score")
    worse = not_worse(graded("grpo", low), graded("sft", high), measure="score")
    for verdict, change in ((better, 0.1), (alike, 0.0)):
        one_sided = mean_p(np.full(100, change), None, 0, 0.05)[1]
        assert 1e-5 < one_sided < 0.5
        assert verdict.numbers and verdict.numbers.p_value == pytest.approx(2 * one_sided)
    assert worse.numbers and worse.numbers.p_value == 1.0
    assert (better.decision, worse.decision) == ("promoted", "kept")


def test_what_is_asked_for_names_the_gain_or_the_loss_that_would_be_found() -> None:
    champion = contender("sft", "0" * 12 + "1" * 488)
    near = contender("grpo", "1" * 12 + "0" * 12 + "1" * 476)
    for verdict, aim in (
        (decide(PARAMS, near, champion), "a gain of 2"),
        (
            decide(PARAMS.model_copy(update={"test": "non_inferiority", "margin": 0.015}), near, champion),
            "a loss of less than 1.5",
        ),
    ):
        n = 500 + verdict.more_examples
        assert verdict.reasons[-1] == (
            f"Undecided: {aim} points would be found in {n:,} sealed examples with a chance of 90%; "
            f"that are {verdict.more_examples:,} more."
        )


@pytest.mark.parametrize("name", ["a model", "sft"])  # before and behind the word for none
def test_the_level_is_reported_where_there_was_a_test(name: str) -> None:
    numbers = measure(PARAMS, contender("grpo", "1" * 200), contender(name, "0" * 20 + "1" * 180), Split())
    assert judge(PARAMS, ("grpo", name), numbers, Level(2, 0.01)).alpha == 0.01
    assert decide(PARAMS, contender("grpo", "1" * 200), None).alpha is None


def test_how_far_one_examples_difference_strays_is_counted() -> None:
    # 12 times +1 and 8 times −1 of 500: mean 0.008, mean square 0.04
    champion = contender("sft", "0" * 12 + "1" * 488)
    numbers = measure(PARAMS, contender("grpo", "1" * 12 + "0" * 8 + "1" * 480), champion, Split())
    assert numbers.deviation == pytest.approx((0.04 - 0.008**2) ** 0.5)
    assert numbers.level is not None
    assert (numbers.champion_level, numbers.level.value, numbers.groups) == (0.976, 0.984, None)


def test_without_a_champion_undecided_answers_are_wrong() -> None:
    numbers = measure(
        PARAMS, contender("grpo", "1" * 150, undecided={f"u{at}": "?" for at in range(50)}), None, Split()
    )
    assert numbers.level is not None
    assert (numbers.n, numbers.level.value, numbers.undecided, numbers.best_delta) == (200, 0.75, 50, None)


def graded(name: str, values: list[float]) -> Contender:
    return Contender(name, {f"e{at}": Score(value=value, passed=False) for at, value in enumerate(values)})


def test_validity_respects_groups_of_all_answers_whichever_the_champion_gave() -> None:
    # 400 answers in 100 groups of four, each of one kind; two groups are not valid: the champion has 399 of them
    names = [f"e{at:04}" for at in range(400)]
    split = Split(groups={name: f"g{at // 4}" for at, name in enumerate(names)})
    challenger = contender("grpo", "1" * 400, invalid=frozenset(names[:8]))
    alone, beside = (measure(PARAMS, challenger, champion, split) for champion in (None, contender("sft", "1" * 399)))
    independent = measure(PARAMS, challenger, None, Split())
    assert (alone.validity, beside.validity, independent.valid_effect) == (0.98, 0.98, 1.0)
    assert alone.valid == beside.valid and alone.valid and independent.valid
    assert alone.valid.low < independent.valid.low
    asked = [
        next(bound for bound in bounds(PARAMS.model_copy(update={"min_validity": 0.97}), numbers, "grpo")).needed
        for numbers in (alone, independent)
    ]
    assert asked[0] and asked[1] and asked[0] == pytest.approx(alone.valid_effect * asked[1], abs=1)
    assert alone.valid_effect > 2  # of groups of four that go together


def test_graded_scores_are_compared_by_their_means() -> None:
    params = PARAMS.model_copy(update={"measure": "score"})
    low, high = [0.1 * (at % 5) for at in range(200)], [0.1 * (at % 5) + 0.05 for at in range(200)]
    verdict = opened(params, graded("grpo", high), graded("sft", low))
    assert verdict.decision == decide(params, graded("grpo", high), graded("sft", low)).decision == "promoted"
    assert "grpo scores 0.250, sft 0.200: +5.0 points" in verdict.reasons[2]
    assert decide(PARAMS, graded("grpo", high), graded("sft", low)).decision == "kept"  # nothing is right in whole
    mixed = [value + (0.05 if at % 2 else -0.05) for at, value in enumerate(low)]
    assert decide(params, graded("grpo", mixed), graded("sft", low)).decision == "kept"


def test_a_later_look_is_held_to_a_stricter_level() -> None:
    # 14 fixed, 4 broken: p = 0.031
    champion = contender("sft", "0" * 14 + "1" * 186)
    challenger = contender("grpo", "1" * 14 + "0" * 4 + "1" * 182)
    numbers = measure(PARAMS, challenger, champion, Split())
    first, second = (judge(PARAMS, ("grpo", "sft"), numbers, Level(*at)) for at in ((1, 0.05), (2, 0.05 / 9)))
    assert (first.decision, second.decision) == ("promoted", "kept")
    assert "at alpha 0.00556, look 2 of 10" in second.reasons[2]
    used_up = judge(PARAMS, ("grpo", "sft"), numbers, Level(11, 0.0))
    assert used_up.decision == "kept" and used_up.undecided


def test_a_kept_verdict_can_be_made_again_from_its_record() -> None:
    champion = contender("sft", "0" * 12 + "1" * 488)
    challenger = contender("grpo", "1" * 12 + "0" * 8 + "1" * 480)
    numbers = measure(PARAMS, challenger, champion, Split(sliced(300, 200)))
    verdict = judge(PARAMS, ("grpo", "sft"), numbers, Level(1, 0.05))
    kept = Verdict.model_validate_json(verdict.model_dump_json())
    assert repeated(PARAMS, kept, numbers) == verdict
    assert repeated(PARAMS.model_copy(update={"min_examples": 501}), kept, numbers) != verdict
    for without in (None, kept.numbers):
        with pytest.raises(DataError, match="expected the complete numbers of a decision"):
            repeated(PARAMS, kept, without)
