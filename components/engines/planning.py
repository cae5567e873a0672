"""Decides which prompts are computed together, from their lengths alone: no model, no tensors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Prompt tokens in one forward pass: enough for full speed on the CPU, few enough for its caches.
READ_TOKENS = 4096


@dataclass(frozen=True)
class Layout:
    """How the prompts of a batch are read and stored.

    Each of `groups` is read in one forward pass; all rows share the first `shared` tokens and store the last `width`.
    """

    groups: list[range]
    shared: int
    width: int


def plan_batches(lengths: Sequence[int], shared: int, new_tokens: int, budget: int) -> Iterator[list[int]]:
    """Batches of prompts of similar length, as many as fit the budget.

    A batch takes the shared prefix once, and for each row as many own and new tokens as its longest row.

    A row that is too long for the budget makes a batch of its own.
    """
    batch: list[int] = []
    for at in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and shared + (len(batch) + 1) * (lengths[at] - shared + new_tokens) > budget:
            yield batch
            batch = []
        batch.append(at)
    if batch:
        yield batch


def plan_reads(lengths: Sequence[int], prefix: int, budget: int, spread: int | None) -> Layout:
    """Cut the prompts of a batch, sorted by length, into groups that are read together.

    `spread` bounds the difference in length within a group: a convolution with a bias would take padding for input.
    All rows of a group compute as many tokens as its longest row, so a shorter row starts inside the prefix, and the
    shared part ends where the earliest row starts.
    """
    groups: list[range] = []
    start = 0
    for at in range(1, len(lengths) + 1):
        rows = at + 1 - start
        if (
            at == len(lengths)
            or rows * (lengths[at] - prefix) > READ_TOKENS
            or rows * lengths[at] > budget
            or (spread is not None and lengths[at] - lengths[start] > spread)
        ):
            groups.append(range(start, at))
            start = at
    earliest = min(prefix + lengths[group[0]] - lengths[group[-1]] for group in groups)
    shared = max(0, earliest)
    return Layout(groups, shared, lengths[-1] - shared)
