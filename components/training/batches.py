"""Batches of examples of similar length, and their padding.

Padding is on the left, so that all answers of a batch end in the same column and logits are computed only for them. It
would shift positions that are looked up in a table, so models with such are refused.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.data import Sampler

from components.errors import TrainingError
from components.training.encode import IGNORED

WEIGHT = "weight"  # a row's key: a factor on its loss
WINDOW_BATCHES = 32  # sorted together: enough for little padding, few enough that neighbours vary between epochs


def length_batches(lengths: Sequence[int], batch: int, generator: torch.Generator) -> list[int]:
    """An order of all examples in random runs of `batch`, each of similar lengths.

    A shorter run stays last, where the caller drops it.
    """
    shuffled = torch.randperm(len(lengths), generator=generator).tolist()
    window = batch * WINDOW_BATCHES
    runs: list[list[int]] = []
    for start in range(0, len(shuffled), window):
        by_length = sorted(shuffled[start : start + window], key=lambda index: lengths[index])
        runs += [by_length[first : first + batch] for first in range(0, len(by_length), batch)]
    last = [runs.pop()] if runs and len(runs[-1]) < batch else []
    order = torch.randperm(len(runs), generator=generator).tolist()
    return [index for run in (*(runs[place] for place in order), *last) for index in run]


class LengthSampler(Sampler[int]):
    """Length-grouped order; each epoch's follows from the seed and its number, so that a training can resume."""

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self._lengths, self._batch, self._seed, self._epoch = lengths, batch, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """The trainer calls this before each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        return iter(length_batches(self._lengths, self._batch, generator))


def refuse_shifted(model: Any) -> None:
    """Refuse a model that looks up positions in a table by a token's column; subclasses of embeddings read the mask.

    Raises:
        TrainingError: It does, as GPT-2.
    """
    words = model.get_input_embeddings()
    for name, part in model.named_modules():
        if type(part) is nn.Embedding and part is not words:
            raise TrainingError(
                f"expected a model without a table of positions, which the padding of batches would shift, found "
                f"{name} ({type(model).__name__})"
            )


def left_padded(rows: Sequence[Sequence[int]], filler: int) -> torch.Tensor:
    """Rows of different lengths as a (B, T) tensor, padded on the left."""
    width = max(len(row) for row in rows)
    return torch.tensor([[filler] * (width - len(row)) + list(row) for row in rows])


def collate(rows: Sequence[dict[str, Any]], pad: int) -> dict[str, torch.Tensor]:
    """Inputs (B, T) and labels (B, A + 1), where A is the longest answer: the extra column's logits predict its start.

    Everything between an answer's first and last token belongs to it, even without a label, as tools' results between
    an agent's turns.
    If the rows have weights, also those (B).
    """
    answer = max(_answer_tokens(row["labels"]) for row in rows)
    weights = {WEIGHT: torch.tensor([row[WEIGHT] for row in rows])} if WEIGHT in rows[0] else {}
    return {
        **weights,
        "input_ids": left_padded([row["input_ids"] for row in rows], pad),
        "attention_mask": left_padded([[1] * len(row["input_ids"]) for row in rows], 0),
        "labels": left_padded([row["labels"] for row in rows], IGNORED)[:, -(answer + 1) :],
    }


def _answer_tokens(labels: Sequence[int]) -> int:
    """The number of tokens from the first labelled one on."""
    return next((len(labels) - index for index, label in enumerate(labels) if label != IGNORED), 0)
