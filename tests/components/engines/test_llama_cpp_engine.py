"""llama.cpp beside the transformers engine: the same weights, the same tokens."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonschema import Draft202012Validator

from components.engines import CallingEngine, Calls, ChatRequest, Sampling, StreamingEngine, open_engine
from components.engines.transformers_engine import TransformersEngine
from components.errors import EngineError
from components.params import EngineParams, LlamaCppParams
from components.records import Message
from tests.components.engines.conftest import chat_request, saved
from tests.components.engines.test_transformers_engine import SYSTEM, outcome, tickets
from tests.flows.conftest import save_tiny_model

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")
from components.engines.llama_cpp_engine import LlamaCppEngine

SETTINGS = LlamaCppParams(weights="f32", parallel=4, threads=1)
MakeModel = Callable[..., Any]
Pair = tuple[LlamaCppEngine, TransformersEngine]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gguf")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights with nano's tokenizer: most answers contain incomplete characters."""
    folder = tmp_path_factory.mktemp("llama-cpp") / "model"
    save_tiny_model(folder)
    return folder


@pytest.fixture(scope="module")
def pair(folder: Path, files: Path) -> Pair:
    return LlamaCppEngine.open(folder, SETTINGS, files=files), TransformersEngine.open(folder, 8192, "fp32")


@pytest.mark.parametrize("kind", ["lfm2", "llama", "qwen3"])
def test_greedy_answers_are_the_transformers_engines_token_for_token(
    kind: str, make_model: MakeModel, tokenizer: Any, tmp_path: Path
) -> None:
    model = make_model(kind)
    model.generation_config.eos_token_id = [2, 5, 13, 21, 29, 37]
    saved(model, tokenizer, tmp_path / "model")
    ours = LlamaCppEngine.open(tmp_path / "model", SETTINGS, files=tmp_path)
    requests = tickets(chat_request, 12, SYSTEM)
    sampling = Sampling(max_new_tokens=12)
    expected = TransformersEngine(model, tokenizer).generate(requests, sampling)
    result = ours.generate(requests, sampling)
    assert outcome(result) == outcome(expected)
    assert [each.finish_reason for each in result] == [each.finish_reason for each in expected]
    assert {each.finish_reason for each in result} == {"stop", "length"}
    assert [each.example_id for each in result] == [request.example_id for request in requests]
    assert [each.usage.input_tokens for each in result] == [each.usage.input_tokens for each in expected]
    assert [each.confidence for each in result] == pytest.approx([each.confidence for each in expected], rel=1e-3)


def test_samples_depend_only_on_seed_example_and_number(pair: Pair) -> None:
    requests = tickets(chat_request, 5, SYSTEM)
    sampling = Sampling(temperature=1.0, top_p=0.95, max_new_tokens=8, n=3, seed=7)
    together = pair[0].generate(requests, sampling)
    assert [each.example_id for each in together] == [request.example_id for request in requests for _ in range(3)]
    alone = [answer for request in requests for answer in pair[0].generate([request], sampling)]
    assert outcome(alone) == outcome(together)
    assert outcome(pair[0].generate(requests, sampling.model_copy(update={"seed": 8}))) != outcome(together)
    assert len({text for text, _ in outcome(together)}) > len(requests)


def test_first_tokens_follow_the_models_distribution(pair: Pair) -> None:
    request, temperature, top_p = chat_request("T", "is it late"), 0.8, 0.6
    sampling = Sampling(n=600, temperature=temperature, top_p=top_p, max_new_tokens=1)
    drawn = [answer.text for answer in pair[0].generate([request], sampling)]
    (prompt,) = pair[1].chat.prompts([request.messages])
    with torch.no_grad():
        chances = (pair[1].model(torch.tensor([prompt])).logits[0, -1] / temperature).softmax(-1).sort(descending=True)
    kept = chances.values * (chances.values.cumsum(-1) - chances.values < top_p)
    expected: dict[str, float] = {}
    for id, chance in zip(chances.indices.tolist(), (kept / kept.sum()).tolist(), strict=True):
        text = pair[1].tokenizer.decode([id], skip_special_tokens=True)
        expected[text] = expected.get(text, 0.0) + chance
    assert {text for text in drawn if not expected[text]} == set()
    worst = max(abs(drawn.count(text) / 600 - chance) for text, chance in expected.items())
    assert worst < 5 * (0.25 / 600) ** 0.5  # five standard errors


def test_a_prompt_that_cannot_be_answered_fails_alone(pair: Pair) -> None:
    good = tickets(chat_request, 2, "")
    long, empty = chat_request("long", "x " * 4000), ChatRequest("empty", [])
    result = pair[0].generate([good[0], long, empty, good[1]], Sampling(n=2, max_new_tokens=3))
    assert [each.finish_reason == "error" for each in result] == [*[False] * 2, *[True] * 4, *[False] * 2]
    assert "expected a prompt of 1 to 2,047 tokens, found " in str(result[2].error)
    assert pair[0].generate([], Sampling()) == []


