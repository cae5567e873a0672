"""What all trainers share: steps without a finite gradient change nothing, and checkpoints have no model cards."""

import logging
import math
from typing import Any

import torch

from components.errors import TrainingError
from components.training.sharding import allow_on_cpus, refuse_whole

IN_A_ROW = 3  # steps without a finite gradient, after which the training has failed
log = logging.getLogger(__name__)


class Guarded:
    """A mixin, to be listed before the trainer's class."""

    _loss: torch.Tensor  # of the last pass
    _undefined: int = 0  # steps in a row without a finite gradient
    _tr_loss: torch.Tensor  # the trainer's: the summed losses of the steps since it last logged
    _globalstep_last_logged: int  # the trainer's, too: it divides the sum by the steps since
    _before: torch.Tensor | None = None  # that sum before the present step; None between steps

    def create_accelerator_and_postprocess(self) -> None:
        """The trainer's accelerator, by which its weights may be shared out."""
        allow_on_cpus(self.args.bf16)  # pyright: ignore[reportAttributeAccessIssue]
        super().create_accelerator_and_postprocess()  # pyright: ignore[reportAttributeAccessIssue]

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """One forward and backward pass.

        Raises:
            TrainingError: Weights that were to be shared out are not.
        """
        refuse_whole(self.model)  # pyright: ignore[reportAttributeAccessIssue]
        if self._before is None:
            self._before = self._tr_loss.clone()
        loss: torch.Tensor = super().training_step(*args, **kwargs)  # pyright: ignore[reportAttributeAccessIssue]
        self._loss = loss  # read only where a gradient is not finite: reading waits for the GPU
        return loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> float:
        """The gradient's norm. One that is not finite is dropped, so that the step leaves the weights as they are.

        On a GPU a kernel may give NaN for a rare batch; one such step would make every weight NaN. Logged losses are
        those of the other steps.

        Raises:
            TrainingError: Weights are not finite, or there was no finite gradient for `IN_A_ROW` steps.
        """
        norm = float(super()._get_grad_norm(model, grad_norm=grad_norm))  # pyright: ignore[reportAttributeAccessIssue]
        before, self._before = self._before, None
        if math.isfinite(norm):
            self._undefined = 0
            return norm
        model.zero_grad(set_to_none=True)
        self._undefined += 1
        step: int = self.state.global_step + 1  # pyright: ignore[reportAttributeAccessIssue]
        broken = not all(bool(torch.isfinite(weight).all()) for weight in model.parameters())
        if broken or self._undefined == IN_A_ROW:
            reason = "with weights that are not finite" if broken else f"as in the {IN_A_ROW - 1} steps before"
            raise TrainingError(
                f"expected a finite loss, found {self._loss} and a gradient of {norm} at step {step}, {reason}; "
                "lower the learning rate"
            )
        log.warning("Step %s has a gradient of %s (loss %s), and is left out.", step, norm, self._loss)
        if before is not None:  # the trainer never gets rid of a NaN in its sum: it resets it by subtraction
            self._tr_loss.copy_(before)
            self._globalstep_last_logged += 1
        return norm

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Write no card: only this package reads checkpoints."""
