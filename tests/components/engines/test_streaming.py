"""What listeners are told of answers that are being written."""

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
    """Random weights over a byte-level tokenizer: most answers hold bytes that are no characters."""
    folder = tmp_path_factory.mktemp("streamed") / "model"
    save_tiny_model(folder)
    return TransformersEngine.open(folder, 8192, "fp32")


def test_a_character_is_told_when_all_its_bytes_are_there() -> None:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(ROOT / "models" / "nano")
    text, told = "Zürich – 7 € 😀, 東京", list[str]()
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    take = token_listener(tokenizer, told.append)
    for token in [*tokens, tokenizer.eos_token_id]:
        take(token)
    assert "".join(told) == text
    assert len(tokens) > len(told) > 5 and "\ufffd" not in "".join(told)
    take(tokenizer("😀", add_special_tokens=False)["input_ids"][0])  # the first of its four bytes
    assert "".join(told) == text


@pytest.mark.parametrize("schema", [None, {"type": "object", "properties": {"late": {"type": "boolean"}}}])
def test_listeners_hear_the_beginning_of_their_own_answers_which_are_those_of_generate(
    engine: TransformersEngine, schema: dict[str, Any] | None
) -> None:
    requests = [chat_request(f"T{at}", f"order {at} is late") for at in range(6)]
    sampling = Sampling(n=2, temperature=1.0, max_new_tokens=24, answer_schema=schema)
    told = defaultdict[int, list[str]](list)

    def on_text(place: int, piece: str) -> None:
        told[place].append(piece)

    found = engine.stream(requests, sampling, {place: partial(on_text, place) for place in (0, 3, 8)})
    assert [one.text for one in found] == [one.text for one in engine.generate(requests, sampling)]
    assert told.keys() == {0, 3, 8}
    for place, pieces in told.items():
        assert found[place].text.startswith("".join(pieces))
        assert found[place].text.removeprefix("".join(pieces)).strip("\ufffd") == ""
    assert max(map(len, told.values())) > 3


def test_the_local_engine_streams_and_a_prompt_that_cannot_be_answered_is_not_heard_of(
    engine: TransformersEngine,
) -> None:
    assert isinstance(engine, StreamingEngine)
    told = list[str]()
    (found,) = engine.stream([chat_request("long", "x " * 4000)], Sampling(), {0: told.append})
    assert found.error is not None and told == []


def test_few_rows_of_a_narrow_model_have_the_same_weights_in_float32(tmp_path: Path) -> None:
    import torch

    from components.models import computes_bf16

    if not computes_bf16() or torch.cuda.is_available():
        pytest.skip("needs a CPU that computes in bfloat16")
    save_tiny_model(tmp_path / "model")
    both = TransformersEngine.open(tmp_path / "model", 8192)
    few = both.of_few
    assert few is not None and (both.model.dtype, few.model.dtype) == (torch.bfloat16, torch.float32)
    assert all(
        torch.equal(one.float(), other)
        for one, other in zip(both.model.parameters(), few.model.parameters(), strict=True)
    )
    requests, sampling = [chat_request(f"T{at}", f"order {at} is late") for at in range(3)], Sampling(max_new_tokens=8)
    assert [one.text for one in both.generate(requests[:2], sampling)] == [
        one.text for one in few.generate(requests[:2], sampling)
    ]
    both.of_few = None  # three are not few
    expected = [one.text for one in both.generate(requests, sampling)]
    both.of_few = few
    assert [one.text for one in both.generate(requests, sampling)] == expected
