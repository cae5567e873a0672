"""Batches of similar length: which examples share a step, and how they are padded.

Padding is on the left, so that the answers of a batch end together and logits are computed for their columns alone.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler

from components.training.encode import IGNORED

WEIGHT = "weight"  # of a row: a factor on its loss
WINDOW_BATCHES = 32  # sorted together: wide enough for little padding, narrow enough that neighbours vary by epoch


def length_batches(lengths: Sequence[int], batch: int, generator: torch.Generator) -> list[int]:
    """An order of all examples in which each run of `batch` has similar lengths and the runs come in random order.

    The last, shorter run stays last, where the sampler's user cuts it off.
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
    """Length-grouped order, drawn anew for every epoch from the seed and the epoch's number, so that it resumes."""

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self._lengths, self._batch, self._seed, self._epoch = lengths, batch, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the trainer before each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        return iter(length_batches(self._lengths, self._batch, generator))


def left_padded(rows: Sequence[Sequence[int]], filler: int) -> torch.Tensor:
    """Rows of different lengths as one (B, T) tensor, filled on the left."""
    width = max(len(row) for row in rows)
    return torch.tensor([[filler] * (width - len(row)) + list(row) for row in rows])


def collate(rows: Sequence[dict[str, Any]], pad: int) -> dict[str, torch.Tensor]:
    """Inputs (B, T) and labels (B, A + 1), where A is the longest answer: one more column, whose logits predict it.

    What stands between the first and the last token of an answer belongs to it, though it may have no label: tools'
    results between an agent's turns.
    Where rows have weights, these too (B).
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
    """How many tokens there are from the first that has a label on."""
    return next((len(labels) - at for at, label in enumerate(labels) if label != IGNORED), 0)
