"""Comparison of a reproduced version: equal outputs are identical, each difference is named."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from components.records import Completion, Judged, Observation, Score, Usage, write_jsonl
from components.registry import Recipe, Version, addresses
from components.registry.store import artifact_root
from components.stages.graph import graph
from components.stages.reproduce import _environment, compare, needed
from components.stages.run import Run

USAGE = Usage(input_tokens=5, output_tokens=2)
TEXTS = ["yes", "no", "yes", "mail jo@example.com"]


def outputs(folder: Path, texts: list[str], shift: float = 0.0, dev_score: float = 0.75) -> Path:
    """What the stages of a run leave of an SFT rung that is right on two of three test examples."""
    for name, content in {
        "data/report.json": {"summary": {"version": "d1"}},
        "rungs/sft/result.json": {"params_hash": "p1", "seed": 7, "dev_score": dev_score},
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    answers = [
        Completion(
            example_id=str(at), text=text, usage=Usage(input_tokens=5, output_tokens=2), latency_ms=1, confidence=0.5
        )
        for at, text in enumerate(texts)
    ]
    write_jsonl(folder / "answers" / "sft" / "test.jsonl", answers[:3])
    write_jsonl(folder / "answers" / "sft" / "sealed.jsonl", answers[3:])
    judge(folder, [True, False, True])
    model = folder / "rungs" / "sft" / "artifact"
    model.mkdir()
    save_file({"w": torch.ones(4) + shift, "b": torch.zeros(2, dtype=torch.bfloat16)}, model / "model.safetensors")
    (model / "prompt.md").write_text("Sort.", encoding="utf-8")
    return folder


def judge(folder: Path, passed: list[bool | None]) -> None:
    """Keep what the scorer said of the test answers; None is undecided, and such an answer invalid."""
    scores = [None if right is None else Score(value=right, passed=right) for right in passed]
    judged = [Judged(example_id=str(at), valid=score is not None, score=score) for at, score in enumerate(scores)]
    write_jsonl(folder / "answers" / "sft" / "test.scores.jsonl", judged)


def observed() -> list[Observation]:
    """What was registered, personal data masked."""
    texts = [*TEXTS[:3], "mail <EMAIL>"]
    from components.data.masking import mask

    texts[3] = mask(TEXTS[3])
    return [
        Observation(input={}, text=text, output_tokens=2, valid=True, confidence=0.5, score=float(at != 1))
        for at, text in enumerate(texts)
    ]


def recipe(registered: Path, **changes: Any) -> Recipe:
    version = Version(3, "sft", "model", "short", registered / "rungs" / "sft" / "artifact")
    made: dict[str, Any] = {
        "version": version, "rung": "sft", "run": "shop-nano", "commit": "c", "dirty": False, "data_hash": "d1",
        "params_hash": "p1", "seed": 7, "dev_score": 0.75, "threads": 1,
    }  # fmt: skip
    return Recipe(**{**made, **changes})


@pytest.fixture
def registered(tmp_path: Path) -> Path:
    return outputs(tmp_path / "registered", TEXTS)


def test_the_same_outputs_are_identical(registered: Path, tmp_path: Path) -> None:
    result = list(compare(recipe(registered), outputs(tmp_path / "again", TEXTS), observed()))
    assert all(each.same for each in result), [each for each in result if not each.same]
    assert {each.what for each in result} >= {
        "data version", "settings", "seed", "score on dev", "accuracy on test", "answers to test and sealed",
        "confidence of the answers", "model.safetensors", "prompt.md",
    }  # fmt: skip


def test_weights_that_differ_are_measured(registered: Path, tmp_path: Path) -> None:
    result = compare(recipe(registered), outputs(tmp_path / "again", TEXTS, shift=0.25), observed())
    (odd,) = [each for each in result if not each.same]
    assert odd.what == "model.safetensors"
    assert odd.found.endswith("at most 0.25 apart, in 1 of 2 tensors")


def test_an_answer_that_differs_is_counted(registered: Path, tmp_path: Path) -> None:
    result = compare(recipe(registered), outputs(tmp_path / "again", [*TEXTS[:3], "other"]), observed())
    (odd,) = [each for each in result if not each.same]
    assert (odd.what, odd.found) == ("answers to test and sealed", "3 alike of 4")


def test_an_answer_that_the_scorer_could_not_decide_makes_no_difference(registered: Path, tmp_path: Path) -> None:
    again, answered = outputs(tmp_path / "again", TEXTS), observed()
    answered[0] = answered[0].model_copy(update={"score": None, "valid": False})
    judge(again, [None, False, True])
    assert [each for each in compare(recipe(registered), again, answered) if not each.same] == []


def test_other_verdicts_on_the_same_answers_are_named(registered: Path, tmp_path: Path) -> None:
    again = outputs(tmp_path / "again", TEXTS)
    judge(again, [None, None, None])
    odd = [each for each in compare(recipe(registered), again, observed()) if not each.same]
    assert [(each.what, each.found) for each in odd] == [("accuracy on test", "None"), ("validity on test", "0.0")]


def test_what_is_recorded_again_stays_out_of_the_shared_record(
    registered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = {
        "GRADUS_RECORD": "postgresql+psycopg2://me@db/mlflow", "GRADUS_ARTIFACTS": "s3://team/mlflow",
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
    }  # fmt: skip
    for name, value in shared.items():
        monkeypatch.setenv(name, value)
    own = _environment(recipe(registered), tmp_path)
    state = tmp_path / "state"
    assert addresses(own, Path.cwd()) == (f"sqlite:///{state / 'mlflow.db'}", state / "mlflow-artifacts")
    assert artifact_root(own, Path.cwd()) == (state / "mlflow-artifacts").as_uri()


def test_only_what_a_rung_depends_on_is_made_again() -> None:
    run = Run.of("triage", "nano", "continuum")
    stages = graph(run)["stages"]
    assert needed(stages, "sft") == ["data", "rung-sft", "answer-sft"]
    assert needed(stages, "rejection_sampling") == [
        "data", "rung-classical", "rung-sft", "certify", "rung-rejection_sampling", "answer-rejection_sampling"
    ]  # fmt: skip
    assert {"rung-loose", "best-prompts", "answer-loose"} < set(needed(stages, "loose"))


def test_other_data_settings_and_scores_are_named(registered: Path, tmp_path: Path) -> None:
    other = recipe(registered, data_hash="d0", params_hash="p0", seed=8)
    result = compare(other, outputs(tmp_path / "again", TEXTS, dev_score=0.5), observed())
    assert [each.what for each in result if not each.same] == ["data version", "settings", "seed", "score on dev"]
