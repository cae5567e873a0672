"""Answers that end early: at a text that the caller names, or because nobody waits for them."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from components.engines import ChatRequest, Sampling
from components.engines.ending import stop_in
from components.engines.transformers_engine import TransformersEngine
from tests.components.engines.test_transformers_engine import SYSTEM, outcome, tickets

MakeModel = Callable[..., Any]
MakeRequest = Callable[..., ChatRequest]


@pytest.mark.parametrize(
    ("text", "stops", "found"),
    [("xabcd", ("abc", "b"), (3, 2)), ("xabc", ("c", "bc"), (4, 2)), ("xab", ("c",), None), ("xab", (), None)],
)
def test_the_first_stop_is_the_one_that_is_complete_first(text: str, stops: tuple[str, ...], found: Any) -> None:
    assert stop_in(text, stops) == found


def after(steps: int) -> Callable[[], bool]:
    """Whether nobody waits any more, asked once a token: so many times somebody does."""
    asked = count()
    return lambda: next(asked) >= steps


@pytest.mark.parametrize("n", [1, 2])
def test_a_row_that_ends_early_leaves_the_others_as_they_are(
    make_model: MakeModel, tokenizer: Any, make_request: MakeRequest, n: int
) -> None:
    model = make_model("lfm2")
    model.generation_config.eos_token_id = []
    engine, requests = TransformersEngine(model, tokenizer), tickets(make_request, 6, SYSTEM)
    sampling = Sampling(temperature=1.0, max_new_tokens=24, n=n, seed=3)
    whole = engine.generate(requests, sampling)
    stop = whole[2 * n].text[4:6]
    early = [*requests]
    early[2] = replace(requests[2], stops=("\0never", stop))
    early[4] = replace(requests[4], unwanted=after(5 * n))
    cut = engine.generate(early, sampling)
    for place, (before, now) in enumerate(zip(whole, cut, strict=True)):
        if place // n not in (2, 4):
            assert (now.text, now.usage, now.finish_reason) == (before.text, before.usage, before.finish_reason)
    stopped, dropped = cut[2 * n], cut[4 * n]
    end = whole[2 * n].text.index(stop) + 2  # a token is a character
    assert (stopped.text, stopped.usage.output_tokens, stopped.finish_reason) == (whole[2 * n].text[:end], end, "stop")
    assert (dropped.text, dropped.finish_reason) == (whole[4 * n].text[:6], "length")


def test_an_early_end_under_a_schema_is_no_failure(engine: TransformersEngine, make_request: MakeRequest) -> None:
    schema = {"type": "array", "minItems": 40, "items": {"type": "integer", "minimum": 0, "maximum": 9}}
    request = replace(make_request("a", "hello"), stops=(", ",))
    stopped, other = engine.generate(
        [request, make_request("b", "hello")], Sampling(max_new_tokens=60, answer_schema=schema)
    )
    assert stopped.text.endswith(", ") and stopped.text.count(",") == 1 and stopped.error is None
    assert other.text.count(",") > 5


def test_no_text_is_decoded_for_a_row_without_stops_or_a_listener(
    engine: TransformersEngine, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listens(*_: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr("components.engines.transformers_engine.token_listener", listens)
    request = make_request("a", "hello")
    plain, watched = engine.generate([request, replace(request, unwanted=lambda: False)], Sampling(max_new_tokens=9))
    assert outcome([plain]) == outcome([watched])
