"""What listeners get of answers that are being written."""

from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from components.engines import Sampling, StreamingEngine
from components.engines.streaming import token_listener
from components.engines.transformers_engine import TransformersEngine
from tests.components.engines.conftest import chat_request
from tests.flows.conftest import ROOT, save_tiny_model


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    """Random weights with a byte-level tokenizer: most answers contain incomplete characters."""
    folder = tmp_path_factory.mktemp("streamed") / "model"
    save_tiny_model(folder)
    return TransformersEngine.open(folder, 8192, "fp32")


def test_a_character_is_streamed_once_all_its_bytes_are_there() -> None:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(ROOT / "models" / "nano")
    text, reported = "Zürich – 7 € 😀, 東京", list[str]()
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    take = token_listener(tokenizer, reported.append)
    for token in [*tokens, tokenizer.eos_token_id]:
        take(token)
    assert "".join(reported) == text
    assert len(tokens) > len(reported) > 5 and "\ufffd" not in "".join(reported)
    take(tokenizer("😀", add_special_tokens=False)["input_ids"][0])  # the first of its four bytes
    assert "".join(reported) == text


@pytest.mark.parametrize("schema", [None, {"type": "object", "properties": {"late": {"type": "boolean"}}}])
def test_listeners_get_the_beginning_of_their_own_answers_which_equal_those_of_generate(
    engine: TransformersEngine, schema: dict[str, Any] | None
) -> None:
    requests = [chat_request(f"T{at}", f"order {at} is late") for at in range(6)]
    sampling = Sampling(n=2, temperature=1.0, max_new_tokens=24, answer_schema=schema)
    reported = defaultdict[int, list[str]](list)

    def on_text(place: int, piece: str) -> None:
        reported[place].append(piece)

    result = engine.stream(requests, sampling, {place: partial(on_text, place) for place in (0, 3, 8)})
    assert [each.text for each in result] == [each.text for each in engine.generate(requests, sampling)]
    assert reported.keys() == {0, 3, 8}
    for place, pieces in reported.items():
        assert result[place].text.startswith("".join(pieces))
        assert result[place].text.removeprefix("".join(pieces)).strip("\ufffd") == ""
    assert max(map(len, reported.values())) > 3


def test_the_local_engine_streams_and_nothing_of_a_prompt_that_cannot_be_answered(
    engine: TransformersEngine,
) -> None:
    assert isinstance(engine, StreamingEngine)
    reported = list[str]()
    (result,) = engine.stream([chat_request("long", "x " * 4000)], Sampling(), {0: reported.append})
    assert result.error is not None and reported == []


def test_few_rows_of_a_narrow_model_have_the_same_weights_in_float32(tmp_path: Path) -> None:
    import torch

    from components.models import computes_bf16

    if not computes_bf16() or torch.cuda.is_available():
        pytest.skip("needs a CPU that computes in bfloat16")
    save_tiny_model(tmp_path / "model")
    both = TransformersEngine.open(tmp_path / "model", 8192)
    few = both.for_few_rows
    assert few is not None and (both.model.dtype, few.model.dtype) == (torch.bfloat16, torch.float32)
    assert all(
        torch.equal(parameter.float(), other)
        for parameter, other in zip(both.model.parameters(), few.model.parameters(), strict=True)
    )
    requests, sampling = [chat_request(f"T{at}", f"order {at} is late") for at in range(3)], Sampling(max_new_tokens=8)
    assert [each.text for each in both.generate(requests[:2], sampling)] == [
        each.text for each in few.generate(requests[:2], sampling)
    ]
    both.for_few_rows = None  # three are not few
    expected = [each.text for each in both.generate(requests, sampling)]
    both.for_few_rows = few
    assert [each.text for each in both.generate(requests, sampling)] == expected
