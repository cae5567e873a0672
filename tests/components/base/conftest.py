"""A two-layer, few-step version of the pretraining, made once."""

from pathlib import Path
from typing import Any

import pytest

from components.base import pretrain
from components.params import PretrainParams, load

ROOT = Path(__file__).resolve().parents[3]


def tiny_params(**optimisation: Any) -> PretrainParams:
    """The shipped settings at two layers and a few steps; anything else is as in the long run."""
    shipped = load(ROOT / "params/profiles/nano.yaml", PretrainParams, "pretrain").model_dump()
    shipped["tokenizer"] = {"vocabulary": 500, "lessons": 60}
    shipped["architecture"] |= {
        "hidden_size": 32, "intermediate_size": 64, "heads": 2, "layers": ["conv", "attention"],
    }  # fmt: skip
    shipped["optimisation"] |= {
        "tokens": 8_192, "rows": 2, "row_tokens": 1024, "compile": False, "precision": "fp32", "warmup_steps": 2,
        "checkpoint_every_steps": 2, "probe_every_steps": 4, "probe_lessons": 2, **optimisation,
    }  # fmt: skip
    return PretrainParams.model_validate(shipped)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    pretrain.run(tiny_params(), folder / "model", folder / "work")
    return folder / "model"
