"""Which prompts are computed together. Lengths only: no model, no tensors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Tokens of one forward over prompts: enough for full speed on the CPU, small enough for its caches.
READ_TOKENS = 4096


@dataclass(frozen=True)
class Layout:
    """How the prompts of a batch are read and kept.

    `groups` are read in one forward each; all rows share the first `shared` tokens and keep their last `width` ones.
    """

    groups: list[range]
    shared: int
    width: int


def plan_batches(lengths: Sequence[int], shared: int, new_tokens: int, budget: int) -> Iterator[list[int]]:
    """Neighbours in length, as many as fit: the shared prefix once, and for each row the longest's own and new tokens.

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

    `spread` bounds the difference in length within a group: a convolution with a bias would take padding for input. A
    group computes its longest prompt's own tokens of every
    row, so a shorter row starts inside the prefix, and what the rows share ends where the earliest starts.
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
