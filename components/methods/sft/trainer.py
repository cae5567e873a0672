"""TRL's SFT trainer with batches of similar length, and logits only at answer tokens.

On a CPU TRL 1.16 computes logits, entropy and accuracy at every position, and it draws batches at random. The loss here
is the same mean negative log-likelihood of the answer tokens, without those costs. Not supported: the balancing loss of
mixture-of-experts models.
"""

from typing import Any

import torch
from torch.nn.functional import cross_entropy, pad
from torch.utils.data import Sampler
from trl import SFTTrainer

from components.training.batches import WEIGHT, LengthSampler
from components.training.encode import IGNORED
from components.training.guard import Guarded
from components.training.optimiser import make_optimiser
from components.training.packing import Packing, compiled, decoder_of, packed_states

# Otherwise every number of answer tokens would be a new shape, for which the CPU's library builds and keeps kernels.
ANSWER_BLOCK = 256


def answer_places(labels_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The positions of answer tokens and their labels, padded to whole blocks; padding is ignored in the loss."""
    places = (labels_N != IGNORED).nonzero()[:, 0]
    missing = -len(places) % ANSWER_BLOCK
    return pad(places, (0, missing)), pad(labels_N[places], (0, missing), value=IGNORED)


class AnswerTrainer(Guarded, SFTTrainer):
    """SFT on answers; `muon` trains by Muon and AdamW together, `packing` on packed rows with compiled layers."""

    muon: bool = False
    packing: Packing | None = None
    _layers: Any = None

    def create_optimizer(self, *args: Any, **kwargs: Any) -> torch.optim.Optimizer:
        """The optimiser of the settings."""
        if not self.muon:
            return super().create_optimizer(*args, **kwargs)
        model: Any = self.model
        self.optimizer = make_optimiser(model, self.args.learning_rate, self.args.weight_decay)
        return self.optimizer

    def get_train_dataloader(self) -> Any:
        """Batches of similar length, or packed rows."""
        if self.packing is None:
            return super().get_train_dataloader()
        args = self.args
        return self.accelerator.prepare(
            self.packing.loader(args.max_steps, args.gradient_accumulation_steps, args.per_device_train_batch_size)
        )

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        dataset: Any = self.train_dataset
        lengths = [len(row) for row in dataset["input_ids"]]
        batch = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.accelerator.num_processes
        return LengthSampler(lengths, batch, self.args.seed)

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> torch.Tensor:
        """Negative log-likelihood of answer tokens, averaged over the step's; rows may be weighted."""
        if self.packing is not None:
            return self._packed_loss(model, inputs, num_items_in_batch)
        labels = inputs["labels"][:, 1:]
        logits = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            use_cache=False,
            logits_to_keep=labels.shape[1] + 1,
        ).logits[:, :-1]
        total = self._total(logits.flatten(0, 1).float(), labels, inputs.get(WEIGHT))
        if num_items_in_batch is None:
            return total / (labels != IGNORED).sum()
        # The trainer counts the tokens of all processes, over which gradients are averaged.
        return total * self.accelerator.num_processes / num_items_in_batch

    @staticmethod
    def _total(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
        """The summed loss of all answer tokens; `weights` are factors on each row's."""
        if weights is None:
            return cross_entropy(logits, labels.flatten(), ignore_index=IGNORED, reduction="sum")
        losses = cross_entropy(logits, labels.flatten(), ignore_index=IGNORED, reduction="none")
        return losses.view_as(labels).sum(dim=1) @ weights

    def _packed_loss(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any) -> torch.Tensor:
        """The loss of packed rows, by a model whose logits come straight from its output embeddings."""
        if self._layers is None:
            self._layers = compiled(decoder_of(model))
        labels = inputs["labels"][:, 1:].flatten()
        places, wanted = answer_places(labels)
        with self.accelerator.autocast():
            states = packed_states(model, self._layers, inputs)[:, :-1].flatten(0, 1)[places]
            logits = model.get_output_embeddings()(states).float()
        total = cross_entropy(logits, wanted, ignore_index=IGNORED, reduction="sum")
        return total / ((wanted != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log as the base trainer does: TRL's own metrics are not computed."""
        super(SFTTrainer, self).log(logs, start_time)
