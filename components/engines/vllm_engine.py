"""Completions by vLLM in this process.

vLLM is not a dependency: its pins conflict with Prefect's, so it is installed in an environment of its own.
"""

import importlib
import time
from collections.abc import Sequence
from typing import Any

from components.engines.base import ChatRequest, Sampling, failed, seed_of
from components.engines.chat import Chat
from components.engines.closing import closed
from components.engines.thinking import answer_of
from components.errors import EngineError
from components.params import Precision
from components.records import Completion, Usage

Asked = tuple[ChatRequest, list[int]]
DTYPES: dict[Precision, str] = {"auto": "auto", "bf16": "bfloat16", "fp32": "float32"}


class VllmEngine:
    """A model that vLLM serves, its prefix cache on.

    vLLM schedules all requests together, so `latency_ms` is the time of the whole call, the longest that any caller
    waits. `usage` counts the whole prompt and the token that ends the answer.

    Raises:
        EngineError: vLLM is not installed.
    """

    def __init__(self, model: str, precision: Precision = "auto") -> None:
        try:
            self.vllm: Any = importlib.import_module("vllm")
        except ImportError as error:
            raise EngineError(
                "engine.kind vllm needs vLLM in an environment of its own (requirements-gpu.lock, docs/scale.md), "
                f"found none: {error}"
            ) from error
        self.llm = self.vllm.LLM(model=model, dtype=DTYPES[precision], enable_prefix_caching=True)
        self.chat = Chat(self.llm.get_tokenizer())
        self.context: int = self.llm.llm_engine.model_config.max_model_len

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        """Answer every request: `n` completions in a row for each, in the order of the requests."""
        prompts = self.chat.prompts_within([request.messages for request in requests], self.context)
        asked = [(request, ids) for request, ids in zip(requests, prompts, strict=True) if not isinstance(ids, str)]
        answers = iter(self._answered(asked, sampling))
        return [
            failed(request, prompt) if isinstance(prompt, str) else next(answers)
            for request, prompt in zip(requests, prompts, strict=True)
            for _ in range(sampling.n)
        ]

    def _answered(self, asked: Sequence[Asked], sampling: Sampling) -> list[Completion]:
        """The answers to requests whose prompts fit; as one that is refused fails a whole call, its half is halved."""
        if not asked:
            return []
        try:
            return self._answer(asked, sampling)
        except ValueError as error:
            if len(asked) == 1:
                return [failed(asked[0][0], str(error))] * sampling.n
            middle = len(asked) // 2
            return [*self._answered(asked[:middle], sampling), *self._answered(asked[middle:], sampling)]

    def _structure(self, schema: dict[str, Any] | None) -> dict[str, Any]:
        """The sampling setting that holds answers to a schema."""
        if schema is None:
            return {}
        return {"structured_outputs": self.vllm.sampling_params.StructuredOutputsParams(json=closed(schema))}

    def _settings(self, request: ChatRequest, sampling: Sampling) -> Any:
        """How vLLM samples a request's answers; it adds a completion's number to the seed."""
        return self.vllm.SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_new_tokens,
            n=sampling.n,
            seed=seed_of(request, sampling),
            stop=list(request.stops) if sampling.holds_start else [],  # else within a thought, too; callers cut then
            **self._structure(sampling.answer_schema),
        )

    def _answer(self, asked: Sequence[Asked], sampling: Sampling) -> list[Completion]:
        settings = [self._settings(request, sampling) for request, _ in asked]
        started = time.perf_counter()
        replies = self.llm.generate([{"prompt_token_ids": ids} for _, ids in asked], settings)
        latency_ms = (time.perf_counter() - started) * 1e3
        thinking = self.chat.thinks_under(sampling)
        return [
            failed(request, f"vLLM broke the answer off ({answer.finish_reason})", away=True)
            if answer.finish_reason not in ("stop", "length")
            else Completion(
                example_id=request.example_id,
                text=answer_of(answer.text, thinking=thinking),
                usage=Usage(input_tokens=len(reply.prompt_token_ids), output_tokens=len(answer.token_ids)),
                latency_ms=latency_ms,
                finish_reason=answer.finish_reason,
            )
            for (request, _), reply in zip(asked, replies, strict=True)
            for answer in reply.outputs
        ]
