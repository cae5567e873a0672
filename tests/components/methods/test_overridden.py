"""Functions of other packages that this one overrides have not changed since the overriding code was written."""

import hashlib
import inspect
from typing import Any

import pytest
from torch.optim import _muon
from transformers import Trainer
from trl import DistillationTrainer, DPOTrainer, GRPOTrainer, SFTTrainer
from trl.experimental.gold.gold_trainer import ULDLoss

from components.methods.distilling import Distiller
from components.methods.gold import OtherVocabularyDistiller
from components.methods.grpo.trainer import RolloutTrainer
from components.methods.sft.trainer import AnswerTrainer

# SHA-256 of their source, the first 16 digits. Where one differs, read what changed, adapt the trainer, then this.
WRITTEN_FOR = {
    (GRPOTrainer, "_compute_loss"): "80295546bbdbf6f7",
    (GRPOTrainer, "_generate_and_score_completions"): "1fa48922792dcd5c",
    (GRPOTrainer, "_generate_single_turn"): "e0f02e4fc094cefd",
    (GRPOTrainer, "_tokenize_prompts"): "d2d27f7c9bfda85f",
    (SFTTrainer, "_get_train_sampler"): "1580d7493244e637",
    (SFTTrainer, "compute_loss"): "ca448211ff653fe6",
    (SFTTrainer, "create_optimizer"): "c798977d9dca3601",
    (SFTTrainer, "get_train_dataloader"): "205a99685f8facd9",
    (SFTTrainer, "log"): "0d4c8e5d64f894ac",
    (DistillationTrainer, "_compute_loss"): "9fc0021cbcc0b5e9",
    (DistillationTrainer, "_generate_and_score_completions"): "2416bfc479ade342",
    (ULDLoss, "__call__"): "dd8650a24d31c04a",
    (ULDLoss, "_compute_distillation_loss"): "fb401c4c0c6cf443",
    (DistillationTrainer, "_generate_single_turn"): "b2cc5048ef74151f",
    (DistillationTrainer, "_get_last_hidden_state"): "12dc17e4ad4b1999",
    (DistillationTrainer, "_tokenize_prompts"): "30568810007eb3f7",
    (DPOTrainer, "_prepare_dataset"): "35e349e8e8266df4",
    (Trainer, "_get_grad_norm"): "913ba6f52f074d10",
    (Trainer, "_maybe_log_save_evaluate"): "af101534f0f7b2d7",  # how it sums losses, which `Guarded` corrects
    (Trainer, "_run_epoch"): "31aff00f34c302a2",
    (_muon, "_single_tensor_muon"): "44fba01f07983da8",
    (_muon, "_zeropower_via_newtonschulz"): "99e2359a95e1a914",
}


@pytest.mark.parametrize(("trainer", "name"), WRITTEN_FOR)
def test_what_is_overridden_is_what_the_override_was_written_for(trainer: Any, name: str) -> None:
    source = inspect.getsource(getattr(trainer, name))
    assert hashlib.sha256(source.encode()).hexdigest()[:16] == WRITTEN_FOR[trainer, name]


@pytest.mark.parametrize(
    ("own", "trainer"),
    [
        ([RolloutTrainer], GRPOTrainer),
        ([AnswerTrainer], SFTTrainer),
        ([Distiller, OtherVocabularyDistiller], DistillationTrainer),
    ],
)
def test_every_override_is_watched(own: list[Any], trainer: Any) -> None:
    defined = [entry for each in own for entry in vars(each).items()]
    overridden = {name for name, value in defined if callable(value) and hasattr(trainer, name)}
    assert {name for name in overridden if not name.startswith("__")} == {
        name for watched, name in WRITTEN_FOR if watched is trainer
    }
