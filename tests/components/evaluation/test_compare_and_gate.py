"""A rung against its parent, and the decision that follows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import DataError
from components.evaluation import Contender, changes, compare
from components.params import GateParams
from components.records import Score
from tests.components.evaluation.first_look import decide, opened

# of 20 valid answers the lower end is 1 / (1 + 1.96² / 20) = 83.9 %
PARAMS = GateParams(alpha=0.05, min_delta=0.0, min_validity=0.8, min_examples=20)


def scores(outcomes: str) -> dict[str, Score]:
    """`1` passed, `0` failed, ids by position."""
    return {f"e{index:03}": Score(value=float(mark), passed=mark == "1") for index, mark in enumerate(outcomes)}


def contender(name: str, outcomes: str, valid: int | None = None) -> Contender:
    """With so many answers that the schema allows; all of them by default."""
    known = scores(outcomes)
    return Contender(name, known, invalid=frozenset() if valid is None else frozenset([*known][valid:]))


def test_fixed_and_broken_are_named() -> None:
    moved = changes(scores("0011"), scores("0110"))
    assert (moved.fixed, moved.broken) == (("e001",), ("e003",))


def test_the_comparison_by_hand() -> None:
    # 9 fixed, 1 broken, 10 unchanged: (9 − 1) / 20, p = 22 / 1024
    comparison = compare(scores("0" * 9 + "1" * 11), scores("1" * 9 + "0" + "1" * 10), seed=0)
    assert (comparison.delta, comparison.fixed, comparison.broken) == (0.4, 9, 1)
    assert comparison.p_value == pytest.approx(0.0215, abs=5e-5)
    assert 0.0 < comparison.low < 0.4 < comparison.high < 0.8


def test_the_order_of_examples_does_not_matter() -> None:
    child = scores("1100")
    assert compare(scores("0110"), child) == compare(scores("0110"), dict(reversed(child.items())))


def test_nothing_decided_in_common_is_refused() -> None:
    with pytest.raises(DataError, match="decided for both, found none"):
        compare({}, {}, groups={})


def test_other_examples_are_refused() -> None:
    with pytest.raises(DataError, match=r"1 only in the parent's and 0 only in the child's, such as e003"):
        compare(scores("0101"), scores("010"))


@given(st.lists(st.tuples(st.sampled_from("01"), st.sampled_from("01")), min_size=1, max_size=40))
def test_delta_is_what_was_fixed_less_what_was_broken(outcomes: list[tuple[str, str]]) -> None:
    before, after = ("".join(side) for side in zip(*outcomes, strict=True))
    comparison = compare(scores(before), scores(after))
    assert comparison.delta == pytest.approx((comparison.fixed - comparison.broken) / len(outcomes))
    assert 0 < comparison.p_value <= 1


def test_a_significantly_better_challenger_is_promoted_with_the_numbers() -> None:
    verdict = opened(PARAMS, contender("grpo", "1" * 9 + "0" + "1" * 10), contender("sft", "0" * 9 + "1" * 11))
    assert (verdict.decision, verdict.champion, verdict.challenger) == ("promoted", "sft", "grpo")
    assert verdict.reasons[0] == "20 sealed examples, at least the 20 that the gate asks for."
    assert "grpo is right on 95.0%, sft on 55.0%: +40.0 points" in verdict.reasons[2]
    assert "9 examples fixed and 1 broken: McNemar's exact test has p = 0.021" in verdict.reasons[3]
    assert verdict.reasons[3].endswith("so grpo is significantly better.")


def test_a_better_challenger_by_chance_is_not_promoted() -> None:
    # 5 fixed, 0 broken: p = 0.0625
    verdict = opened(PARAMS, contender("grpo", "1" * 20), contender("sft", "0" * 5 + "1" * 15))
    assert verdict.decision == "kept"
    assert verdict.reasons[3].endswith("so grpo is not significantly different.")


def test_a_significantly_worse_challenger_is_not_promoted() -> None:
    verdict = opened(
        PARAMS.model_copy(update={"min_delta": -1.0}), contender("grpo", "0" * 20), contender("sft", "1" * 20)
    )
    assert verdict.decision == "kept"
    assert verdict.reasons[3].endswith("so grpo is significantly worse.")


@pytest.mark.parametrize(
    ("change", "valid", "place", "words"),
    [
        ({"min_examples": 21}, 20, 0, "20 sealed examples, below the 21"),
        (
            {},
            18,
            1,
            "90.0% of grpo's answers are valid (95 % interval 69.9% to 97.2%), its lower end below the 80.0%",
        ),
        ({"min_delta": 0.6}, 20, 2, "below the +60.0"),
        ({"alpha": 0.0001}, 20, 3, "not significantly different"),
    ],
)
def test_each_bound_alone_keeps_the_champion(change: dict[str, float], valid: int, place: int, words: str) -> None:
    champion = contender("sft", "0" * 10 + "1" * 10)
    assert decide(PARAMS, contender("grpo", "1" * 20), champion).decision == "promoted"
    challenger = contender("grpo", "1" * 20, valid)
    verdict = opened(PARAMS.model_copy(update=change), challenger, champion)
    assert verdict.decision == decide(PARAMS.model_copy(update=change), challenger, champion).decision == "kept"
    assert words in verdict.reasons[place]


def test_without_a_champion_the_bounds_decide() -> None:
    assert decide(PARAMS, contender("sft", "0" * 15 + "1" * 5), None).decision == "promoted"
    assert decide(PARAMS, contender("sft", "1" * 20, valid=18), None).decision == "kept"
    assert decide(PARAMS, contender("sft", "1" * 19), None).decision == "kept"


def test_validity_is_judged_by_the_lower_end_of_its_interval_and_asks_for_what_would_settle_it() -> None:
    # 196 of 200 are 98 %, from 95.0 % on: Wilson's low end of 196 / 200 is 0.9497
    params = GateParams(min_examples=100)
    near, enough = (decide(params, contender("sft", "1" * 200, valid=n), None) for n in (196, 197))
    assert (near.decision, near.undecided, enough.decision) == ("kept", True, "promoted")
    assert 200 + near.more_examples <= 215  # at 98 % the low end reaches 95 % somewhat above 200
    below = decide(params, contender("sft", "1" * 200, valid=188), None)
    assert (below.decision, below.undecided) == ("kept", False)  # 94 %: more examples do not help


def test_a_gate_without_sealed_scores_does_not_decide() -> None:
    with pytest.raises(DataError, match="answers of sft that the scorer decides, found none of 0"):
        decide(PARAMS, contender("sft", ""), None)
    unread = Contender("sft", {}, undecided={"a": "?", "b": "?"})
    with pytest.raises(DataError, match="answers of sft that the scorer decides, found none of 2"):
        decide(PARAMS, unread, contender("prompt", "10"))
    elsewhere = Contender("prompt", {"elsewhere": contender("prompt", "1").scores["e000"]})
    with pytest.raises(DataError, match="examples that sft and prompt answered, found none"):
        decide(PARAMS, contender("sft", "1"), elsewhere)
