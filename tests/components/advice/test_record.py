"""Whether an advice was right is decided by the rung that followed it, and by no other."""

import pytest

from components.advice import Asked, Rung, advise, outcome
from components.records import Comparison, Cost, Interval, Latency, Makes, Need, RungResult
from tests.components.advice.test_rule import PARAMS, known


def made(name: str, method: str, needs: tuple[Need, ...], makes: Makes = "model", gained: float = 0.1) -> RungResult:
    """A rung with the given gain on test over the prompt that stands."""
    sure = Interval(value=0.5, low=0.4, high=0.6)
    versus = Comparison(delta=gained, low=gained - 0.02, high=gained + 0.02, p_value=0.01, fixed=9, broken=1)
    return RungResult(
        name=name, method=method, makes=makes, parent="prompt", needs=needs, n=60, accuracy=sure, validity=sure,
        fields={}, slices={}, usage={}, latency_ms=Latency(p50=1, p95=1),
        cost=Cost(usd_per_1k_calls=1, usd_per_year=1, usd_per_1k_correct=1, measured=True), vs_parent=versus,
        seconds=1.0, mlflow_run_id=None,
    )  # fmt: skip


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
    given = advise(known(), PARAMS, Asked(workload="w", profile="p", at="", data_version="", mlflow_run_id=None))
    choice = given.choice.model_copy(update={"rung": advised, "gain": Interval(value=0.1, low=0.05, high=0.2)})
    rungs = [made("prompt", "prompt", (), "prompt"), made("new", method, needs)]
    became = outcome(given.model_copy(update={"choice": choice}), rungs, PARAMS.min_gain)
    assert (became is not None and became.right) is follows


def test_a_prompt_with_examples_does_not_settle_advice_for_a_written_one() -> None:
    given = advise(known(), PARAMS, Asked(workload="w", profile="p", at="", data_version="", mlflow_run_id=None))
    choice = given.choice.model_copy(update={"rung": "prompt"})
    rungs = [made("prompt", "prompt", (), "prompt"), made("similar", "few_shot", ("demonstrations",), "prompt")]
    assert outcome(given.model_copy(update={"choice": choice}), rungs, PARAMS.min_gain) is None
