"""A run's forecast is its units times the seconds of each, and a run that does not fit is refused."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from components.records import DataSummary
from components.stages import foretold as telling
from components.stages.bases import Memory
from components.stages.foretold import Forecast, Foretold, depends, forecast, foreseen, of_answers, of_rung
from components.stages.graph import nodes
from components.stages.run import Run
from components.stages.timing import CLOCKS, Measured, Timer, imitating, timed
from flows.reproduce import following
from tests.components.stages.conftest import ROOT, MakeRun

COUNTS = DataSummary(version="v", train=1000, dev=200, test=300, sealed=400, demonstration_accuracy=None)
MEASURED = Measured(
    once_seconds=10.0, unit_seconds=0.5, peak_bytes=7, load_seconds=3.0, answer_seconds=0.1, draw_seconds=0.2
)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(ROOT)
    return Run.of("triage", "nano", "continuum")


def settled(run: Run, name: str, **changes: object) -> object:
    planned = run.planned(name)
    return replace(planned, settings=planned.settings.model_copy(update=changes))


@pytest.mark.parametrize(
    ("name", "changes", "seconds"),
    [
        ("classical", {}, 10 + 1000 * 0.5),
        ("schema", {}, 10 + 200 * 0.5),  # the dev split has fewer than the profile asks
        ("sft", {"epochs": 2.0, "evaluations": 5, "dev_examples": 100}, 10 + 2 * 1000 * 0.5 + 5 * 100 * 0.1),
        (
            "rejection_sampling",
            {"epochs": 1.0, "evaluations": 1, "dev_examples": 100, "sampled_prompts": 4000, "generations": 4},
            10 + 1000 * 0.5 + 100 * 0.1 + 4 * 1000 * 0.2,  # no more prompts than train has
        ),
        (
            "grpo",
            {"steps": 8, "evaluations": 4, "dev_examples": 500, "probe_prompts": 50, "probe_generations": 3},
            10 + 8 * 0.5 + 4 * 200 * 0.1 + 150 * 0.2,
        ),
    ],
)
def test_a_rung_takes_its_units_its_looks_at_dev_and_its_draws(
    name: str, changes: dict[str, object], seconds: float, run: Run
) -> None:
    assert of_rung(settled(run, name, **changes), MEASURED, COUNTS) == pytest.approx(seconds)  # type: ignore[arg-type]


def test_contenders_answer_the_sealed_split_too_and_of_a_group_one(run: Run) -> None:
    must = len(run.workload.must_pass)
    assert of_answers(run, run.planned("sft"), MEASURED, COUNTS) == pytest.approx(3 + (300 + 400 + must) * 0.1)
    prompts = [of_answers(run, group, MEASURED, COUNTS) for group in run.groups["prompts"]]
    assert prompts == pytest.approx([10 + 300 * 0.5] * (len(prompts) - 1) + [10 + (300 + 400 + must) * 0.5])
    quick = Run.of("triage", "nano", "quick")
    assert of_answers(quick, quick.planned("sft"), MEASURED, COUNTS) == pytest.approx(3 + 300 * 0.1)


def test_what_a_part_of_the_data_cannot_show_has_no_forecast(run: Run) -> None:
    preferences = Run.of("triage", "nano", "preferences")
    assert {rung.name for rung in run.rungs if not foreseen(rung)} == {"dpo"}
    assert {rung.name for rung in preferences.rungs if not foreseen(rung)} == {"dpo", "kto"}
    planned, settings = imitating(run.planned("rejection_sampling"))
    assert planned.made_by == run.planned("sft").made_by and not hasattr(settings, "sampled_prompts")


def test_fixed_seconds_are_separated_from_those_of_each_unit() -> None:
    now = 5.0
    taken = {0: 10.0}  # the first time

    def work(n: int, at: int) -> None:
        nonlocal now
        now += taken.get(at, 0.0) + 2.0 * n

    result = timed(work, (4, 16), Timer(lambda: now, 5.0))
    assert (result.once_seconds, result.unit_seconds) == (10.0, 2.0)
    assert result.peak_bytes > 0


def test_the_processors_clock_does_not_run_while_nothing_is_computed() -> None:
    before = CLOCKS["processor"]()
    time.sleep(0.3)
    assert CLOCKS["processor"]() - before < 0.2


def test_a_run_that_needs_more_than_there_is_is_refused() -> None:
    stages = (Foretold(stage="rung-sft", to_do=True, seconds=1.0, peak_bytes=9), Foretold(stage="gate", to_do=False))
    given = Forecast(run="r", stages=stages, disk_bytes=5, free_bytes=5, memory_bytes=9)
    assert telling.refused(given) == ""
    assert "rung-sft takes" in telling.refused(given.model_copy(update={"memory_bytes": 8}))
    assert "disk are free" in telling.refused(given.model_copy(update={"free_bytes": 4}))
    done = given.model_copy(update={"memory_bytes": 8, "stages": (stages[0].model_copy(update={"to_do": False}),)})
    assert telling.refused(done) == ""  # it does not run again
    assert given.seconds == 1.0 and done.seconds == 0.0


def test_weights_that_do_not_fit_are_reported_before_anything_is_measured(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(telling, "memory", lambda: Memory("none to speak of", 10**6))
    monkeypatch.setattr(telling, "STATE", tmp_path)
    result = forecast(run, ["rung-sft"])
    assert "for its weights alone" in result.refused
    assert all(stage.seconds is None for stage in result.stages) and list(tmp_path.iterdir()) == []


def test_stages_after_a_changed_one_have_to_run_too(run: Run) -> None:
    stages = nodes(run)
    assert following(stages, ["data"])[0] == "data" and len(following(stages, ["data"])) == len(stages)
    after = following(stages, ["rung-dpo"])
    assert {"rung-dpo", "answer-dpo", "evaluate", "gate", "report"} == {*after}
    assert following(stages, []) == []


def test_figures_are_kept_for_the_files_that_there_were(make_run: MakeRun) -> None:
    run = make_run()
    before = depends(run)
    assert depends(run) == before
    run.data_source.mkdir(parents=True, exist_ok=True)
    path = run.data_source / "rows.csv"
    path.write_text("text,intent,urgent\n")
    brought = depends(run)
    path.write_text("text,intent,urgent\nwhere is it,delivery,false\n")
    assert len({before, brought, depends(run)}) == 3
