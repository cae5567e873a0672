import importlib.util
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from components.engines import ChatRequest, Sampling, open_engine
from components.engines.vllm_engine import VllmEngine
from components.errors import EngineError
from components.params import EngineParams
from tests.components.engines.conftest import CHARACTERS, SPECIALS


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_without_vllm_the_error_names_the_lock_of_its_environment() -> None:
    with pytest.raises(EngineError, match=r"needs vLLM .*\(requirements-gpu\.lock, docs/scale\.md\), found none"):
        open_engine(EngineParams(kind="vllm"), "some/model")


REFUSED = len(SPECIALS) + CHARACTERS.index("z")  # a token


class Fake:
    """What the engine uses of vLLM: it answers with a text, or the seed that it was given for a prompt and a number."""

    SamplingParams = SimpleNamespace
    sampling_params = SimpleNamespace(StructuredOutputsParams=SimpleNamespace)

    def __init__(self, tokenizer: Any, text: str = "") -> None:
        self.tokenizer, self.text, self.LLM = tokenizer, text, lambda **settings: self
        self.reason = "stop"
        self.llm_engine = SimpleNamespace(model_config=SimpleNamespace(max_model_len=100))
        self.calls: list[int] = []

    def get_tokenizer(self) -> Any:
        return self.tokenizer

    def generate(self, prompts: list[Any], settings: list[SimpleNamespace]) -> list[Any]:
        if any(REFUSED in prompt["prompt_token_ids"] for prompt in prompts):
            raise ValueError("refused")
        self.calls.append(len(prompts))
        return [
            SimpleNamespace(
                prompt_token_ids=prompt["prompt_token_ids"],
                outputs=[
                    SimpleNamespace(text=self.text or f"{each.seed} {number}", token_ids=[1], finish_reason=self.reason)
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


@pytest.mark.parametrize(
    ("odd", "found"),
    [
        ("a" * 100, ("expected a prompt of 1 to 99 tokens, found 119", [63])),
        ("z", ("refused", [32, 16, 8, 4, 2, 1])),
    ],
    ids=["long", "refused"],
)
def test_a_prompt_that_cannot_be_read_leaves_the_others_together(
    tokenizer: Any,
    make_request: Callable[..., ChatRequest],
    monkeypatch: pytest.MonkeyPatch,
    odd: str,
    found: tuple[str, list[int]],
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", fake := Fake(tokenizer))  # pyright: ignore[reportArgumentType]
    requests = [make_request(str(at), odd if at == 7 else "hi") for at in range(64)]
    answers = VllmEngine("some/model").generate(requests, Sampling(n=2))
    assert [at for at, answer in enumerate(answers) if answer.error is not None] == [14, 15]
    assert (answers[14].error, sorted(fake.calls, reverse=True)) == found
    assert [answer.example_id for answer in answers] == [request.example_id for request in requests for _ in range(2)]


def test_an_answer_that_vllm_broke_off_is_none(
    tokenizer: Any, make_request: Callable[..., ChatRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake(tokenizer, "half of")
    fake.reason = "abort"
    monkeypatch.setitem(sys.modules, "vllm", fake)  # pyright: ignore[reportArgumentType]
    (broken,) = VllmEngine("some/model").generate([make_request("a", "hi")], Sampling())
    assert (broken.text, broken.away, broken.error) == ("", True, "vLLM broke the answer off (abort)")


def test_an_answer_under_a_schema_has_no_thought_to_be_cut_off(
    tokenizer: Any, make_request: Callable[..., ChatRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", Fake(tokenizer, '{"a": "x"}'))  # pyright: ignore[reportArgumentType]
    engine = VllmEngine("some/model")
    engine.chat.thinking = True
    (held,) = engine.generate([make_request("a", "hi")], Sampling(answer_schema={"type": "object"}))
    (free,) = engine.generate([make_request("a", "hi")], Sampling())
    assert (held.text, free.text) == ('{"a": "x"}', "")


def test_stops_end_an_answer_but_no_thought(
    tokenizer: Any, make_request: Callable[..., ChatRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", Fake(tokenizer))  # pyright: ignore[reportArgumentType]
    engine = VllmEngine("some/model")
    request = replace(make_request("a", "hi"), stops=("x", "yz"))
    assert engine._settings(request, Sampling()).stop == []  # a model may open a thought by itself
    assert engine._settings(request, Sampling(answer_schema={"type": "object"})).stop == ["x", "yz"]
