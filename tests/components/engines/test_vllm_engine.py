import importlib.util
import sys
import zlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from components.engines import ChatRequest, Sampling, open_engine
from components.engines.vllm_engine import VllmEngine
from components.errors import EngineError
from components.params import EngineParams


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_without_vllm_the_error_names_the_lock_of_its_environment() -> None:
    with pytest.raises(EngineError, match=r"needs vLLM .*\(requirements-gpu\.lock, docs/scale\.md\), found none"):
        open_engine(EngineParams(kind="vllm"), "some/model")


class Fake:
    """What the engine uses of vLLM: it answers with a text, or the seed that it was given for a prompt and a number."""

    SamplingParams = SimpleNamespace
    sampling_params = SimpleNamespace(StructuredOutputsParams=SimpleNamespace)

    def __init__(self, tokenizer: Any, text: str = "") -> None:
        self.tokenizer, self.text, self.LLM = tokenizer, text, lambda **settings: self

    def get_tokenizer(self) -> Any:
        return self.tokenizer

    def generate(self, prompts: list[Any], settings: list[SimpleNamespace]) -> list[Any]:
        return [
            SimpleNamespace(
                prompt_token_ids=prompt["prompt_token_ids"],
                outputs=[
                    SimpleNamespace(text=self.text or f"{each.seed} {number}", token_ids=[1], finish_reason="stop")
                    for number in range(each.n)
                ],
            )
            for prompt, each in zip(prompts, settings, strict=True)
        ]


def test_each_request_draws_by_a_seed_of_its_own(
    tokenizer: Any, make_request: Callable[..., ChatRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", Fake(tokenizer))  # pyright: ignore[reportArgumentType]
    engine, sampling = VllmEngine("some/model"), Sampling(temperature=1.0, n=2, seed=7)
    answers = engine.generate([make_request("a", "hi"), make_request("b", "hi")], sampling)
    seeds = {name: zlib.crc32(f"7/0/{name}".encode()) & 0x7FFFFFFF for name in "ab"}
    assert [answer.text for answer in answers] == [f"{seeds[name]} {number}" for name in "ab" for number in range(2)]
    (alone, _) = engine.generate([make_request("b", "hi")], sampling)
    assert alone.text == answers[2].text  # the same in whatever batch


def test_an_answer_under_a_schema_has_no_thought_to_be_cut_off(
    tokenizer: Any, make_request: Callable[..., ChatRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", Fake(tokenizer, '{"a": "x"}'))  # pyright: ignore[reportArgumentType]
    engine = VllmEngine("some/model")
    engine.chat.thinking = True
    (held,) = engine.generate([make_request("a", "hi")], Sampling(answer_schema={"type": "object"}))
    (free,) = engine.generate([make_request("a", "hi")], Sampling())
    assert (held.text, free.text) == ('{"a": "x"}', "")
