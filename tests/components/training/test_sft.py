import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from components.errors import ConfigError, TrainingError
from components.methods.sft.settings import SftParams
from components.methods.sft.trainer import AnswerTrainer
from components.methods.sft.training import train_sft
from components.models import open_model
from components.params import LoraParams
from components.records import Rung, read_record, write_record
from components.tracking import NullTracker
from components.training import TrainingTask
from components.training.memory import recomputed

PARAMS = SftParams(
    epochs=3,
    learning_rate=0.01,
    batch_examples=4,
    device_batch_examples=4,
    evaluations=3,
    patience=3,
    max_tokens=200,
)
MakeTask = Callable[..., TrainingTask]


class Ledger(NullTracker):
    """A tracker that remembers."""

    def __init__(self) -> None:
        self.told: list[tuple[int | None, dict[str, float]]] = []

    def metrics(self, values: dict[str, float], step: int | None = None) -> None:
        self.told.append((step, values))


class Judge:
    """Scores in a given order; stops the run where the order ends."""

    def __init__(self, *scores: float) -> None:
        self.left = list(scores)

    def __call__(self, model: Any, tokenizer: Any) -> float:
        assert not model.training
        if not self.left:
            raise KeyboardInterrupt
        return self.left.pop(0)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_training_lowers_the_loss_and_leaves_a_model_folder(make_task: MakeTask) -> None:
    task, ledger = make_task(score_dev=Judge(0.1, 0.2, 0.3)), Ledger()
    trained = train_sft(task, PARAMS, ledger)
    losses = [value for _, value in trained.curves["loss"]]
    assert losses[-1] < 0.8 * losses[0]
    assert (trained.best_step, trained.dev_score, trained.steps) == (6, 0.3, 6)
    assert trained.curves["dev_score"] == [(2, 0.1), (4, 0.2), (6, 0.3)]
    assert [v["train/dev_score"] for _, v in ledger.told if "train/dev_score" in v] == [0.1, 0.2, 0.3]
    model, tokenizer = open_model(task.out)
    assert tokenizer.chat_template
    assert not torch.equal(model.lm_head.weight, open_model(task.model)[0].lm_head.weight)


