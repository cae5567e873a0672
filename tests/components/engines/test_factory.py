from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.engines import ChatRequest, Sampling, open_engine
from components.engines.openai_engine import OpenAIEngine
from components.engines.transformers_engine import TransformersEngine
from components.errors import EngineError
from components.params import ApiParams, EngineParams


def test_a_folder_is_opened_with_transformers(
    make_model: Callable[..., Any], tokenizer: Any, make_request: Callable[..., ChatRequest], tmp_path: Path
) -> None:
    make_model("llama").save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    engine = open_engine(EngineParams(batch_tokens=512), tmp_path)
    assert isinstance(engine, TransformersEngine)
    assert engine.batch_tokens == 512
    assert len(engine.generate([make_request("a", "hello")], Sampling(max_new_tokens=2))) == 1


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"config.json"):
        open_engine(EngineParams(), tmp_path)


def test_an_api_is_opened_by_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-1")
    assert isinstance(open_engine(ApiParams(key_variable="SOME_KEY"), "a-model"), OpenAIEngine)


def test_a_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(EngineError, match="environment variable SOME_KEY, found none"):
        open_engine(ApiParams(key_variable="SOME_KEY"), "a-model")
