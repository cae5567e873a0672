"""Completions by llama.cpp in this process: fast for few callers, since its steps have no fixed cost.

Prompts go in and answers come out as token ids of the model's own tokenizer. In f32 greedy answers are those of the
transformers engine, token for token, unless two tokens are equally likely up to rounding; in f16 up to such rounding.
Answers are held to a schema by the same grammar library, and read once more by it afterwards.
"""

import math
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tqdm import tqdm

from components.engines.base import ChatRequest, Listeners, Sampling, failed, seed_of
from components.engines.calling import answer_grammar
from components.engines.chat import Chat
from components.engines.constraint import Grammar, Vocabulary
from components.engines.ending import Ending
from components.engines.gguf_files import FILES, Converted, Weights, converted
from components.engines.llama_cpp_server import Written, library, started
from components.engines.sampling import COLDEST
from components.engines.thinking import AnswerFilter, answer_of
from components.errors import EngineError
from components.params import LlamaCppParams, Precision
from components.records import Completion, Usage

WEIGHTS: dict[Precision, Weights] = {"auto": "f16", "bf16": "bf16", "fp32": "f32"}


@dataclass(frozen=True, slots=True)
class Job:
    """One completion to compute: its place among the answers, its request, its prompt, its number, and what ends it."""

    place: int
    request: ChatRequest
    tokens: list[int]
    sample: int
    ending: Ending

    @property
    def in_parts(self) -> bool:
        """Whether llama.cpp tells of it while it is written, as it must where somebody listens or it may end early."""
        return self.ending.reads or self.ending.watches


