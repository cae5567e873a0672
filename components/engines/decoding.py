"""Decodes token by token, from read prompts to completions; finished rows leave the batch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from components.engines.base import Sampling
from components.engines.batch import Batch
from components.engines.constraint import Constraint
from components.engines.sampling import choose, uniforms

# Dropping finished rows moves others into their places: with fewer finished ones that costs more than it saves.
FINISHED_SHARE = 0.125
Reason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Row:
    """One completion to compute: its token limit, what its random numbers depend on, and a callback for each token.

    `early` says after each token why the row ends there, if it does.
    """

    limit: int
    name: str
    sample: int
    on_token: Callable[[int], None] | None = None
    early: Callable[[], Reason | None] | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished row; `tokens` include the one that ended it, `each_logprob` has one value a token."""

    row: int
    tokens: list[int]
    reason: Reason
    each_logprob: list[float]

    @property
    def logprob(self) -> float:
        """The log-probability of all tokens together."""
        return sum(self.each_logprob)


def decode(model: Any, batch: Batch, logits_RV: Tensor, rows: Sequence[Row], chooser: "Chooser") -> Iterator[Finished]:
    """Complete the rows; yields each at the step in which it ends.

    `logits_RV` are those of each row's first new token.
    """
    tokens: list[list[int]] = [[] for _ in rows]
    each: list[list[float]] = [[] for _ in rows]
    alive = list(range(len(rows)))  # the row at each place of the batch
    open_rows = set(alive)
    for step in range(max(row.limit for row in rows)):
        chosen_R = chooser.choose(logits_RV, alive, step)
        logprobs_R = logprobs(logits_RV, chosen_R)
        for row, token, logprob in zip(alive, chosen_R.tolist(), logprobs_R.tolist(), strict=True):
            if row not in open_rows:
                continue
            tokens[row].append(token)
            each[row].append(logprob)
            if (on_token := rows[row].on_token) is not None:
                on_token(token)
            reason: Reason | None = "length" if len(tokens[row]) == rows[row].limit else None
            if token in chooser.ends:
                reason = "stop"
            elif (early := rows[row].early) is not None:
                reason = early() or reason
            if reason is not None:
                open_rows.remove(row)
                yield Finished(row, tokens[row], reason, each[row])
        if not open_rows:
            return
        if len(open_rows) <= (1 - FINISHED_SHARE) * len(alive):
            order = batch.keep([place for place, row in enumerate(alive) if row in open_rows])
            alive, chosen_R = [alive[place] for place in order], chosen_R[order]
        logits_RV = batch.step(model, chosen_R)


def logprobs(logits_RV: Tensor, chosen_R: Tensor) -> Tensor:
    """The model's own log-probability of each chosen token, before temperature, top-p and schema."""
    float_RV = logits_RV.float()
    return float_RV.gather(-1, chosen_R[:, None])[:, 0] - float_RV.logsumexp(-1)


class Chooser:
    """Chooses the next token of each row, and knows which tokens end a row."""

    def __init__(
        self, rows: Sequence[Row], sampling: Sampling, ends: frozenset[int], constraint: Constraint | None = None
    ) -> None:
        self.sampling, self.ends, self.constraint = sampling, ends, constraint
        self.uniforms_RT = _uniforms(rows, sampling) if sampling.temperature else None

    def choose(self, logits_RV: Tensor, rows: list[int], step: int) -> Tensor:
        """The next token of these rows."""
        uniforms_R = None if self.uniforms_RT is None else self.uniforms_RT[rows, step].to(logits_RV.device)
        if self.constraint is None:
            return choose(logits_RV, uniforms_R, self.sampling)
        chosen_R = choose(self.constraint.masked(logits_RV, rows), uniforms_R, self.sampling)
        self.constraint.take(rows, chosen_R.tolist())
        return chosen_R


def _uniforms(rows: Sequence[Row], sampling: Sampling) -> Tensor:
    """Each row's random numbers [rows, longest limit]."""
    longest = max(row.limit for row in rows)
    return torch.from_numpy(np.stack([uniforms(row.name, row.sample, sampling.seed, longest) for row in rows]))
