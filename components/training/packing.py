"""Examples packed into rows of a fixed length, so that layers are compiled once for a single shape.

Decides which examples share a row, how many rows make a step and a micro-batch, and how a row is laid out. An example
attends only to its own tokens; only the short convolutions of some architectures reach across the boundary, by two
tokens.
"""

import logging
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from components.errors import ConfigError
from components.models import fused_convolutions
from components.training.encode import IGNORED, Encoded, EncodedTry

TOGETHER = 12  # layers compiled as one
FEW = 16  # tokens that show how a model computes its logits
OPEN_ROWS = 24  # candidates for an example: more fill rows better, but depart from the shuffled order
log = logging.getLogger(__name__)


def packed_rows(lengths: Sequence[int], row_tokens: int, generator: torch.Generator) -> list[list[int]]:
    """Every example once, in shuffled order, each in the fullest open row with room for it."""
    done: list[list[int]] = []
    open_rows: list[tuple[int, list[int]]] = []  # tokens and members
    for index in torch.randperm(len(lengths), generator=generator).tolist():
        fitting = [slot for slot, (used, _) in enumerate(open_rows) if used + lengths[index] <= row_tokens]
        if fitting:
            slot = max(fitting, key=lambda place: open_rows[place][0])
            used, members = open_rows.pop(slot)
            open_rows.append((used + lengths[index], [*members, index]))
            continue
        if len(open_rows) == OPEN_ROWS:
            fullest = max(range(OPEN_ROWS), key=lambda place: open_rows[place][0])
            done.append(open_rows.pop(fullest)[1])
        open_rows.append((lengths[index], [index]))
    return done + [members for _, members in open_rows]


