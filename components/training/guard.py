"""What all trainers share: an infinite or undefined loss stops the training, and checkpoints have no model cards."""

from typing import Any

import torch

from components.errors import TrainingError
from components.training.sharding import allow_on_cpus, refuse_whole


class Guarded:
    """A mixin, to be listed before the trainer's class."""

    def create_accelerator_and_postprocess(self) -> None:
        """The trainer's accelerator, by which its weights may be shared out."""
        allow_on_cpus(self.args.bf16)  # pyright: ignore[reportAttributeAccessIssue]
        super().create_accelerator_and_postprocess()  # pyright: ignore[reportAttributeAccessIssue]

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """One forward and backward pass.

        Raises:
            TrainingError: The loss is not finite, or weights that were to be shared out are not.
        """
        refuse_whole(self.model)  # pyright: ignore[reportAttributeAccessIssue]
        loss: torch.Tensor = super().training_step(*args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]
        if not torch.isfinite(loss):
            step: int = self.state.global_step + 1  # pyright: ignore[reportAttributeAccessIssue]
            raise TrainingError(f"expected a finite loss, found {loss.item()} at step {step}; lower the learning rate")
        return loss

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write no card: only this package reads checkpoints."""
