"""What a call costs: by the length of texts, by the tokens of an API that answered, by the time of a machine."""

from typing import Any

import pytest

from components.evaluation import Measured
from components.records import Completion, Cost, Example, Rung, Usage
from components.stages.answers import Answers
from components.stages.evaluate import _cost, keep, kept
from components.stages.run import Run
from tests.components.stages.conftest import Api, MakeRun

# Texts of 12 and 28 characters; both right answers have 36.
EXAMPLES = [
    Example(id=str(n), input={"text": text}, demonstration="", reference=reference, group="g")
    for n, text in enumerate(("Where is it?", "I want my money back, please"))
    for reference in ['{"intent": "refund", "urgent": true}']
]


def completion(number: int) -> Completion:
    usage = Usage(input_tokens=900, output_tokens=90)
    return Completion(example_id=str(number), text="much longer than any right answer", usage=usage, latency_ms=1.0)


def cost(run: Run, method: Any, name: str = "one") -> Cost:
    """The price of two answers that took half a second, of 900 and 90 tokens each, one of them right."""
    rung = Rung(name=name, method=method, parent=None, params_hash="", data_hash="", seed=0, git_commit="", seconds=0.0)
    answers = Answers([completion(0), completion(1)], seconds=0.5)
    return _cost(run, rung, answers, EXAMPLES)(Measured(900, 90, 0.5))


def test_a_prompt_that_no_api_answered_costs_its_characters_over_four_and_is_not_measured(make_run: MakeRun) -> None:
    # "Sort it." is 8 characters: 8 + (12 + 28) / 2 = 28 in, 36 out; 7 and 9 tokens; 7 x 2 + 9 x 8 = 86 µ$ a call
    found = cost(make_run(), "prompt")
    assert not found.measured
    assert found.usd_per_1k_calls == pytest.approx(0.086)
    assert found.usd_per_year == pytest.approx(86.0)
    assert found.usd_per_1k_correct == pytest.approx(0.172)


def test_a_longer_prompt_costs_more(make_run: MakeRun) -> None:
    # five characters more than "Sort it.": 5 / 4 tokens x 2 µ$
    run = make_run()
    longer = cost(run, "prompt", "two").usd_per_1k_calls - cost(run, "prompt", "one").usd_per_1k_calls
    assert longer == pytest.approx(1.25 * 2 / 1000)


def test_a_prompt_that_an_api_answered_costs_its_tokens(make_run: MakeRun, api: Api) -> None:
    # 900 x 2 + 90 x 8 = 2,520 µ$ a call
    found = cost(make_run(api=api), "prompt")
    assert found.measured and found.usd_per_1k_calls == pytest.approx(2.52)


@pytest.mark.parametrize("method", ["classical", "sft", "grpo"])
def test_an_owned_rung_costs_the_time_of_its_machine(make_run: MakeRun, method: str) -> None:
    # 4 calls a second are 14,400 an hour, 7,200 at half utilisation; $0.72 / 7,200 = 100 µ$ a call
    found = cost(make_run(), method)
    assert found.measured and found.usd_per_1k_calls == pytest.approx(0.1)


def test_completions_are_kept_by_split_and_rung(make_run: MakeRun) -> None:
    run = make_run()
    keep(run, "sealed", "sft", [completion(0), completion(1)])
    keep(run, "test", "sft", [completion(1)])
    assert kept(run, "sealed", "sft") == [completion(0), completion(1)]
    assert kept(run, "test", "sft") == [completion(1)]
