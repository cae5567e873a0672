"""Whether an advice was right is decided by the rung that followed it, and by no other."""

import pytest

from components.advice import Advice, Asked, Rung, Standing, advise, none_standing, outcome
from components.records import Comparison, Cost, Interval, Latency, Makes, Need, RungResult
from tests.components.advice.test_rule import PARAMS, known


def made(
    name: str, method: str, needs: tuple[Need, ...], makes: Makes = "model", *, gained: float = 0.1,
    parent: str = "prompt", accuracy: float = 0.5,
) -> RungResult:  # fmt: skip
    """A rung with the given gain on test over its parent, the prompt that stands unless another is given."""
    sure = Interval(value=accuracy, low=accuracy - 0.1, high=min(1.0, accuracy + 0.1))
    versus = Comparison(delta=gained, low=gained - 0.02, high=gained + 0.02, p_value=0.01, fixed=9, broken=1)
    return RungResult(
        name=name, method=method, makes=makes, parent=parent, needs=needs, n=60, accuracy=sure, validity=sure,
        fields={}, slices={}, usage={}, latency_ms=Latency(p50=1, p95=1),
        cost=Cost(usd_per_1k_calls=1, usd_per_year=1, usd_per_1k_correct=1, measured=True), vs_parent=versus,
        seconds=1.0, mlflow_run_id=None,
    )  # fmt: skip


def given(rung: Rung, low: float = 0.05, high: float = 0.2, standing: Standing | None = None) -> Advice:
    """Advice for a rung, with the interval of its gain; a prompt stands unless something else is given."""
    evidence = known(standing=standing) if standing else known()
    whole = advise(evidence, PARAMS, Asked(workload="w", profile="p", at="", data_version="", mlflow_run_id=None))
    gain = Interval(value=(low + high) / 2, low=low, high=high)
    return whole.model_copy(update={"choice": whole.choice.model_copy(update={"rung": rung, "gain": gain})})


def test_where_nothing_stood_all_that_the_rung_answers_right_is_gained() -> None:
    rungs = [
        made("prompt", "prompt", (), "prompt", accuracy=0.7),
        made("sft", "sft", ("demonstrations",), gained=0.2, accuracy=0.9),
    ]
    became = outcome(given("imitate", 0.75, 0.95, none_standing()), rungs, PARAMS.min_gain)
    assert became is not None and became.right and became.gain.value == 0.9


def test_staying_was_right_where_later_rungs_only_beat_each_other() -> None:
    rungs = [
        made("prompt", "prompt", (), "prompt", accuracy=0.95),
        made("sft", "sft", ("demonstrations",), gained=-0.25, accuracy=0.7),
        made("grpo", "grpo", ("reward",), gained=0.15, parent="sft", accuracy=0.85),
    ]
    became = outcome(given("stay"), rungs, PARAMS.min_gain)
    assert became is not None and became.right
    # By their own intervals: GRPO's lower end of 75 % is 25 points below 100 %, SFT's paired one 27 below.
    assert (became.rung, became.gain.value) == ("grpo", pytest.approx(-0.1))
    assert became.gain.low == pytest.approx(-0.25)


def test_staying_was_wrong_where_any_later_rung_surely_gained() -> None:
    rungs = [
        made("prompt", "prompt", (), "prompt"),
        made("sft", "sft", ("demonstrations",), gained=0.1, accuracy=0.6),  # 8 to 12 points, paired
        made("grpo", "grpo", ("reward",), gained=0.05, parent="sft", accuracy=0.65),  # −5 to 35 over the prompt
    ]
    became = outcome(given("stay"), rungs, PARAMS.min_gain)
    assert became is not None and not became.right and (became.rung, became.gain.value) == ("sft", 0.1)


@pytest.mark.parametrize(
    ("advised", "method", "needs", "follows"),
    [
        ("relabel", "relabel", ("demonstrations", "suspects"), True),
        ("relabel", "sft", ("demonstrations",), False),
        ("imitate", "relabel", ("demonstrations", "suspects"), False),
        ("imitate", "sft", ("demonstrations",), True),
        ("reward", "rejection_sampling", ("reward",), False),
        ("reward", "grpo", ("reward",), True),
        ("pairs", "dpo", ("preferences", "novelty"), True),
        ("label", "synthetic", ("demonstrations", "novelty"), False),
        ("label", "sft", ("demonstrations",), True),
    ],
)
def test_advice_is_judged_by_a_rung_of_its_own_method(
    advised: Rung, method: str, needs: tuple[Need, ...], follows: bool
) -> None:
    rungs = [made("prompt", "prompt", (), "prompt"), made("new", method, needs)]
    became = outcome(given(advised), rungs, PARAMS.min_gain)
    assert (became is not None and became.right) is follows


def test_a_prompt_with_examples_does_not_settle_advice_for_a_written_one() -> None:
    rungs = [made("prompt", "prompt", (), "prompt"), made("similar", "few_shot", ("demonstrations",), "prompt")]
    assert outcome(given("prompt"), rungs, PARAMS.min_gain) is None
