"""Weights shared out over processes: what is refused. That they are is in test_processes and test_scale_training."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.errors import ConfigError, TrainingError
from components.methods.sft.settings import SftParams
from components.methods.sft.training import train_sft
from components.tracking import NullTracker
from components.training import TrainingTask
from components.training.run import keep_weights
from components.training.sharding import ASKED, SETTINGS

PARAMS = SftParams(
    epochs=1, learning_rate=0.01, batch_examples=4, device_batch_examples=4, evaluations=1, max_tokens=200
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("asked")
def test_a_training_that_was_to_be_shared_out_and_is_not_is_refused(make_task: Callable[..., TrainingTask]) -> None:
    task = make_task()
    with pytest.raises(TrainingError, match=r"expected weights that are shared out .* found a whole copy"):
        train_sft(task, PARAMS, NullTracker())
    assert not task.out.exists()


@pytest.mark.usefixtures("asked")
def test_muon_which_needs_whole_matrices_is_refused(make_task: Callable[..., TrainingTask]) -> None:
    with pytest.raises(ConfigError, match=r"sft\.optimiser: expected adamw .* found muon"):
        train_sft(make_task(), PARAMS.model_copy(update={"optimiser": "muon"}), NullTracker())


def test_without_being_asked_nothing_is_shared_out(
    make_task: Callable[..., TrainingTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ASKED, raising=False)
    task = make_task()
    train_sft(task, PARAMS, NullTracker())
    assert task.out.is_dir()


@pytest.mark.parametrize("saves", [True, False])
def test_of_processes_that_share_weights_out_only_the_one_that_has_gathered_them_writes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, saves: bool
) -> None:
    written: list[object] = []
    trainer = SimpleNamespace(
        model=None,
        args=SimpleNamespace(should_save=saves),
        accelerator=SimpleNamespace(get_state_dict=lambda _: {"weight": 1} if saves else {}),
        _save=lambda _, state_dict: written.append(state_dict),  # as transformers 5.17 does, whoever it is
    )
    monkeypatch.setattr("components.training.run.is_shared_out", lambda _: True)
    keep_weights(trainer, tmp_path)
    assert written == ([{"weight": 1}] if saves else [])
