"""The argument that makes activations be recomputed, in whichever transformers is installed."""

import pytest
from transformers import TrainingArguments

from components.training.memory import recomputed


@pytest.mark.parametrize("wanted", [True, False])
def test_the_trainer_takes_the_argument_and_does_as_it_says(wanted: bool) -> None:
    (name,) = recomputed(wanted)
    settings = TrainingArguments(output_dir="x", use_cpu=True, **recomputed(wanted))
    assert getattr(settings, name) is wanted


def test_an_older_transformers_gets_the_name_that_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import make_dataclass

    older = make_dataclass("TrainingArguments", ["gradient_checkpointing"])
    monkeypatch.setattr("transformers.TrainingArguments", older)
    assert recomputed(True) == {"gradient_checkpointing": True}