@dataclass(frozen=True)
class Packing:
    """The layout of batches: `rows` of `row_tokens` make a step; an epoch has `epoch_rows`."""

    encoded: Sequence[Encoded | EncodedTry]
    row_tokens: int
    rows: int
    epoch_rows: int
    seed: int

    @classmethod
    def plan(cls, encoded: Sequence[Encoded | EncodedTry], row_tokens: int, batch: int, seed: int) -> "Packing":
        """A plan whose steps have as many rows as hold about `batch` examples."""
        lengths = [len(example.input_ids) for example in encoded]
        packed = len(packed_rows(lengths, row_tokens, torch.Generator().manual_seed(seed)))
        if len(encoded) > batch * packed:
            held = len(encoded) / packed
            log.warning("A row of %s tokens has %.1f examples, and a batch only %s.", f"{row_tokens:,}", held, batch)
        return cls(encoded, row_tokens, _rows_of(batch, packed, len(encoded)), packed, seed)

    def divided(self, device_batch: int) -> tuple[int, int]:
        """(micro-batches of a step, rows of each): as few as hold about `device_batch` examples or a single row."""
        parts = math.ceil(self.rows / _rows_of(device_batch, self.epoch_rows, len(self.encoded)))
        return parts, math.ceil(self.rows / parts)

    def loader(self, steps: int, parts: int, rows: int) -> DataLoader[Any]:
        """A loader of the micro-batches of all steps, `parts` of each with `rows`."""
        sampler = PackedRows(self, steps, parts * rows - self.rows)
        return DataLoader(_Members(), batch_size=rows, sampler=sampler, collate_fn=self.lay_out)

    def lay_out(self, rows: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        """Rows of example indices as tensors."""
        return lay_out([[self.encoded[index] for index in members] for members in rows], self.row_tokens)


def _rows_of(examples: int, packed: int, total: int) -> int:
    """The number of rows that hold about so many examples, where `packed` rows hold `total`."""
    return max(1, min(packed, round(examples * packed / total)))


class _Members(Dataset[Sequence[int]]):
    """Returns the sampler's item unchanged: the members of a row."""

    def __getitem__(self, index: Sequence[int]) -> Sequence[int]:
        return index


class PackedRows(Sampler[list[int]]):
    """The rows of all steps, over several epochs, each packed with its own seed; `empty` rows complete each step."""

    def __init__(self, packing: Packing, steps: int, empty: int) -> None:
        self._lengths = [len(example.input_ids) for example in packing.encoded]
        self._packing, self._steps, self._empty = packing, steps, empty

    def __len__(self) -> int:
        return self._steps * (self._packing.rows + self._empty)

    def __iter__(self) -> Iterator[list[int]]:
        rows = self._packed()
        for _ in range(self._steps):
            yield from islice(rows, self._packing.rows)
            yield from ([] for _ in range(self._empty))

    def _packed(self) -> Iterator[list[int]]:
        """Rows of one epoch after the other, without end."""
        for epoch in count():
            generator = torch.Generator().manual_seed(self._packing.seed * 1_000_003 + epoch)
            yield from packed_rows(self._lengths, self._packing.row_tokens, generator)


def lay_out(rows: Sequence[Sequence[Encoded | EncodedTry]], row_tokens: int) -> dict[str, Tensor]:
    """Tensors (B, T): ids, labels, positions from 0 in each example, and the example's number, 0 for padding."""
    ids = torch.zeros(len(rows), row_tokens, dtype=torch.long)
    labels, positions, numbers = torch.full_like(ids, IGNORED), torch.zeros_like(ids), torch.zeros_like(ids)
    for row, members in enumerate(rows):
        start = 0
        for number, example in enumerate(members, start=1):
            end = start + len(example.input_ids)
            ids[row, start:end] = torch.tensor(example.input_ids)
            labels[row, start:end] = torch.tensor(example.labels)
            labels[row, start] = IGNORED  # no token of this example predicts its first one
            positions[row, start:end] = torch.arange(end - start)
            numbers[row, start:end] = number
            start = end
    return {"input_ids": ids, "labels": labels, "positions": positions, "numbers": numbers}


def visible(numbers: Tensor) -> Tensor:
    """The attention mask, (B, 1, T, T) bool: each token sees itself and earlier tokens of its example."""
    same = numbers[:, None, :, None] == numbers[:, None, None, :]
    return same & torch.ones(same.shape[-2:], dtype=torch.bool, device=same.device).tril()


def decoder_of(model: Any) -> Any:
    """A causal model's layers without its output embeddings, adapters included."""
    return (model.get_base_model() if hasattr(model, "get_base_model") else model).base_model


def refuse_changed_logits(model: Any, ids: Sequence[int]) -> None:
    """Refuse a model whose logits for the first of these tokens are not those of its output embeddings.

    Raises:
        ConfigError: It changes them afterwards, as Granite and Cohere scale theirs; packed rows' loss would not.
    """
    row, training = torch.tensor([list(ids)[:FEW]], device=model.device), model.training
    model.eval()
    with torch.no_grad():
        logits = model(input_ids=row, use_cache=False).logits
        plain = model.get_output_embeddings()(decoder_of(model)(input_ids=row, use_cache=False).last_hidden_state)
    model.train(training)
    if not torch.allclose(logits, plain, rtol=1e-3, atol=1e-3):
        raise ConfigError(
            f"sft.packed_tokens is for models whose logits come straight from their output embeddings, found "
            f"{type(model).__name__}, which changes them; leave it out"
        )


def compiled(layers: Any) -> Callable[..., Any]:
    """A model's layers, compiled if there is a C++ compiler; the first call then takes half a minute.

    On a GPU a few layers are compiled together. On a CPU, and where many are alike, they are compiled separately, in
    the time of one: for nano on two cores with AVX2 30 s instead of 50, and a step is no slower (1.4 s against 1.5).
    """
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        return layers
    together = layers.device.type != "cpu" and len(layers.layers) <= TOGETHER
    return torch.compile(layers) if together else layer_by_layer(layers)


def layer_by_layer(stack: Any) -> Callable[..., Any]:
    """A stack of separately compiled layers; between calls it is the original stack, so that it can be saved."""
    plain = stack.layers
    compiled: Any = [torch.compile(layer) for layer in plain]  # torch declares its result as a function
    ready = torch.nn.ModuleList(compiled)

    def run(**inputs: Any) -> Any:
        stack.layers = ready
        try:
            return stack(**inputs)
        finally:
            stack.layers = plain

    return run


def packed_states(model: Any, layers: Callable[..., Any], batch: dict[str, Tensor]) -> Tensor:
    """Last hidden states (B, T, H) of packed rows."""
    mask: Any = visible(batch["numbers"])
    fast = fused_convolutions() if mask.device.type == "cpu" else nullcontext()
    if hasattr(model.config, "layer_types"):  # models with mixed layers take a mask per kind
        mask = {"full_attention": mask, "conv": None}
    with fast:  # 16 % less time per step, compiled, on two cores
        return layers(
            input_ids=batch["input_ids"], position_ids=batch["positions"], attention_mask=mask, use_cache=False
        ).last_hidden_state
