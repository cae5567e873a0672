"""Advice on a real small run: an API answers its prompts, and what becomes of the advice is kept."""

from dataclasses import replace
from pathlib import Path

import pytest

from components.advice import Advice
from components.data.prepare import Quarantined
from components.records import (
    Comparison,
    Cost,
    Interval,
    Latency,
    Makes,
    RungResult,
    read_record,
    write_jsonl,
    write_record,
)
from components.stages.advise import advise_run, settle
from components.stages.evaluate import Evaluations
from components.stages.run import Run
from components.stages.workbench import RunBench
from components.tracking import NullTracker
from tests.components.stages.conftest import PROMPTS, ROOT, Api, MakeRun, make_prompts, standard

UNTRIED = {"trial_demonstrations": 0, "sampled_examples": 20, "samples": 2, "checked_examples": 20}


@pytest.fixture
def run(make_run: MakeRun, api: Api, record: object) -> Run:
    """Prompts one and two are not understood; three is."""
    api.understood = {PROMPTS["three"]}
    run = make_run(api=api)
    make_prompts(run)
    return replace(run, advice=run.advice.model_copy(update=UNTRIED))


def test_advice_is_measured_on_the_run_and_kept(run: Run) -> None:
    found = advise_run(run, NullTracker(), run.advice)
    known = found.evidence
    assert (known.standing.name, known.standing.accuracy.value, known.standing.n) == ("three", 1.0, 60)
    assert [known.prompts[name].value for name in ("one", "two", "three")] == [0.0, 0.0, 1.0]
    assert (
        known.headroom is not None and known.headroom.pass_1.value == known.headroom.pass_k.value
    )  # the API answers alike each time
    assert known.scoring is not None and known.scoring.false_positives.value == 0.0
    assert known.scoring.reads_reference
    assert found.choice.rung == "stay"  # everything is right already
    assert read_record(run.folder / "advice" / "advice.json", Advice) == found


def test_before_the_first_rung_nothing_stands(make_run: MakeRun) -> None:
    run = make_run()
    bench = RunBench(run)
    assert bench.standing().name == "none" and bench.prompts() == {}
    assert bench.answers() is None and bench.sample(run.examples("dev"), 2) is None
    found = advise_run(run, NullTracker(), run.advice.model_copy(update=UNTRIED))
    assert found.evidence.writing.examples == 60
    assert found.evidence.scoring is not None


def test_a_refused_row_with_a_known_input_is_a_second_answer(run: Run) -> None:
    first = run.examples("dev")[0]
    again = first.model_copy(update={"id": "again", "demonstration": '{"intent": "delivery", "urgent": false}'})
    other = again.model_copy(update={"id": "other", "input": {"text": "nobody knows this one"}})
    rows = [Quarantined(where="rows.csv:1", example=one, reasons=("input is repeated",)) for one in (again, other)]
    write_jsonl(run.folder / "data" / "quarantine.jsonl", rows)
    assert RunBench(run).seconds() == [(first, again.demonstration)]


def evaluated(run: Run, gained: float) -> None:
    """What the evaluation left after SFT has gained so much over prompt three."""
    sure = Interval(value=0.5, low=0.4, high=0.6)
    cost = Cost(usd_per_1k_calls=1, usd_per_year=1, usd_per_1k_correct=1, measured=True)
    versus = Comparison(delta=gained, low=gained - 0.02, high=gained + 0.02, p_value=0.01, fixed=9, broken=1)
    listed: list[tuple[str, str, Makes, str | None]] = [
        ("three", "prompt", "prompt", None),
        ("sft", "sft", "model", "three"),
    ]
    rungs = tuple(
        RungResult(
            name=name, method=method, makes=makes, parent=parent, n=60, accuracy=sure, validity=sure, fields={},
            slices={}, usage={}, latency_ms=Latency(p50=1, p95=1), cost=cost, vs_parent=versus if parent else None,
            seconds=1.0, mlflow_run_id=None,
        )
        for name, method, makes, parent in listed
    )  # fmt: skip
    done = Evaluations(rungs=rungs, contenders=("three", "sft"), incumbent="three")
    write_record(run.folder / "evaluation" / "evaluation.json", done)


def settled(run: Run) -> Advice:
    settle(run, NullTracker())
    return read_record(run.folder / "advice" / "advice.json", Advice)


@pytest.mark.parametrize(("gained", "right"), [(0.0, True), (0.1, False)])
def test_advice_to_stay_was_right_if_nothing_gained_since(run: Run, gained: float, right: bool) -> None:
    advise_run(run, NullTracker(), run.advice)
    evaluated(run, gained)
    found = settled(run)
    assert found.outcome is not None
    assert found.outcome.right is right and found.outcome.rung == "sft"
    evaluated(run, 0.3)
    assert settled(run) == found  # an outcome is not changed afterwards


def test_without_advice_there_is_nothing_to_settle(make_run: MakeRun) -> None:
    run = make_run()
    settle(run, NullTracker())
    assert [path.name for path in run.advice_folder.iterdir()] == ["settled.json"]


@pytest.mark.slow
def test_a_trial_training_is_done_once(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    model = run.profile.model.model_copy(update={"path": str(ROOT / "models" / "nano")})
    sft = {**run.profile.methods["sft"], "packed_tokens": None, "epochs": 1.0}
    changes = {"model": model, "dev_examples": 10, "methods": {**run.profile.methods, "sft": sft}}
    profile = run.profile.model_copy(update=changes)
    run = replace(run, profile=profile, rungs=standard(run.workload, profile))
    found = RunBench(run).learn(16)
    assert found is not None and len(found.answers) == 10 and found.seconds > 0 and found.calls_per_hour > 0
    assert not (tmp_path / "state" / "advice" / run.name / "trial-16").exists()
    again = RunBench(run).learn(16)
    assert again == found  # read, not trained: a second training takes other seconds