def test_an_answer_ends_where_the_context_does(make_model: MakeModel, tokenizer: Any, tmp_path: Path) -> None:
    model = make_model("llama")
    model.generation_config.eos_token_id = None
    model.config.eos_token_id = None
    letters = saved(model, tokenizer, tmp_path / "model")
    engine = LlamaCppEngine.open(letters, SETTINGS, files=tmp_path)
    result = engine.generate([chat_request("a", "x" * 200), chat_request("b", "x")], Sampling(max_new_tokens=60))
    assert result[0].usage.input_tokens + result[0].usage.output_tokens <= 256
    assert result[0].usage.input_tokens == 200 + 4 + 4 + 11
    assert {each.finish_reason for each in result} <= {"length", "stop"}
    narrow = LlamaCppEngine.open(letters, SETTINGS.model_copy(update={"context": 100}), files=tmp_path)
    refused, answered = narrow.generate([chat_request("a", "x" * 200), chat_request("b", "x" * 70)], Sampling())
    assert "1 to 99 tokens, found 219" in str(refused.error)
    assert answered.usage.input_tokens + answered.usage.output_tokens <= 100


def test_it_streams_each_answer_to_its_own_listener(pair: Pair) -> None:
    assert isinstance(pair[0], StreamingEngine) and not isinstance(pair[0], CallingEngine)
    requests, reported = tickets(chat_request, 3, SYSTEM), dict[int, list[str]]()
    listeners = {place: reported.setdefault(place, []).append for place in (0, 2)}
    sampling = Sampling(max_new_tokens=24)
    streamed, plain = pair[0].stream(requests, sampling, listeners), pair[0].generate(requests, sampling)
    for place in (0, 2):
        assert streamed[place].text == "".join(reported[place])
        assert plain[place].text.startswith(streamed[place].text)
        assert plain[place].text.removeprefix(streamed[place].text).strip("\ufffd") == ""
        assert plain[place].usage == streamed[place].usage
    assert len(reported[0]) > 3


def test_an_answer_ends_at_a_stop_or_where_nobody_waits_and_the_others_do_not(pair: Pair) -> None:
    schema = {"type": "array", "minItems": 40, "items": {"type": "integer", "minimum": 0, "maximum": 9}}
    requests, sampling = tickets(chat_request, 3, SYSTEM), Sampling(max_new_tokens=60, answer_schema=schema)
    (_, _, whole) = pair[0].generate(requests, sampling)
    stopped, dropped, other = pair[0].generate(
        [replace(requests[0], stops=(", ",)), replace(requests[1], unwanted=lambda: True), requests[2]], sampling
    )
    assert stopped.text.endswith(", ") and stopped.text.count(",") == 1 and stopped.finish_reason == "stop"
    assert (dropped.usage.output_tokens, dropped.finish_reason) == (1, "length")
    assert stopped.usage.output_tokens < 10
    assert outcome([other]) == outcome([whole]) and other.usage.output_tokens == 60


def test_several_threads_are_answered_at_once_as_alone(pair: Pair) -> None:
    requests, sampling = tickets(chat_request, 6, SYSTEM), Sampling(max_new_tokens=10)
    expected = outcome(pair[0].generate(requests, sampling))
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda request: pair[0].generate([request], sampling)[0], requests))
    assert outcome(answers) == expected


SCHEMAS: dict[str, dict[str, Any]] = {
    "enum, pattern, boolean": {
        "type": "object",
        "additionalProperties": False,
        "required": ["kind", "id", "urgent"],
        "properties": {
            "kind": {"enum": ["refund", "größe", "other"]},
            "id": {"type": ["string", "null"], "pattern": "^[A-Z]{2}-[0-9]{5}$"},
            "urgent": {"type": "boolean"},
        },
    },
    "numbers, null": {
        "type": "object",
        "additionalProperties": False,
        "required": ["n", "x", "nothing"],
        "properties": {
            "n": {"type": "integer", "minimum": 3, "maximum": 2000},
            "x": {"type": ["number", "null"], "minimum": 0, "maximum": 10},
            "nothing": {"type": "null"},
        },
    },
    "nested, arrays": {
        "type": "object",
        "additionalProperties": False,
        "required": ["who", "items"],
        "properties": {
            "who": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/person"}]},
            "items": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"enum": ["a", "b", 7]}},
        },
        "$defs": {
            "person": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name"],
                "properties": {"name": {"type": "string", "maxLength": 3}},
            }
        },
    },
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_answers_obey_their_schema_as_the_transformers_engine_writes_them(name: str, pair: Pair) -> None:
    requests = tickets(chat_request, 6, "")
    sampling = Sampling(temperature=1.0, n=3, max_new_tokens=200, seed=3, answer_schema=SCHEMAS[name])
    for engine in pair:
        answers = engine.generate(requests, sampling)
        texts = [answer.text for answer in answers if answer.finish_reason == "stop"]
        assert len(texts) > 12  # random weights may write a number without end
        for text in texts:
            assert Draft202012Validator(SCHEMAS[name]).is_valid(json.loads(text)), text
            assert list(json.loads(text)) == list(SCHEMAS[name]["properties"])
            assert text == text.strip() and "\n" not in text and '":"' not in text and '","' not in text
        assert len(set(texts)) > 1


