"""A judge's verdicts in a stage: asked for once, and recorded with their price."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from components.params import ScorerParams
from components.records import Completion, Usage
from components.scorers import verdicts
from components.scorers.verdicts import Spent
from components.stages.judging import WORKERS, leave_spent, tell_judge, workers_spending
from components.stages.scoring import score
from components.tracking import NullTracker
from tests.components.scorers.judge_server import RUBRIC, judging
from tests.components.stages.conftest import MakeRun, example


class Notes(NullTracker):
    """A tracker that remembers."""

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}

    def metrics(self, values: dict[str, float], step: int | None = None) -> None:
        self.numbers |= values


@pytest.fixture
def totals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without any verdicts so far."""
    monkeypatch.setattr(verdicts, "_TOTALS", {})


def judged_by(port: int, tmp_path: Path, model: str) -> ScorerParams:
    (tmp_path / "rubric.md").write_text(RUBRIC)
    api = {"base_url": f"http://127.0.0.1:{port}/v1", "key_variable": None, "max_retries": 0}
    judge = {"model": model, "rubric": str(tmp_path / "rubric.md"), "api": api, "cache": str(tmp_path / "judge")}
    return ScorerParams.model_validate({"weighted": {"json_schema": 1, "judge": 1}, "judge": judge})


@pytest.mark.parametrize(("model", "usd"), [("big", 2 * (100 * 2 + 10 * 8) / 1e6), ("unpriced", 0.0)])
def test_verdicts_are_recorded_with_their_price_and_repeated_for_free(
    make_run: MakeRun, totals: None, tmp_path: Path, model: str, usd: float
) -> None:
    run = make_run()
    examples = [example(number) for number in range(2)]
    usage = Usage(input_tokens=1, output_tokens=1)
    texts = [json.dumps({"intent": "refund", "urgent": True}), "thank you"]
    completions = [
        Completion(example_id=each.id, text=text, usage=usage, latency_ms=1.0)
        for each, text in zip(examples, texts, strict=True)
    ]
    with judging() as server:
        params = judged_by(server.server_port, tmp_path, model)
        run = replace(run, workload=run.workload.model_copy(update={"scorer": params}))
        result = [score(run, examples, completions) for _ in range(2)]
    assert [each.value for each in result[1].values()] == [0.5, 0.5]  # valid without thanks; thanks that are no object
    notes = Notes()
    assert tell_judge(run, notes) == pytest.approx(usd)
    assert notes.numbers == {
        "judge/verdicts": 2, "judge/remembered": 2, "judge/input_tokens": 200, "judge/output_tokens": 20,
        "judge/usd": pytest.approx(usd),
    }  # fmt: skip


def test_without_a_judge_nothing_is_recorded(make_run: MakeRun, totals: None) -> None:
    notes = Notes()
    assert (tell_judge(make_run(), notes), notes.numbers) == (0.0, {})


def test_what_judges_took_in_a_stages_workers_is_recorded_with_the_stage(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = Notes()
    monkeypatch.setenv(WORKERS, "restored after the test")
    with workers_spending() as folder:
        for rank, tokens in (("0", 100), ("1", 50)):
            monkeypatch.setenv("RANK", rank)
            spent = Spent(asked=2, remembered=1, input_tokens=tokens, output_tokens=10)
            monkeypatch.setattr(verdicts, "_TOTALS", {"big": spent})
            leave_spent()
        monkeypatch.setattr(verdicts, "_TOTALS", {"big": Spent(asked=1, input_tokens=7, output_tokens=1)})
        usd = tell_judge(make_run(), notes, folder)
    assert usd == pytest.approx((157 * 2 + 21 * 8) / 1e6)
    assert notes.numbers == {
        "judge/verdicts": 5, "judge/remembered": 2, "judge/input_tokens": 157, "judge/output_tokens": 21,
        "judge/usd": pytest.approx(usd),
    }  # fmt: skip
