"""How a stage handles answers that the workload's scorer fails on."""

from dataclasses import replace

import pytest

from components.errors import ScorerError
from components.params import ScorerParams
from components.records import Completion, Example, Usage
from components.stages.scoring import score, scorer, sealed_scorer
from tests.components.stages.conftest import MakeRun, example


def answered(broken: int) -> tuple[list[Example], list[Completion]]:
    """Sixty right answers, some of them to examples whose reference no scorer can read."""
    examples = [example(number) for number in range(60)]
    usage = Usage(input_tokens=1, output_tokens=1)
    completions = [
        Completion(example_id=each.id, text=each.reference, usage=usage, latency_ms=1.0) for each in examples
    ]
    unread = [each.model_copy(update={"reference": "?"}) for each in examples[:broken]]
    return [*unread, *examples[broken:]], completions


def test_an_answer_in_sixty_is_left_out_and_two_stop_the_stage(make_run: MakeRun) -> None:
    run = make_run()
    result = score(run, *answered(1))
    assert len(result) == 59 and all(each.passed for each in result.values())
    with pytest.raises(ScorerError, match=r"at most 2.0% of answers .* found 2 of 60, first: .*example test-000"):
        score(run, *answered(2))


def test_the_share_is_the_workloads_own(make_run: MakeRun) -> None:
    run = make_run()
    lenient = run.workload.scorer.model_copy(update={"max_failed_share": 0.5})
    run = replace(run, workload=run.workload.model_copy(update={"scorer": lenient}))
    assert len(score(run, *answered(30))) == 30


def test_a_scorer_is_opened_once_a_process_and_the_sealed_one_apart(make_run: MakeRun) -> None:
    run = make_run()
    assert scorer(run) is scorer(run)
    assert sealed_scorer(run) is None
    sealed = ScorerParams(weighted={"exact": 1})
    run = replace(run, workload=run.workload.model_copy(update={"sealed_scorer": sealed}))
    assert sealed_scorer(run) is not None and sealed_scorer(run) is not scorer(run)
