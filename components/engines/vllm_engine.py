"""Completions by vLLM in this process. vLLM is no dependency: its pins exclude Prefect's, so it is installed apart."""

import importlib
import time
from typing import Any

from jinja2 import TemplateError

from components.engines.base import Ask, Sampling, failed
from components.engines.chat import Chat
from components.engines.thinking import answer_of
from components.errors import EngineError
from components.params import Precision
from components.records import Completion, Usage

DTYPES: dict[Precision, str] = {"auto": "auto", "bf16": "bfloat16", "fp32": "float32"}


class VllmEngine:
    """A model that vLLM serves, its prefix cache on.

    vLLM schedules all prompts together, so `latency_ms` is the time of the whole call: the longest that a caller
    waited. `usage` counts the whole prompt and the token that ends the answer.

    Raises:
        EngineError: vLLM is not installed.
    """

    def __init__(self, model: str, precision: Precision = "auto") -> None:
        try:
            self.vllm: Any = importlib.import_module("vllm")
        except ImportError as error:
            raise EngineError(
                "engine.kind vllm needs vLLM in an environment of its own (`pip install --group vllm`), "
                f"found none: {error}"
            ) from error
        self.llm = self.vllm.LLM(model=model, dtype=DTYPES[precision], enable_prefix_caching=True)
        self.chat = Chat(self.llm.get_tokenizer())

    def generate(self, prompts: list[Ask], sampling: Sampling) -> list[Completion]:
        """Answer every prompt: `n` completions in a row for each, in the order of the prompts."""
        if not prompts:
            return []
        try:
            return self._answer(prompts, sampling)
        except (ValueError, TemplateError) as error:  # one prompt that is refused ends the call for all
            if len(prompts) == 1:
                return [failed(prompts[0], str(error))] * sampling.n
            return [answer for ask in prompts for answer in self.generate([ask], sampling)]

    def _structure(self, schema: dict[str, Any] | None) -> dict[str, Any]:
        """The setting for answers that are held to a schema."""
        if schema is None:
            return {}
        return {"structured_outputs": self.vllm.sampling_params.StructuredOutputsParams(json=schema)}

    def _answer(self, prompts: list[Ask], sampling: Sampling) -> list[Completion]:
        settings = self.vllm.SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_new_tokens,
            n=sampling.n,
            seed=sampling.seed,
            **self._structure(sampling.answer_schema),
        )
        started = time.perf_counter()
        tokens = self.chat.prompts([ask.messages for ask in prompts])
        replies = self.llm.generate([{"prompt_token_ids": ids} for ids in tokens], settings)
        latency_ms = (time.perf_counter() - started) * 1e3
        return [
            Completion(
                example_id=ask.example_id,
                text=answer_of(answer.text, thinking=self.chat.thinking),
                usage=Usage(input_tokens=len(reply.prompt_token_ids), output_tokens=len(answer.token_ids)),
                latency_ms=latency_ms,
                finish_reason="length" if answer.finish_reason == "length" else "stop",
            )
            for ask, reply in zip(prompts, replies, strict=True)
            for answer in reply.outputs
        ]
