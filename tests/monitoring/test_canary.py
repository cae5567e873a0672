"""When a canary is withdrawn: worse with confidence, in validity or in score."""

from components.records import Observation
from monitoring.canary import judge


def answers(n: int, right: int, valid: int, scored: bool = True) -> list[Observation]:
    return [
        Observation(
            input={"a": "b"}, text="{}", output_tokens=1, valid=at < valid,
            score=float(at < right) if scored else None,
        )
        for at in range(n)
    ]  # fmt: skip


def test_an_equal_canary_is_promoted() -> None:
    assert judge(answers(900, 850, 899), answers(100, 93, 100), 0.05).decision == "promoted"


def test_a_canary_that_is_wrong_more_often_is_withdrawn() -> None:
    found = judge(answers(900, 850, 899), answers(100, 80, 100), 0.05)
    assert found.decision == "withdrawn"
    assert "80.0% of 100 answers of the canary are right, 94.4% of 900 of the champion: worse" in found.reasons[1]


def test_a_canary_that_breaks_the_schema_is_withdrawn_without_any_score() -> None:
    found = judge(answers(900, 0, 899, scored=False), answers(100, 0, 90, scored=False), 0.05)
    assert (found.decision, "worse with" in found.reasons[1]) == ("withdrawn", False)


def test_a_better_canary_is_promoted_and_a_silent_one_too() -> None:
    assert judge(answers(900, 700, 899), answers(100, 99, 100), 0.05).decision == "promoted"
    assert judge(answers(900, 700, 899), [], 0.05).decision == "promoted"