class LlamaCppEngine:
    """A model that llama.cpp runs on this machine's cores.

    Several threads may call it: up to `at_once` completions are decoded together, and each ends by itself.
    `latency_ms` of a completion is the time from its start to its end, without the wait for a free place. `usage`
    counts the whole prompt and the token that ends the answer. `confidence` is None for an answer that is told of
    in parts, and of which llama.cpp does not tell every token's probability: for characters that take several tokens
    it tells only the last one's. A sample depends on seed, example and number, but for rounding, which the batch
    decides.
    """

    def __init__(self, model: Converted, tokenizer: Any, params: LlamaCppParams) -> None:
        """Start llama.cpp's threads.

        Raises:
            EngineError: xllamacpp is not installed, there is no chat template, or llama.cpp does not load the model.
        """
        if tokenizer.chat_template is None:
            raise EngineError("expected a chat template in the tokenizer, found none")
        self.tokenizer, self.at_once = tokenizer, params.parallel
        self.chat, self.context = Chat(tokenizer), min(params.context, model.context)
        self._model, self._cache_prompt = model, params.cache_prompt
        socket = tempfile.mkdtemp(prefix="gradus-")  # a folder that only this user may open
        weakref.finalize(self, shutil.rmtree, socket, ignore_errors=True)
        self._server = started(model, params, self.context, Path(socket))

    @classmethod
    def open(
        cls, folder: Path, params: LlamaCppParams, precision: Precision = "auto", files: Path = FILES
    ) -> "LlamaCppEngine":
        """Open a model folder, converted where it was not before.

        Raises:
            EngineError: The folder holds no model that loads, or one that is not converted, or a library is missing.
        """
        from transformers import AutoTokenizer

        library("xllamacpp")
        library("gguf")
        model = converted(folder, params.weights or WEIGHTS[precision], files)
        return cls(model, AutoTokenizer.from_pretrained(folder), params)

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        """Answer every request: `n` completions in a row for each, in the order of the requests.

        Raises:
            EngineError: The schema is one that answers cannot be held to, or tools are offered.
        """
        return self.stream(requests, sampling, {})

    def stream(self, requests: list[ChatRequest], sampling: Sampling, listeners: Listeners) -> list[Completion]:
        """Like `generate`, but calls listeners with their completion's text as it is written, in whole characters.

        Raises:
            EngineError: The schema is one that answers cannot be held to, or tools are offered.
        """
        if sampling.calls is not None:
            raise EngineError("expected a request without tools, which engine.kind llama_cpp does not hold to schemas")
        schema = sampling.answer_schema
        held = None if schema is None else Held(Grammar(self._vocabulary, sampling), schema)
        answers: list[Completion | None] = [None] * (len(requests) * sampling.n)
        jobs: list[Job] = []
        prompts = self.chat.prompts_within([request.messages for request in requests], self.context)
        for at, (request, tokens) in enumerate(zip(requests, prompts, strict=True)):
            for sample in range(sampling.n):
                place = at * sampling.n + sample
                if isinstance(tokens, str):
                    answers[place] = failed(request, tokens)
                else:
                    jobs.append(Job(place, request, tokens, sample, Ending(request, listeners.get(place))))
        total, wanted = len(answers), len(jobs)
        with tqdm(total=total, initial=total - wanted, desc="completions", unit="answer") as bar:
            for job, answer in zip(jobs, self._answers(jobs, sampling, held, bar.update), strict=True):
                answers[job.place] = answer
        return [answer for answer in answers if answer is not None]

    def _answers(
        self, jobs: Sequence[Job], sampling: Sampling, held: "Held | None", on_end: Callable[[], object]
    ) -> list[Completion]:
        """One completion for each job, in order."""
        lock = threading.Lock()

        def answer(job: Job) -> Completion:
            completion = self._answer(job, sampling, held)
            with lock:
                on_end()
            return completion

        if len(jobs) <= 1:
            return [answer(job) for job in jobs]
        pool = ThreadPoolExecutor(min(len(jobs), self.at_once))
        try:
            return list(pool.map(answer, jobs))
        finally:
            pool.shutdown(cancel_futures=True)

    def _answer(self, job: Job, sampling: Sampling, held: "Held | None") -> Completion:
        """One completion.

        Raises:
            EngineError: The grammar library gave up on the schema.
        """
        thinking = self.chat.thinks_under(sampling)
        written = Written(AnswerFilter(job.ending, thinking=thinking), job.ending)
        started = time.perf_counter()
        self._server.handle_completions(self._body(job, sampling, held), written)
        milliseconds = (time.perf_counter() - started) * 1e3
        if written.error is not None:
            return failed(job.request, f"expected an answer of llama.cpp, found: {written.error}", away=True)
        text = written.text
        if not job.in_parts:
            text = self.tokenizer.decode(written.tokens, skip_special_tokens=True)
        if held is not None:
            held.check(text, ended=written.reason == "stop" and not written.cut)
        complete = len(written.logprobs) == written.count
        return Completion(
            example_id=job.request.example_id,
            text=answer_of(text, thinking=thinking),
            usage=Usage(input_tokens=len(job.tokens), output_tokens=written.count),
            latency_ms=milliseconds,
            finish_reason=written.reason,
            confidence=min(1.0, math.exp(sum(written.logprobs))) if complete else None,
        )

    def _body(self, job: Job, sampling: Sampling, held: "Held | None") -> dict[str, Any]:
        """The request that llama.cpp gets; without penalties and cuts other than those of `sampling`."""
        greedy = sampling.temperature < COLDEST
        return {
            "prompt": job.tokens,
            "n_predict": min(sampling.max_new_tokens, self.context - len(job.tokens)),
            "samplers": ["top_k"] if greedy else ["temperature", "top_p"],
            "top_k": 1,
            "temperature": 0.0 if greedy else sampling.temperature,
            "top_p": sampling.top_p,
            "seed": seed_of(job.request, sampling, job.sample),
            "cache_prompt": self._cache_prompt,
            "stream": job.in_parts,
            "n_probs": 1,
            "verbose": True,  # the only way to the tokens' ids
            "return_tokens": True,
            **({} if held is None else {"grammar": held.lark}),
        }

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        """This model's tokens, read once for all grammars."""
        return Vocabulary(self.tokenizer, self._model.size, self._model.ends)


class Held:
    """A grammar for llama.cpp, which leaves an answer free where its library gives up: each is read again here."""

    def __init__(self, grammar: Grammar, schema: dict[str, Any]) -> None:
        self.lark, self._grammar = answer_grammar(schema), grammar

    def check(self, text: str, *, ended: bool) -> None:
        """Read an answer; one that has not ended need only be the beginning of one.

        Raises:
            EngineError: It breaks the grammar.
        """
        if not self._grammar.reads(text, ended=ended):
            raise EngineError("expected a schema that constrained decoding can follow, found one that it gave up on")