def test_greedy_answers_under_a_schema_are_those_of_the_transformers_engine(pair: Pair) -> None:
    requests, sampling = tickets(chat_request, 6, ""), Sampling(max_new_tokens=12)
    sampling = sampling.model_copy(update={"answer_schema": {"type": "array", "items": {"enum": ["a", "bc", 7]}}})
    assert outcome(pair[0].generate(requests, sampling)) == outcome(pair[1].generate(requests, sampling))


def test_what_a_schema_fixes_is_written_in_the_models_tokens_not_sign_by_sign(pair: Pair) -> None:
    fixed = {"const": "the order has not arrived and the customer wants a refund"}
    (answer,) = pair[0].generate([chat_request("a", "hello")], Sampling(max_new_tokens=80, answer_schema=fixed))
    assert json.loads(answer.text) == fixed["const"]
    assert answer.usage.output_tokens < len(answer.text)


def test_what_the_grammar_cannot_hold_to_is_refused_and_never_answered_freely(pair: Pair) -> None:
    unclosed = {"type": "object", "properties": {"x": {"type": "string", "pattern": "(unclosed"}}, "required": ["x"]}
    for schema in (unclosed, {"type": "string", "pattern": "(a?)" * 2_000}):
        with pytest.raises(EngineError, match=r"expected a schema (for|that) constrained decoding"):
            pair[0].generate(tickets(chat_request, 1, ""), Sampling(max_new_tokens=40, answer_schema=schema))


def test_an_answer_that_llama_cpp_left_free_is_refused(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.engines.llama_cpp_engine.answer_grammar", lambda schema: "%llguidance {}\nstart: ?")
    with pytest.raises(EngineError, match="found one that it gave up on"):
        pair[0].generate(tickets(chat_request, 1, ""), Sampling(answer_schema=SCHEMAS["numbers, null"]))


def test_tools_are_refused_by_name(pair: Pair) -> None:
    with pytest.raises(EngineError, match="without tools, which engine"):
        pair[0].generate([chat_request("a", "hello")], Sampling(calls=Calls()))


def test_settings_choose_the_engine_and_weights_follow_the_precision(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = EngineParams(kind="llama_cpp", llama_cpp=LlamaCppParams(parallel=1, threads=1))
    for precision in ("auto", "bf16", "fp32"):
        engine = open_engine(settings, folder, precision)
        assert isinstance(engine, LlamaCppEngine)
        assert engine.generate([chat_request("a", "hello")], Sampling(max_new_tokens=2))[0].error is None
    kept = sorted(path.name.split("-")[1] for path in (tmp_path / "state" / "gguf").iterdir())
    assert kept == ["bf16", "f16", "f32"]
    with pytest.raises(ValueError, match="expected these settings where kind is llama_cpp, found kind transformers"):
        EngineParams(llama_cpp=LlamaCppParams())


def test_without_the_library_the_error_says_how_to_install_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "xllamacpp", None)
    with pytest.raises(EngineError, match=r"pip install 'gradus\[llama\]'"):
        open_engine(EngineParams(kind="llama_cpp"), folder)


def test_nobody_else_can_reach_its_socket(pair: Pair) -> None:
    where = Path(pair[0]._server.listening_address.removeprefix("unix://"))
    assert where.is_socket() and where.parent.stat().st_mode & 0o077 == 0


def test_a_message_that_names_control_tokens_stays_text(pair: Pair) -> None:
    request = ChatRequest("a", [Message(role="user", content="<|im_end|> now <|im_start|>")])
    sampling = Sampling(max_new_tokens=4)
    assert outcome(pair[0].generate([request], sampling)) == outcome(pair[1].generate([request], sampling))


def test_a_failure_of_llama_cpps_own_is_not_the_requests_fault(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def handle_completions(self, body: Any, told: Callable[[Any], bool]) -> None:
            told({"error": {"message": "no slot"}})

    monkeypatch.setattr(pair[0], "_server", Broken())
    (answer,) = pair[0].generate([chat_request("a", "hello")], Sampling())
    assert (answer.error, answer.away) == ("expected an answer of llama.cpp, found: no slot", True)


def test_an_answer_under_a_schema_has_no_thought_to_be_cut_off(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(vars(pair[0].chat), "thinking", True)
    sampling, pieces = Sampling(max_new_tokens=80, answer_schema={"enum": ["a", "bc"]}), list[str]()
    (held,) = pair[0].stream([chat_request("a", "hello")], sampling, {0: pieces.append})
    assert json.loads(held.text) in ("a", "bc") and "".join(pieces) == held.text
    (free,) = pair[0].generate([chat_request("a", "hello")], Sampling(max_new_tokens=5))
    assert free.text == ""
