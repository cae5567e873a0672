"""Completions by a local model: similar lengths together, the shared prefix once, finished rows dropped.

Decides batches, limits and how failures are reported; reading prompts and decoding have modules of their own. In
float32 the answers are those of one-by-one `generate`, token for token, unless two tokens are equally likely up to
rounding; in bfloat16, where rounding is coarse, up to such rounding.
Of a model's own generation settings only the end tokens are used: top-k and penalties are not applied.
"""

import math
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from tqdm import tqdm

from components.engines.base import ChatRequest, Listeners, Sampling, failed
from components.engines.batch import ATTENTION, Batch, assemble, attention
from components.engines.calling import OPEN
from components.engines.chat import Chat, too_long
from components.engines.constraint import Grammar, Vocabulary
from components.engines.conversations import Conversations
from components.engines.decoding import Chooser, Finished, Row, decode
from components.engines.ending import Ending
from components.engines.planning import plan_batches, plan_reads
from components.engines.prefill import Prefix, common_prefix, read_prefix, read_prompts
from components.engines.streaming import token_listener
from components.engines.thinking import AnswerFilter, answer_of
from components.engines.turns import Turns
from components.errors import EngineError, UnreachableError
from components.models import computes_bf16, context_of, end_tokens, open_model
from components.params import Precision
from components.records import Completion, Usage

KNOWN_LAYERS = {"full_attention", "conv"}
# On CPUs each product in bfloat16 has a fixed cost of 30 to 50 µs. For few rows of a narrow model float32 is faster:
# one answer takes 0.8 of the time, two take 0.85; four take longer.
NARROW, FEW = 512, 2
TRIED = 16  # tokens of the shared prefix that a model is tried with
_right = set[tuple[str, ...]]()  # kinds of models that were tried in this process
MOST_OFF = 0.05  # of the spread of logits: rounding in float32 puts them off by 1e-5, other computations by a third


@dataclass(frozen=True, slots=True)
class Job:
    """One completion to compute: its index among the answers, its prompt, what its random numbers depend on.

    `ending` gets its text as it is written, and may end it.
    """

    place: int
    name: str
    sample: int
    tokens: list[int]
    ending: Ending | None = None
    limit: int | None = None  # of new tokens, where lower than the sampling's


@dataclass(frozen=True, slots=True)
class Continuation:
    """Tokens to be continued by at most `limit` more; random numbers depend on `name` and `sample`."""

    place: int
    name: str
    sample: int
    tokens: list[int]
    limit: int


@dataclass(frozen=True, slots=True)
class Continued:
    """New tokens, including the one that ended them, each one's log-probability, and why they ended."""

    tokens: list[int]
    logprobs: list[float]
    reason: Literal["stop", "length"]
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Drawn:
    """A computed completion; `milliseconds` count from the start of its batch."""

    job: Job
    end: Finished
    milliseconds: float


