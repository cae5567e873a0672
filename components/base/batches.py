"""Batches: lessons packed into rows of a fixed length; no lesson attends to its neighbours.

With a fixed shape, kernels are compiled once, and packing wastes only a few percent on padding, less than sorting by
length would. Batch i is a pure function of (seed, i), so resuming needs no data state.
"""

import random
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from components.base.curriculum import Curriculum, segments
from components.base.skills import Lesson
from components.params import MidtrainParams, PretrainParams

ANSWER_BLOCK = 512  # answers are padded to a multiple of this, to keep the number of shapes small


Encoded = tuple[list[int], list[bool]]
"""Token ids of a lesson, and which of them belong to answers."""
Row = list[Encoded]


@dataclass(frozen=True)
class Batch:
    """One optimiser step; B rows of T tokens.

    `tokens_B_T` and `positions_B_T` (from 0 in each lesson) are int64; `lessons_B_T` is the lesson's number, 0 for
    padding; `sources_N` are the flat positions from which answer tokens are predicted, `targets_N` those tokens, -100
    for padding.
    """

    tokens_B_T: Tensor
    positions_B_T: Tensor
    lessons_B_T: Tensor
    sources_N: Tensor
    targets_N: Tensor

    def mask(self) -> Tensor:
        """The attention mask, (B, 1, T, T) bool: each token sees itself and earlier tokens of its lesson."""
        same = self.lessons_B_T[:, None, :, None] == self.lessons_B_T[:, None, None, :]
        return same & torch.ones(same.shape[-2:], dtype=torch.bool, device=same.device).tril()

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory, from which a GPU copies asynchronously."""
        return Batch(*(part.pin_memory() for part in vars(self).values()))

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        return Batch(*(part.to(device, non_blocking=True) for part in vars(self).values()))


def encode(lesson: Lesson, tokenizer: PreTrainedTokenizerBase) -> Encoded:
    """Token ids of a lesson, and which of them belong to answers."""
    texts, are_answers = zip(*segments(lesson), strict=True)
    pieces = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False)["input_ids"]
    ids = [token for piece in pieces for token in piece]
    answers = [answer for piece, answer in zip(pieces, are_answers, strict=True) for _ in piece]
    return ids, answers


def place(encoded: Encoded, rows: list[Row], row_tokens: int) -> bool:
    """Put a lesson into the fullest row with room for it; False if there is none."""
    fill = [sum(len(ids) for ids, _ in row) for row in rows]
    fitting = [index for index, filled in enumerate(fill) if filled + len(encoded[0]) <= row_tokens]
    if not fitting:
        return False
    rows[max(fitting, key=lambda index: fill[index])].append(encoded)
    return True


def pack(rows: list[Row], row_tokens: int) -> Batch:
    """One batch of encoded lessons that have already been assigned to rows."""
    tokens = torch.zeros(len(rows), row_tokens, dtype=torch.long)
    positions, lessons = torch.zeros_like(tokens), torch.zeros_like(tokens)
    answered = torch.zeros(len(rows), row_tokens, dtype=torch.bool)
    number = 0
    for row, encoded in enumerate(rows):
        start = 0
        for ids, answers in encoded:
            number, end = number + 1, start + len(ids)
            tokens[row, start:end] = torch.tensor(ids)
            positions[row, start:end] = torch.arange(len(ids))
            lessons[row, start:end] = number
            answered[row, start:end] = torch.tensor(answers)
            start = end
    answer_positions = answered.flatten().nonzero().flatten()
    spare = -len(answer_positions) % ANSWER_BLOCK
    sources = torch.cat((answer_positions - 1, torch.zeros(spare, dtype=torch.long)))
    targets = torch.cat((tokens.flatten()[answer_positions], torch.full((spare,), -100)))
    return Batch(tokens, positions, lessons, sources, targets)


class Steps(Dataset[Batch]):
    """The batches of a training run, by step number."""

    def __init__(
        self, curriculum: Curriculum, tokenizer: PreTrainedTokenizerBase, params: PretrainParams | MidtrainParams
    ) -> None:
        self.curriculum, self.tokenizer, self.params = curriculum, tokenizer, params
        chosen = params.optimisation
        self.steps = max(1, chosen.tokens // (chosen.rows * chosen.row_tokens))

    def __len__(self) -> int:
        """The number of optimiser steps that the token budget allows."""
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        """Fill the rows with the step's lessons until three in a row do not fit."""
        chosen, rng = self.params.optimisation, random.Random(f"{self.params.seed}/{step}")
        rows: list[Row] = [[] for _ in range(chosen.rows)]
        misses = 0
        while misses < 3:
            encoded = encode(self.curriculum.lesson(rng, step / self.steps), self.tokenizer)
            if len(encoded[0]) <= chosen.row_tokens:  # a longer lesson is dropped
                misses += not place(encoded, rows, chosen.row_tokens)
        return pack(rows, chosen.row_tokens)
