"""The probe: a small held-out sample, scored by teacher forcing, to follow a training cheaply.

It does not replace `evaluate`, which generates answers on other worlds and alone reports scores.
"""

import random

import torch
from transformers import PreTrainedTokenizerBase

from components.base.batches import Batch, Row, encode, pack, place
from components.base.curriculum import Curriculum
from components.base.model import Network
from components.params import MidtrainParams, PretrainParams


def make_probe(params: PretrainParams | MidtrainParams, tokenizer: PreTrainedTokenizerBase) -> dict[str, Batch]:
    """For each skill, a batch of held-out lessons at full difficulty, with one message each."""
    chosen = params.optimisation
    probe: dict[str, Batch] = {}
    for skill in params.curriculum.weights:
        curriculum, rng = Curriculum({skill: 1.0}, 1.0, 1), random.Random(f"{params.seed}/probe/{skill}")
        rows: list[Row] = [[] for _ in range(chosen.rows)]
        for _ in range(chosen.probe_lessons):
            place(encode(curriculum.lesson(rng, 1.0, held_out=True), tokenizer), rows, chosen.row_tokens)
        probe[skill] = pack(rows, chosen.row_tokens)
    return probe


@torch.no_grad()
def measure(network: Network, probe: dict[str, Batch]) -> dict[str, float]:
    """For each skill, the share of lessons in which every answer token is the most likely one, given the right ones."""
    shares: dict[str, float] = {}
    for skill, packed in probe.items():
        batch = packed.to(network.model.device)
        predicted_N = network.answer_logits(batch).argmax(-1)
        wrong_N = (predicted_N != batch.targets_N) & (batch.targets_N >= 0)
        failed = batch.lessons_B_T.flatten()[batch.sources_N[wrong_N]].unique()
        shares[skill] = round(1 - len(failed) / max(1, int(batch.lessons_B_T.max())), 4)
    return shares
