"""Batches: lessons packed into rows of one fixed length, each lesson blind to its neighbours.

A fixed shape lets kernels be compiled once, and packing leaves a few percent of padding where sorting by length
would leave more. Batch i is a pure function of (seed, i): resuming needs no state of the data.
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

ANSWER_BLOCK = 512  # answers are padded to a multiple, so that few shapes occur


Encoded = tuple[list[int], list[bool]]
"""Token ids of a lesson, and which of them are answers."""
Row = list[Encoded]


@dataclass(frozen=True)
class Batch:
    """One optimiser step; B rows of T tokens.

    `tokens_B_T` and `positions_B_T` (from 0 in each lesson) are int64; `lessons_B_T` is the lesson's number, 0 for
    padding; `sources_N` are flat positions from which an answer token is predicted, `targets_N` that token, -100
    where N is only padded.
    """

    tokens_B_T: Tensor
    positions_B_T: Tensor
    lessons_B_T: Tensor
    sources_N: Tensor
    targets_N: Tensor

    def mask(self) -> Tensor:
        """Who may attend to whom, (B, 1, T, T) bool: earlier tokens of the same lesson."""
        same = self.lessons_B_T[:, None, :, None] == self.lessons_B_T[:, None, None, :]
        return same & torch.ones(same.shape[-2:], dtype=torch.bool, device=same.device).tril()

    def pin_memory(self) -> "Batch":
        """The same batch in memory that a GPU reads while the program goes on."""
        return Batch(*(part.pin_memory() for part in vars(self).values()))

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        return Batch(*(part.to(device, non_blocking=True) for part in vars(self).values()))


def encode(lesson: Lesson, tokenizer: PreTrainedTokenizerBase) -> Encoded:
    """Token ids of a lesson, and which of them are answers."""
    texts, are_answers = zip(*segments(lesson), strict=True)
    pieces = tokenizer(list(texts), add_special_tokens=False, return_attention_mask=False)["input_ids"]
    ids = [token for piece in pieces for token in piece]
    answers = [answer for piece, answer in zip(pieces, are_answers, strict=True) for _ in piece]
    return ids, answers


def place(encoded: Encoded, rows: list[Row], row_tokens: int) -> bool:
    """Put a lesson into the fullest row that has room; False when none has."""
    fill = [sum(len(ids) for ids, _ in row) for row in rows]
    fitting = [at for at, filled in enumerate(fill) if filled + len(encoded[0]) <= row_tokens]
    if not fitting:
        return False
    rows[max(fitting, key=lambda at: fill[at])].append(encoded)
    return True


def pack(rows: list[Row], row_tokens: int) -> Batch:
    """Lay encoded lessons, already distributed over rows, into one batch."""
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
    at = answered.flatten().nonzero().flatten()
    spare = -len(at) % ANSWER_BLOCK
    sources = torch.cat((at - 1, torch.zeros(spare, dtype=torch.long)))
    targets = torch.cat((tokens.flatten()[at], torch.full((spare,), -100)))
    return Batch(tokens, positions, lessons, sources, targets)


class Steps(Dataset[Batch]):
    """The batches of a training, by step number."""

    def __init__(
        self, curriculum: Curriculum, tokenizer: PreTrainedTokenizerBase, params: PretrainParams | MidtrainParams
    ) -> None:
        self.curriculum, self.tokenizer, self.params = curriculum, tokenizer, params
        chosen = params.optimisation
        self.steps = max(1, chosen.tokens // (chosen.rows * chosen.row_tokens))

    def __len__(self) -> int:
        """How many optimiser steps the settings' tokens make."""
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        """Fill the rows with the step's lessons, until three in a row find no room."""
        chosen, rng = self.params.optimisation, random.Random(f"{self.params.seed}/{step}")
        rows: list[Row] = [[] for _ in range(chosen.rows)]
        misses = 0
        while misses < 3:
            encoded = encode(self.curriculum.lesson(rng, step / self.steps), self.tokenizer)
            if len(encoded[0]) <= chosen.row_tokens:  # a longer lesson is dropped
                misses += not place(encoded, rows, chosen.row_tokens)
        return pack(rows, chosen.row_tokens)