def test_the_best_weights_are_kept_and_patience_ends_the_training(make_task: MakeTask, tmp_path: Path) -> None:
    judged = make_task(score_dev=Judge(0.9, 0.1), work=tmp_path / "a", out=tmp_path / "best")
    trained = train_sft(judged, PARAMS.model_copy(update={"patience": 1}), NullTracker())
    assert (trained.best_step, trained.steps) == (2, 4)
    cut = make_task(score_dev=Judge(0.9), work=tmp_path / "b", out=tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        train_sft(cut, PARAMS, NullTracker())
    for name, tensor in weights(tmp_path / "best").items():
        torch.testing.assert_close(tensor, weights(tmp_path / "b" / "best-2")[name], rtol=0, atol=0)


def test_a_killed_training_ends_with_the_same_weights(make_task: MakeTask, tmp_path: Path) -> None:
    train_sft(make_task(score_dev=Judge(0.1, 0.2, 0.3), work=tmp_path / "a"), PARAMS, NullTracker())
    whole = weights(tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        train_sft(make_task(score_dev=Judge(0.1)), PARAMS, NullTracker())
    (tmp_path / "work" / "checkpoint-3").mkdir()  # as a kill while writing leaves it
    trained = train_sft(make_task(score_dev=Judge(0.2, 0.3)), PARAMS, NullTracker())
    assert trained.curves["dev_score"] == [(2, 0.1), (4, 0.2), (6, 0.3)]
    for name, tensor in weights(tmp_path / "out").items():
        torch.testing.assert_close(tensor, whole[name], rtol=0, atol=0)


def test_a_finished_training_is_published_again_without_a_step(make_task: MakeTask, tmp_path: Path) -> None:
    first = train_sft(make_task(score_dev=Judge(0.1, 0.2, 0.3)), PARAMS, NullTracker())
    shutil.rmtree(tmp_path / "out")
    assert train_sft(make_task(score_dev=Judge()), PARAMS, NullTracker()) == first
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_checkpoints_of_other_settings_or_data_are_refused(make_task: MakeTask, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_sft(make_task(score_dev=Judge(0.1)), PARAMS, NullTracker())
    with pytest.raises(TrainingError, match="remove the folder"):
        train_sft(make_task(), PARAMS.model_copy(update={"learning_rate": 0.02}), NullTracker())
    with pytest.raises(TrainingError, match="remove the folder"):
        train_sft(make_task(train=make_task().train[:7]), PARAMS, NullTracker())
    assert not (tmp_path / "out").exists()


def test_a_loss_that_is_not_finite_ends_the_training_and_leaves_the_old_result(
    make_task: MakeTask, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(TrainingError, match=r"finite loss, found (nan|inf)"):
        train_sft(make_task(), PARAMS.model_copy(update={"learning_rate": 1e38}), NullTracker())
    assert list((tmp_path / "out").iterdir()) == []


def test_what_a_failed_training_advises_can_be_followed(make_task: MakeTask, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"with weights that are not finite; lower the learning rate"):
        train_sft(make_task(), PARAMS.model_copy(update={"learning_rate": 1e38}), NullTracker())
    assert list((tmp_path / "work").iterdir()) == []
    assert train_sft(make_task(), PARAMS, NullTracker()).steps == 6


FOUR_STEPS = PARAMS.model_copy(update={"batch_examples": 2, "device_batch_examples": 2, "epochs": 1, "evaluations": 1})


@pytest.fixture
def undefined(monkeypatch: pytest.MonkeyPatch) -> Callable[[set[int]], list[float]]:
    """Makes the loss NaN at some steps of the next training; returns the list that its losses go to."""
    loss_of = AnswerTrainer.compute_loss

    def make(steps: set[int]) -> list[float]:
        losses: list[float] = []

        def loss(*args: Any, **kwargs: Any) -> Any:
            result = loss_of(*args, **kwargs) * (float("nan") if len(losses) + 1 in steps else 1.0)
            losses.append(float(result))
            return result

        monkeypatch.setattr(AnswerTrainer, "compute_loss", loss)
        return losses

    return make


def test_a_step_without_a_finite_gradient_is_left_out_and_several_end_the_training(
    make_task: MakeTask,
    tmp_path: Path,
    undefined: Callable[[set[int]], list[float]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    undefined({2})
    train_sft(make_task(), FOUR_STEPS, NullTracker())
    assert "Step 2 has a gradient of nan" in caplog.text
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert all(bool(torch.isfinite(weight).all()) for weight in weights.values())

    undefined({1, 2, 3})
    with pytest.raises(TrainingError, match=r"finite loss, found nan and a gradient of nan at step 3, as in the 2"):
        train_sft(make_task(work=tmp_path / "other"), FOUR_STEPS, NullTracker())


def test_a_step_that_is_left_out_spoils_no_later_loss_and_no_record(
    make_task: MakeTask, tmp_path: Path, undefined: Callable[[set[int]], list[float]]
) -> None:
    losses, ledger = undefined({2}), Ledger()
    trained = train_sft(make_task(), FOUR_STEPS, ledger)
    assert trained.curves["loss"] == [
        (step, pytest.approx(losses[step - 1], abs=1e-4)) for step in (1, 3, 4)
    ]  # 2 is left out
    assert len([values for _, values in ledger.told if "train/loss" in values]) == 3
    made = Rung(
        name="sft", method="sft", makes="model", params_hash="p", data_hash="d", seed=1, git_commit="c",
        seconds=trained.seconds, curves=trained.curves,
    )  # fmt: skip
    write_record(tmp_path / "result.json", made)
    assert read_record(tmp_path / "result.json", Rung) == made


def test_a_loss_that_is_logged_for_several_steps_is_the_mean_of_those_that_were_taken(
    make_task: MakeTask, monkeypatch: pytest.MonkeyPatch, undefined: Callable[[set[int]], list[float]]
) -> None:
    monkeypatch.setattr("components.training.dev.LOG_POINTS", 1)  # one for all four steps
    losses = undefined({3})
    trained = train_sft(make_task(), FOUR_STEPS, NullTracker())
    taken = [losses[step - 1] for step in (1, 2, 4)]
    assert trained.curves["loss"] == [(4, pytest.approx(fmean(taken), abs=1e-4))]


def test_every_step_is_computed_without_cudnn_s_attention(make_task: MakeTask, monkeypatch: pytest.MonkeyPatch) -> None:
    enabled, loss_of = list[bool](), AnswerTrainer.compute_loss

    def loss(*args: Any, **kwargs: Any) -> Any:
        enabled.append(torch.backends.cuda.cudnn_sdp_enabled())
        return loss_of(*args, **kwargs)

    monkeypatch.setattr(AnswerTrainer, "compute_loss", loss)
    train_sft(make_task(), PARAMS.model_copy(update={"epochs": 1, "evaluations": 1}), NullTracker())
    assert enabled and not any(enabled)
    assert torch.backends.cuda.cudnn_sdp_enabled()


def test_the_loss_is_the_one_that_trl_computes(make_task: MakeTask, tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    whole = PARAMS.model_copy(update={"batch_examples": 8, "device_batch_examples": 8, "epochs": 1, "evaluations": 1})
    ours = train_sft(make_task(), whole, NullTracker()).curves["loss"]
    halves = whole.model_copy(update={"device_batch_examples": 4})
    accumulated = train_sft(make_task(work=tmp_path / "b"), halves, NullTracker()).curves["loss"]
    task = make_task()
    model, tokenizer = open_model(task.model)
    rows = {
        "prompt": [[m.model_dump() for m in task.prompt.messages(e)] for e in task.train],
        "completion": [e.demonstration + "<|im_end|>" for e in task.train],
    }
    rows["prompt"] = tokenizer.apply_chat_template(rows["prompt"], add_generation_prompt=True, tokenize=False)
    settings = SFTConfig(
        output_dir=str(tmp_path / "trl"), max_steps=1, per_device_train_batch_size=8, use_cpu=True, bf16=False,
        report_to="none", logging_steps=1, save_strategy="no", **recomputed(False),
    )  # fmt: skip
    theirs = SFTTrainer(model=model, args=settings, train_dataset=Dataset.from_dict(rows), processing_class=tokenizer)
    theirs.train()
    expected = theirs.state.log_history[0]["loss"]
    assert ours[0][1] == pytest.approx(expected, rel=1e-5)
    assert accumulated[0][1] == pytest.approx(expected, rel=1e-5)


def test_adapters_train_and_are_merged(make_task: MakeTask, model_folder: Callable[..., Path]) -> None:
    base = model_folder("Qwen3", bf16=True)
    lora = PARAMS.model_copy(update={"lora": LoraParams(rank=2, alpha=4)})
    task = make_task(model=base)
    train_sft(task, lora, NullTracker())
    before, after = weights(base), weights(task.out)
    assert {name: tensor.dtype for name, tensor in before.items()} == {n: t.dtype for n, t in after.items()}
    changed = {name.split(".")[-2] for name in before if not torch.equal(before[name], after[name])}
    assert changed <= {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert changed


def test_a_batch_that_does_not_divide_is_refused(make_task: MakeTask, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sft.batch_examples must divide evenly, found 4 over 3 on 1"):
        train_sft(make_task(), PARAMS.model_copy(update={"device_batch_examples": 3}), NullTracker())
    assert not (tmp_path / "out").exists()
    train_sft(make_task(), PARAMS.model_copy(update={"epochs": 1, "evaluations": 1}), NullTracker())  # corrected
