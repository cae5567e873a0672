"""What a call costs: by the length of texts, by the tokens of an API that answered, by the time of a machine."""

import pytest

from components.evaluation import Measured
from components.records import Completion, Cost, Example, Usage
from components.stages.answers import answers_folder, completions_of
from components.stages.evaluate import _cost
from components.stages.run import Run
from tests.components.stages.conftest import Api, MakeRun, keep_answered, keep_answers, keep_rung

# Texts of 12 and 28 characters; both right answers have 36.
EXAMPLES = [
    Example(id=str(n), input={"text": text}, demonstration="", reference=reference, group=str(n))
    for n, text in enumerate(("Where is it?", "I want my money back, please"))
    for reference in ['{"intent": "refund", "urgent": true}']
]


def cost(run: Run, name: str = "one") -> Cost:
    """The price of two answers that took half a second, of 900 and 90 tokens each, one of them right."""
    made = keep_rung(run, name)
    keep_answered(run, name, seconds=0.5)
    return _cost(run, made, EXAMPLES)(Measured(900, 90, 0.5))


def test_a_prompt_that_no_api_answered_costs_its_characters_over_four_and_is_not_measured(make_run: MakeRun) -> None:
    # "Sort it." is 8 characters: 8 + (12 + 28) / 2 = 28 in, 36 out; 7 and 9 tokens; 7 x 2 + 9 x 8 = 86 µ$ a call
    result = cost(make_run())
    assert not result.measured
    assert result.usd_per_1k_calls == pytest.approx(0.086)
    assert result.usd_per_year == pytest.approx(86.0)
    assert result.usd_per_1k_correct == pytest.approx(0.172)


def test_a_longer_prompt_costs_more(make_run: MakeRun) -> None:
    # five characters more than "Sort it.": 5 / 4 tokens x 2 µ$
    run = make_run()
    longer = cost(run, "two").usd_per_1k_calls - cost(run, "one").usd_per_1k_calls
    assert longer == pytest.approx(1.25 * 2 / 1000)


def test_a_prompt_that_an_api_answered_costs_its_tokens(make_run: MakeRun, api: Api) -> None:
    # 900 x 2 + 90 x 8 = 2,520 µ$ a call
    result = cost(make_run(api=api))
    assert result.measured and result.usd_per_1k_calls == pytest.approx(2.52)


@pytest.mark.parametrize("name", ["classical", "sft", "grpo"])
def test_an_owned_rung_costs_the_time_of_its_machine(make_run: MakeRun, name: str) -> None:
    # 4 calls a second are 14,400 an hour, 7,200 at half utilisation; $0.72 / 7,200 = 100 µ$ a call
    result = cost(make_run(), name)
    assert result.measured and result.usd_per_1k_calls == pytest.approx(0.1)


def test_completions_and_scores_are_kept_by_rung_and_split(make_run: MakeRun) -> None:
    run, usage = make_run(), Usage(input_tokens=1, output_tokens=1)
    answers = [
        Completion(example_id=example.id, text=example.reference, usage=usage, latency_ms=1.0)
        for example in run.examples("sealed")
    ]
    keep_answers(run, "sft", "sealed", answers)
    assert completions_of(run, "sealed", "sft") == answers
    assert {path.name for path in answers_folder(run, "sft").iterdir()} == {"sealed.jsonl", "sealed.scores.jsonl"}
