"""Completions by a local model: similar lengths together, the shared prefix once, finished rows dropped.

Decides batches, limits and how failures are told; reading prompts and decoding have modules of their own. In float32
the answers are those of one-by-one `generate`, token for token, unless two tokens are equally likely up to rounding.
Of a model's own generation settings only the end tokens count: top-k and penalties are not applied.
"""

import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from components.engines.base import Ask, Sampling, failed
from components.engines.batch import ATTENTION, Batch, assemble, attention
from components.engines.constraint import Grammar
from components.engines.decoding import Chooser, Row, decode
from components.engines.planning import plan_batches, plan_reads
from components.engines.prefill import Prefix, common_prefix, read_prefix, read_prompts
from components.engines.sampling import uniforms
from components.errors import EngineError
from components.models import open_model
from components.params import Precision
from components.records import Completion, Usage

KNOWN_LAYERS = {"full_attention", "conv"}


@dataclass(frozen=True, slots=True)
class Job:
    """One completion to compute, and its place among the answers."""

    place: int
    ask: Ask
    sample: int
    tokens: list[int]


class TransformersEngine:
    """A model in this process, on the CPU or one GPU.

    `latency_ms` of a completion is the time from the start of its batch to the step in which it ended: what a caller
    waits whose request is served in such a batch. The shared prefix, computed once a call, is not in it. `usage`
    counts the whole prompt, shared prefix included, and the token that ends the answer.
    """

    def __init__(self, model: Any, tokenizer: Any, batch_tokens: int = 32_768) -> None:
        _check(model, tokenizer)
        self.model, self.tokenizer, self.batch_tokens = model, tokenizer, batch_tokens
        self.ends = _end_tokens(model, tokenizer)
        self.context: int = model.config.get_text_config(decoder=True).max_position_embeddings

    @classmethod
    def open(cls, folder: Path, batch_tokens: int, precision: Precision = "auto") -> "TransformersEngine":
        """Open a model folder, on a GPU where there is one. "auto" is bfloat16 there and float32 on the CPU.

        Raises:
            EngineError: The folder holds no model that loads, or one that this engine cannot run.
        """
        model, tokenizer = open_model(folder)
        gpu = torch.cuda.is_available()
        half = precision == "bf16" or (precision == "auto" and gpu)
        model.to(device="cuda" if gpu else "cpu", dtype=torch.bfloat16 if half else torch.float32)
        return cls(model, tokenizer, batch_tokens)

    def generate(self, prompts: list[Ask], sampling: Sampling) -> list[Completion]:
        """Answer every prompt: `n` completions in a row for each, in the order of the prompts.

        Raises:
            EngineError: A batch does not fit into the memory of the device.
        """
        answers: dict[int, Completion] = {}
        try:
            with tqdm(total=len(prompts) * sampling.n, desc="completions", unit="answer") as bar, _ready(self.model):
                for place, completion in self._complete(prompts, sampling):
                    answers[place] = completion
                    bar.update()
        except torch.OutOfMemoryError as error:
            raise EngineError(
                f"engine.batch_tokens must fit into memory, found {self.batch_tokens}: {error}"
            ) from error
        return [answers[place] for place in range(len(prompts) * sampling.n)]

    def _complete(self, prompts: list[Ask], sampling: Sampling) -> Iterator[tuple[int, Completion]]:
        """Completions and their places, in the order in which they end."""
        jobs: list[Job] = []
        for at, (ask, tokens) in enumerate(zip(prompts, self._encode(prompts), strict=True)):
            for sample in range(sampling.n):
                place = at * sampling.n + sample
                if isinstance(tokens, str):
                    yield place, failed(ask, tokens)
                else:
                    jobs.append(Job(place, ask, sample, tokens))
        if not jobs:
            return
        shared = common_prefix([job.tokens for job in jobs])
        prefix = read_prefix(self.model, jobs[0].tokens[:shared])
        lengths = [len(job.tokens) for job in jobs]
        grammar = self._grammar(sampling.answer_schema) if sampling.answer_schema is not None else None
        for batch in plan_batches(lengths, shared, sampling.max_new_tokens, self.batch_tokens):
            yield from self._complete_batch(prefix, [jobs[at] for at in batch], sampling, grammar)

    def _complete_batch(
        self, prefix: Prefix, jobs: list[Job], sampling: Sampling, grammar: Grammar | None
    ) -> Iterator[tuple[int, Completion]]:
        """The completions of one batch."""
        started = time.perf_counter()
        rows = [self._row(job, sampling) for job in jobs]
        chooser = Chooser(rows, sampling, self.ends, grammar.constraint(len(rows)) if grammar else None)
        batch, logits_RV = self._fill(prefix, [job.tokens for job in jobs], max(row.limit for row in rows))
        with attention(self.model, ATTENTION):
            for end in decode(self.model, batch, logits_RV, rows, chooser):
                job = jobs[end.row]
                answer = Completion(
                    example_id=job.ask.example_id,
                    text=self.tokenizer.decode(end.tokens, skip_special_tokens=True),
                    usage=Usage(input_tokens=len(job.tokens), output_tokens=len(end.tokens)),
                    latency_ms=(time.perf_counter() - started) * 1e3,
                    finish_reason=end.reason,
                )
                yield job.place, answer

    def _grammar(self, schema: dict[str, Any]) -> Grammar:
        """A schema over this model's tokens."""
        vocabulary = self.model.config.get_text_config(decoder=True).vocab_size
        return Grammar(self.tokenizer, vocabulary, sorted(self.ends), schema)

    def _fill(self, prefix: Prefix, prompts: list[list[int]], new_tokens: int) -> tuple[Batch, Tensor]:
        """A batch that has read these prompts, each once, however many of its samples stand in a row."""
        read = [tokens for tokens, _ in groupby(prompts)]
        numbers = [number for number, (_, samples) in enumerate(groupby(prompts)) for _ in samples]
        spread = prefix.length if getattr(self.model.config, "conv_bias", False) else None
        layout = plan_reads([len(tokens) for tokens in read], prefix.length, self.batch_tokens, spread)
        filled = [read_prompts(self.model, prefix, read[group.start : group.stop], layout) for group in layout.groups]
        batch = assemble(prefix, filled, layout, new_tokens)
        logits_RV = torch.cat([part.logits_RV for part in filled])
        if len(read) < len(prompts):
            logits_RV = batch.keep(numbers, logits_RV)
        return batch, logits_RV

    def _row(self, job: Job, sampling: Sampling) -> Row:
        """What decoding needs to know of a job."""
        limit = min(sampling.max_new_tokens, self.context - len(job.tokens))
        return Row(limit, uniforms(job.ask.example_id, job.sample, sampling))

    def _encode(self, prompts: list[Ask]) -> list[list[int] | str]:
        """Tokens of each prompt, or why there are none."""
        texts: list[str] = []
        reasons: dict[int, str] = {}
        for at, ask in enumerate(prompts):
            try:
                turns = [message.model_dump() for message in ask.messages]
                texts.append(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
            except Exception as error:  # a template raises what it likes: a role it does not know, no message
                reasons[at] = f"expected messages that the chat template takes, found: {error}"
                texts.append("")
        encoded: list[list[int]] = self.tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
        for at, tokens in enumerate(encoded):
            if at not in reasons and not 0 < len(tokens) < self.context:
                reasons[at] = f"expected a prompt of 1 to {self.context - 1:,} tokens, found {len(tokens):,}"
        return [reasons.get(at, tokens) for at, tokens in enumerate(encoded)]


@contextmanager
def _ready(model: Any) -> Generator[None]:
    """Evaluation mode without gradients, and attention that takes the masks of `prefill`; then all as before."""
    training = model.training
    with ExitStack() as stack:
        stack.callback(model.train, training)
        model.eval()
        stack.enter_context(attention(model, "sdpa"))
        stack.enter_context(torch.inference_mode())
        yield


def _check(model: Any, tokenizer: Any) -> None:
    """Refuse what this engine cannot run correctly."""
    from transformers.cache_utils import get_layer_types_and_kwargs

    where: str = model.config.name_or_path or type(model).__name__
    kinds = set(get_layer_types_and_kwargs(model.config.get_text_config(decoder=True))[0])
    if unknown := sorted(kinds - KNOWN_LAYERS):
        raise EngineError(f"expected layers of {' or '.join(sorted(KNOWN_LAYERS))}, found {unknown[0]} ({where})")
    if tokenizer.chat_template is None:
        raise EngineError(f"expected a chat template in the tokenizer, found none ({where})")


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """The tokens that end an answer: the model's generation settings say, else the tokenizer."""
    named = model.generation_config.eos_token_id
    named = tokenizer.eos_token_id if named is None else named
    return frozenset(named if isinstance(named, list) else [] if named is None else [named])
