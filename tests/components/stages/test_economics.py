"""A run's economics from its stages' outputs, with expected values derived by hand."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import yaml

from components.ladder import PlannedRung
from components.params import EconomicsParams
from components.records import (
    Completion,
    Cost,
    Example,
    Interval,
    Latency,
    RungResult,
    Usage,
    write_record,
)
from components.stages.economics import account, spent_usd
from components.stages.evaluate import Evaluations
from components.stages.run import PRICES, Best, Run
from tests.components.methods.small import settings
from tests.components.stages.conftest import PRICES as TABLE
from tests.components.stages.conftest import SOURCED, MakeRun, keep_answered, keep_answers, keep_rung

SURE = Interval(value=0.5, low=0.5, high=0.5)


def result(name: str, makes: Any, usd_per_call: float, measured: bool) -> RungResult:
    cost = Cost(usd_per_1k_calls=1000 * usd_per_call, usd_per_year=0, usd_per_1k_correct=None, measured=measured)
    return RungResult(
        name=name, method=name, makes=makes, parent=None, n=60, accuracy=SURE, validity=SURE, fields={}, slices={},
        usage={}, latency_ms=Latency(p50=1, p95=1), cost=cost, vs_parent=None, seconds=1.0, mlflow_run_id=None,
    )  # fmt: skip


def answered(example: Example, right: bool) -> Completion:
    text = example.reference if right else "{}"
    return Completion(example_id=example.id, text=text, usage=Usage(input_tokens=1000, output_tokens=100), latency_ms=1)


@pytest.fixture
def run(make_run: MakeRun) -> Run:
    """A prompt that is right on half of the calls, SFT on three quarters, made in an hour; it answers four a second."""
    run = make_run()
    keep_rung(run, "one")
    keep_rung(run, "sft", seconds=3600.0)
    keep_rung(run, "grpo", seconds=1800.0, starts_from="sft")
    lines = (result("one", "prompt", 0.0, True), result("sft", "model", 1e-4, True))
    done = Evaluations(rungs=lines, contenders=(), incumbent="one")
    write_record(run.folder / "evaluation" / "evaluation.json", done)
    test = run.examples("test")
    keep_answers(run, "one", "test", [answered(example, at % 2 == 0) for at, example in enumerate(test)])
    keep_answers(run, "sft", "test", [answered(example, at % 4 != 0) for at, example in enumerate(test)])
    keep_answered(run, "sft", seconds=15.0)
    return run


def test_an_account_is_drawn_up_from_what_was_kept(run: Run) -> None:
    actual = {rung.name: rung for rung in account(run, date(2026, 11, 23)).rungs}
    # 1,000 × 2 + 100 × 8 = 2,800 µ$ a call of the API; half are right
    assert actual["one"].usd_per_1k_calls.value == pytest.approx(2.8)
    right = actual["one"].usd_per_1k_correct
    assert right is not None and right.value == pytest.approx(5.6)
    assert actual["sft"].usd_per_year[1].value == pytest.approx(100.0)  # a million calls
    # an hour at 0.72 dollars, of which a year saves 2,700
    payback = actual["sft"].payback
    assert payback is not None and payback.years == pytest.approx(0.72 / 2700, rel=1e-3)
    assert payback.date == "2026-11-23"


def test_an_owned_rung_costs_its_machine_at_todays_price(run: Run) -> None:
    machine = {"description": "x", "usd_per_hour": 1.44, "utilisation": 0.25, **SOURCED}
    PRICES.write_text(yaml.safe_dump({**TABLE, "machines": {"laptop_2_cores": machine}}), encoding="utf-8")
    # 14,400 calls a busy hour are 3,600 a paid one: $1.44 / 3,600 = 400 µ$ a call, whatever it was at the evaluation
    assert account(run, date(2026, 11, 23)).rungs[1].usd_per_1k_calls.value == pytest.approx(0.4)


def test_a_rung_costs_what_it_was_made_from_as_well(run: Run) -> None:
    economics = EconomicsParams(usd_per_label=0.1, usd_setup=50)
    dear = run.workload.model_copy(update={"economics": economics})
    actual = spent_usd(replace(run, workload=dear), "grpo")
    assert actual == pytest.approx({"training": 1.08, "labels": 6.0, "set-up": 50.0, "judging": 0.0})
    assert spent_usd(run, "one") == {}


@pytest.mark.parametrize(
    ("teacher", "starts_from", "hours", "answers"),
    [
        ("grpo", None, 1.5 + 0.25, 0.5),
        ("grpo", "sft", 1.5 + 0.25, 0.5),  # SFT counts once
        ("base", None, 0.25, 0.5),
        ("prompts", None, 0.25, 0.5 + 0.28),  # a prompt is not trained; tokens at 2 and 8 dollars a million
    ],
)
def test_a_pupil_costs_what_its_teacher_did_as_well(
    run: Run, teacher: str, starts_from: str | None, hours: float, answers: float
) -> None:
    params = settings("teacher_answers", teacher={"kind": "rung", "rung": teacher, "prompt": "one"}, accept="schema")
    pupil = PlannedRung("pupil", "teacher_answers", params, starts_from or "base", "sft")
    taught = replace(run, rungs=(*run.rungs, pupil))
    keep_rung(taught, "one", seconds=9999.0, prompted=Usage(input_tokens=100_000, output_tokens=10_000))
    write_record(run.folder / "best" / "prompts.json", Best(name="one"))
    keep_rung(taught, "pupil", seconds=900.0, starts_from=starts_from, paid_usd=0.5)
    actual = spent_usd(taught, "pupil")
    assert (actual["training"], actual["answers"]) == (pytest.approx(0.72 * hours), pytest.approx(answers))


def test_errors_that_cost_make_accuracy_pay(run: Run) -> None:
    dear = run.workload.model_copy(update={"economics": EconomicsParams(usd_per_error=0.01)})
    actual = account(replace(run, workload=dear), date(2026, 11, 23)).rungs[1].payback
    # a quarter fewer errors at 0.01 dollars: 2,500 a year more, in two years 10,400 less 0.72
    assert actual is not None and actual.net_usd.value == pytest.approx(2 * (2700 + 2500) - 0.72)
