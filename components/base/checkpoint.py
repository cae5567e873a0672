"""Checkpoints of pretraining: written atomically, and refused if made with other settings."""

import logging
import pickle
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from components.errors import TrainingError
from components.params import MidtrainParams, PretrainParams

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """The progress of a training run: counts over all its processes, and the learning curve."""

    step: int = 0
    seconds: float = 0.0
    tokens: int = 0
    answer_tokens: int = 0
    curve: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training run, in one file."""

    path: Path
    params: PretrainParams | MidtrainParams
    model: nn.Module
    optimisers: list[torch.optim.Optimizer]

    def save(self, progress: Progress) -> None:
        """Write the state to a new file, then atomically replace the old one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        state = {
            "fingerprint": self.params.fingerprint(),
            "model": self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "progress": vars(progress),
        }
        torch.save(state, part)
        part.replace(self.path)

    def load(self) -> Progress:
        """Restore model and optimisers; without a file, start at step 0.

        Raises:
            TrainingError: The file cannot be read, or was made with other settings. Nothing is changed.
        """
        if not self.path.exists():
            return Progress()
        unreadable = TrainingError(f"expected a checkpoint, found an unreadable file at {self.path}; pass --fresh")
        if not zipfile.is_zipfile(self.path):  # a zip file's index comes last: a truncated file has none
            raise unreadable
        try:
            state = torch.load(self.path, weights_only=True, map_location="cpu")
            fingerprint, progress = state["fingerprint"], Progress(**state["progress"])
        except (RuntimeError, OSError, KeyError, TypeError, pickle.UnpicklingError) as error:
            raise unreadable from error
        if fingerprint != self.params.fingerprint():
            raise TrainingError(
                f"expected a checkpoint of these settings ({self.params.fingerprint()}), found one of others "
                f"({fingerprint}) at {self.path}; restore the settings, or pass --fresh to start anew"
            )
        self.model.load_state_dict(state["model"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        log.info("Going on from step %s.", f"{progress.step:,}")
        return progress