class TransformersEngine:
    """A model in this process, on the CPU or one GPU.

    `latency_ms` of a completion is the time from the start of its batch to the step in which it ended, which is how
    long a caller waits whose request is in that batch. It excludes the shared prefix, which is computed once a call.
    `usage` counts the whole prompt, shared prefix included, and the token that ends the answer.
    """

    def __init__(self, model: Any, tokenizer: Any, batch_tokens: int = 32_768) -> None:
        _check(model, tokenizer)
        self.model, self.tokenizer, self.batch_tokens = model, tokenizer, batch_tokens
        self.chat = Chat(tokenizer)
        self.for_few_rows: TransformersEngine | None = None  # the same weights in float32, used where that is faster
        self.ends = end_tokens(model, tokenizer)
        self.context: int = context_of(model.config) or 0
        self._conversations = Conversations(Turns(tokenizer, self.ends, self.chat))
        self._try()

    @property
    def calls_tools(self) -> bool:
        """Whether the model writes tool calls in the format that `calling` parses."""
        added = self.tokenizer.added_tokens_decoder.values()
        hidden = any(token.special and token.content == OPEN for token in added)  # decoding would drop the tag
        return self.tokenizer.is_fast and OPEN in str(self.tokenizer.chat_template) and not hidden

    @classmethod
    def open(cls, folder: Path, batch_tokens: int, precision: Precision = "auto") -> "TransformersEngine":
        """Open a model folder, on a GPU where there is one. "auto" is bfloat16 where that is fast, else float32.

        Raises:
            EngineError: The folder holds no model that loads, or one that this engine cannot run.
        """
        model, tokenizer = open_model(folder)
        model.to(device="cuda" if torch.cuda.is_available() else "cpu", dtype=_dtype(precision))
        engine = cls(model, tokenizer, batch_tokens)
        width = model.config.get_text_config(decoder=True).hidden_size
        if precision == "auto" and model.dtype == torch.bfloat16 and model.device.type == "cpu" and width <= NARROW:
            engine.for_few_rows = cls(deepcopy(model).float(), tokenizer, batch_tokens)
            engine.for_few_rows._conversations = engine._conversations
        return engine

    @classmethod
    def of_trained(
        cls, model: Any, tokenizer: Any, batch_tokens: int, precision: Precision = "auto"
    ) -> "TransformersEngine":
        """The engine that `open` would give if this model were saved; for bfloat16 it works on a copy.

        A model with adapters is used itself: its base weights are already stored as they are served.
        """
        from transformers import AutoModelForCausalLM

        wanted = _dtype(precision)
        if wanted in (torch.float32, model.dtype) or hasattr(model, "peft_config"):
            return cls(model, tokenizer, batch_tokens)
        copy: Any = AutoModelForCausalLM.from_config(model.config, dtype=wanted).to(model.device)
        copy.load_state_dict(model.state_dict())
        copy.generation_config = model.generation_config
        return cls(copy.eval(), tokenizer, batch_tokens)

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        """Answer every request: `n` completions in a row for each, in the order of the requests.

        Raises:
            UnreachableError: A batch does not fit into the memory of the device.
        """
        return self.stream(requests, sampling, {})

    def stream(self, requests: list[ChatRequest], sampling: Sampling, listeners: Listeners) -> list[Completion]:
        """Like `generate`, but calls listeners with their completion's text as it is written, in whole characters.

        Raises:
            UnreachableError: A batch does not fit into the memory of the device.
        """
        total = len(requests) * sampling.n
        if self.for_few_rows is not None and total <= FEW:
            return self.for_few_rows.stream(requests, sampling, listeners)
        answers: list[Completion | None] = [None] * total
        jobs: list[Job] = []
        for at, (request, tokens) in enumerate(zip(requests, self._prompts(requests, sampling), strict=True)):
            for sample in range(sampling.n):
                place = at * sampling.n + sample
                if isinstance(tokens, str):
                    answers[place] = failed(request, tokens)
                else:
                    jobs.append(Job(place, request.example_id, sample, tokens, Ending(request, listeners.get(place))))
        with tqdm(total=total, initial=total - len(jobs), desc="completions", unit="answer") as bar:
            for drawn in self._draw(jobs, sampling):
                answer = self._completion(drawn, sampling)
                answers[drawn.job.place] = answer
                if sampling.calls is not None and answer.finish_reason == "stop":
                    tokens = [*drawn.job.tokens, *drawn.end.tokens]
                    request = requests[drawn.job.place // sampling.n]
                    self._conversations.keep(request, sampling.calls.tools, tokens, answer.text)
                bar.update()
        return [answer for answer in answers if answer is not None]

    def draw(self, prompts: Sequence[list[int]], sampling: Sampling) -> list[list[list[int]]]:
        """`sampling.n` completions of each prompt as token ids, including the token that ended them.

        Random numbers depend on the seed, the prompt's index and the sample's number.

        Raises:
            UnreachableError: A batch does not fit into the memory of the device.
            EngineError: A prompt does not fit into the context.
        """
        if longest := max((len(prompt) for prompt in prompts if len(prompt) >= self.context), default=0):
            raise EngineError(f"expected prompts of at most {self.context - 1:,} tokens, found {longest:,}")
        n = sampling.n
        jobs = [Job(at * n + k, str(at), k, tokens) for at, tokens in enumerate(prompts) for k in range(n)]
        token_ids: list[list[int]] = [[] for _ in jobs]
        bar = tqdm(self._draw(jobs, sampling), "completions", len(jobs), leave=False, delay=5, unit="answer")
        for drawn in bar:
            token_ids[drawn.job.place] = drawn.end.tokens
        return [token_ids[start : start + n] for start in range(0, len(token_ids), n)]

    def extend(self, wanted: Sequence[Continuation], sampling: Sampling) -> list[Continued]:
        """One continuation of each, in order: tokens in, tokens out.

        Raises:
            UnreachableError: A batch does not fit into the memory of the device.
        """
        if self.for_few_rows is not None and len(wanted) <= FEW:
            return self.for_few_rows.extend(wanted, sampling)
        jobs = [Job(at, each.name, each.sample, each.tokens, limit=each.limit) for at, each in enumerate(wanted)]
        ended = {drawn.job.place: drawn for drawn in self._draw(jobs, sampling)}
        ordered = [ended[at] for at in range(len(jobs))]
        return [
            Continued(
                each.end.tokens,
                each.end.each_logprob,
                each.end.reason,
                each.milliseconds,
            )
            for each in ordered
        ]

    def _draw(self, jobs: list[Job], sampling: Sampling) -> Iterator[Drawn]:
        """Completions in the order in which they end."""
        if not jobs:
            return
        held = sampling.answer_schema is not None or sampling.calls is not None
        grammar = Grammar(self._vocabulary, sampling) if held else None
        # A single prompt would be read in two passes, and every step attend to two parts: 12 % slower.
        shared = common_prefix([job.tokens for job in jobs]) if len(jobs) > 1 else 0
        lengths, most = [len(job.tokens) for job in jobs], min(sampling.max_new_tokens, self.context)
        try:
            with _ready(self.model):
                prefix = read_prefix(self.model, jobs[0].tokens[:shared])
                for batch in plan_batches(lengths, shared, most, self.batch_tokens):
                    yield from self._draw_batch(prefix, [jobs[at] for at in batch], sampling, grammar)
        except torch.OutOfMemoryError as error:
            raise UnreachableError(
                f"engine.batch_tokens must fit into memory, found {self.batch_tokens}: {error}"
            ) from error

    def _draw_batch(
        self, prefix: Prefix, jobs: list[Job], sampling: Sampling, grammar: Grammar | None
    ) -> Iterator[Drawn]:
        """The completions of one batch."""
        started = time.perf_counter()
        rows = [self._row(job, sampling) for job in jobs]
        chooser = Chooser(rows, sampling, self.ends, grammar.constraint(len(rows)) if grammar else None)
        batch, logits_RV = self._fill(prefix, [job.tokens for job in jobs], max(row.limit for row in rows))
        with attention(self.model, ATTENTION):
            for end in decode(self.model, batch, logits_RV, rows, chooser):
                yield Drawn(jobs[end.row], end, (time.perf_counter() - started) * 1e3)

    def _completion(self, drawn: Drawn, sampling: Sampling) -> Completion:
        """The record of a computed completion."""
        text = self.tokenizer.decode(drawn.end.tokens, skip_special_tokens=True)
        return Completion(
            example_id=drawn.job.name,
            text=answer_of(text, thinking=self.chat.thinks_under(sampling)),
            usage=Usage(input_tokens=len(drawn.job.tokens), output_tokens=len(drawn.end.tokens)),
            latency_ms=drawn.milliseconds,
            finish_reason=drawn.end.reason,
            confidence=math.exp(drawn.end.logprob),
        )

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        """This model's tokens, read once for all grammars: reading them takes as long as several decoding steps."""
        size = self.model.config.get_text_config(decoder=True).vocab_size
        return Vocabulary(self.tokenizer, size, sorted(self.ends))

    def _fill(self, prefix: Prefix, prompts: list[list[int]], new_tokens: int) -> tuple[Batch, Tensor]:
        """A batch that has read these prompts, and its first logits; each prompt is read once for all its samples."""
        read = [tokens for tokens, _ in groupby(prompts)]
        numbers = [number for number, (_, samples) in enumerate(groupby(prompts)) for _ in samples]
        spread = prefix.length if getattr(self.model.config, "conv_bias", False) else None
        layout = plan_reads([len(tokens) for tokens in read], prefix.length, self.batch_tokens, spread)
        filled = [read_prompts(self.model, prefix, read[group.start : group.stop], layout) for group in layout.groups]
        batch = assemble(prefix, filled, layout, numbers, new_tokens)
        return batch, torch.cat([part.logits_RV for part in filled])[numbers]

    def _try(self) -> None:
        """Refuse a model whose next tokens in a batch are not those of its own forward pass; tried once for each kind.

        In 16 bits only that its layers attend to the whole batch is tried: where experts are chosen, rounding is enough
        to change logits.

        Raises:
            EngineError: They are not, or the model cannot be decoded in a batch at all.
        """
        kind = type(self.model).__name__, str(self.model.dtype), self.model.config.to_json_string()
        if kind in _right:  # a model in training has an engine for each look at it
            return
        size, device = self.model.get_input_embeddings().weight.shape[0], self.model.device
        shared = [31 * at % size for at in range(1, TRIED + 1)]
        rows = [[*shared, *(17 * at % size for at in range(own, 3 * own))] for own in (1, 2)]
        found: str = self.model.config.model_type
        try:
            with _ready(self.model):
                batch, first_RV = self._fill(read_prefix(self.model, shared), [row[:-1] for row in rows], 1)
                with attention(self.model, ATTENTION):
                    second_RV = batch.step(self.model, torch.tensor([row[-1] for row in rows], device=device))
                right = batch.attended == len(batch.shared)
                if right and self.model.dtype == torch.float32:
                    # Of broken weights both may be no number, which is the model's own answer.
                    right = not _off(torch.stack((first_RV, second_RV), 1), _own_logits(self.model, rows)) > MOST_OFF
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # models raise anything
            found += f": {type(error).__name__}: {str(error)[:200]}"
            raise EngineError(f"expected a model that can be decoded in batches, found {found}") from error
        if not right:
            raise EngineError(f"expected a model that answers in a batch as it does alone, found {found}")
        _right.add(kind)

    def _row(self, job: Job, sampling: Sampling) -> Row:
        """A job as decoding needs it."""
        most = sampling.max_new_tokens if job.limit is None else min(job.limit, sampling.max_new_tokens)
        limit = min(most, self.context - len(job.tokens))
        listener, ending = None, job.ending
        if ending is not None and ending.reads and self.tokenizer.is_fast:  # slow tokenizers cannot be streamed
            shown = AnswerFilter(ending, thinking=self.chat.thinks_under(sampling))
            listener = token_listener(self.tokenizer, shown)
        early = ending.reason if ending is not None and ending.watches else None
        return Row(limit, job.name, job.sample, listener, early)

    def _prompts(self, requests: list[ChatRequest], sampling: Sampling) -> list[list[int] | str]:
        """Tokens of each request, or why there are none; with tools, remembered conversations keep their tokens."""
        if sampling.calls is None:
            return self.chat.prompts_within([request.messages for request in requests], self.context)
        encoded: list[list[int] | str] = []
        for request in requests:
            try:
                tokens = self._conversations.prompt(request, sampling.calls.tools)
                encoded.append(tokens if len(tokens) < self.context else too_long(len(tokens), self.context))
            except EngineError as error:
                encoded.append(str(error))
        return encoded


@contextmanager
def _ready(model: Any) -> Generator[None]:
    """Evaluation mode without gradients, and attention that supports `prefill`'s masks; restores both at the end."""
    training = model.training
    with ExitStack() as stack:
        stack.callback(model.train, training)
        model.eval()
        stack.enter_context(attention(model, "sdpa"))
        stack.enter_context(torch.inference_mode())
        yield


def _own_logits(model: Any, rows: Sequence[list[int]]) -> Tensor:
    """The model's logits behind each row's last two tokens [rows, 2, vocabulary], without cache or masks."""
    padded = [row + [0] * (max(map(len, rows)) - len(row)) for row in rows]
    logits_RTV = model(input_ids=torch.tensor(padded, device=model.device), use_cache=False).logits
    return torch.stack([logits_RTV[at, len(row) - 2 : len(row)] for at, row in enumerate(rows)])


def _off(logits_RSV: Tensor, own_RSV: Tensor) -> float:
    """The largest distance of logits from the model's own, as a share of their spread."""
    spread_RS = (own_RSV - own_RSV.mean(-1, keepdim=True)).norm(dim=-1)
    return float(((logits_RSV - own_RSV).norm(dim=-1) / spread_RS).max())


def _dtype(precision: Precision) -> torch.dtype:
    """The dtype that a model is served in."""
    half = precision == "bf16" or (precision == "auto" and computes_bf16())
    return torch.bfloat16 if half else torch.float32


def _check(model: Any, tokenizer: Any) -> None:
    """Refuse a model that this engine cannot run correctly."""
    from transformers.cache_utils import get_layer_types_and_kwargs

    where: str = model.config.name_or_path or type(model).__name__
    if context_of(model.config) is None:
        raise EngineError(f"expected max_position_embeddings in config.json, found none ({where})")
    kinds = set(get_layer_types_and_kwargs(model.config.get_text_config(decoder=True))[0])
    if unknown := sorted(kinds - KNOWN_LAYERS):
        raise EngineError(f"expected layers of {' or '.join(sorted(KNOWN_LAYERS))}, found {unknown[0]} ({where})")
    if tokenizer.chat_template is None:
        raise EngineError(f"expected a chat template in the tokenizer, found none ({where})")
