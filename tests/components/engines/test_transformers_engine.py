import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from components.engines import ChatRequest, Sampling
from components.engines.prefill import read_prefix
from components.engines.transformers_engine import TransformersEngine
from components.errors import EngineError, UnreachableError
from components.models import computes_bf16
from components.params import Precision
from components.records import Completion, Message

MakeModel = Callable[..., Any]
MakeRequest = Callable[..., ChatRequest]
SYSTEM = "read the ticket and answer with one object, as short as you can."
WORDS = ("order", "arrived", "broken", "refund", "2", "days late", "wrong", "invoice", "37", "vacuum")
ENDLESS = 100_000


def tickets(make_request: MakeRequest, n: int, system: str, seed: int = 0) -> list[ChatRequest]:
    """Messages of 1 to 12 words."""
    rng = random.Random(seed)
    return [make_request(f"T{at}", " ".join(rng.choices(WORDS, k=rng.randint(1, 12))), system) for at in range(n)]


def one_by_one(model: Any, tokenizer: Any, requests: list[ChatRequest], new_tokens: int) -> list[tuple[str, int]]:
    """Text and number of tokens of `generate` for each prompt alone."""
    result: list[tuple[str, int]] = []
    for request in requests:
        turns = [turn.model_dump() for turn in request.messages]
        prompt = tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )["input_ids"]
        answer = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=new_tokens
        )
        tokens = answer[0, prompt.shape[1] :]
        result.append((tokenizer.decode(tokens, skip_special_tokens=True), len(tokens)))
    return result


def outcome(completions: list[Completion]) -> list[tuple[str, int]]:
    return [(completion.text, completion.usage.output_tokens) for completion in completions]


@pytest.mark.parametrize("system", [SYSTEM, ""])
@pytest.mark.parametrize("kind", ["lfm2", "llama", "qwen3"])
def test_batched_answers_are_those_of_generate_one_by_one(
    kind: str, system: str, make_model: MakeModel, tokenizer: Any, make_request: MakeRequest
) -> None:
    model, requests = make_model(kind), tickets(make_request, 14, system)
    expected = one_by_one(model, tokenizer, requests, 12)
    assert len({count for _, count in expected}) > 3  # rows leave the batch at different steps
    for batch_tokens in (400, 900, ENDLESS):
        result = TransformersEngine(model, tokenizer, batch_tokens).generate(requests, Sampling(max_new_tokens=12))
        assert outcome(result) == expected
        assert [completion.example_id for completion in result] == [request.example_id for request in requests]


@pytest.mark.parametrize("shared", [0, 2, 30])
@pytest.mark.parametrize("kind", ["lfm2", "lfm2 with bias", "llama"])
def test_prompts_of_all_lengths_read_together_have_the_same_logits_as_read_separately(
    kind: str, shared: int, make_model: MakeModel, tokenizer: Any
) -> None:
    # A convolution with a bias takes padding for input: rows that would need some are read apart.
    model = make_model("lfm2", conv_bias=True) if "bias" in kind else make_model(kind)
    rng = random.Random(shared)
    prompts = [[7] * shared + rng.choices(range(3, 40), k=length) for length in (1, 2, 3, 5, 9, 20)]
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.normal_(std=0.5)
        alone_RV = torch.stack([model(input_ids=torch.tensor([prompt])).logits[0, -1] for prompt in prompts])
        _, together_RV = TransformersEngine(model, tokenizer)._fill(read_prefix(model, [7] * shared), prompts, 1)
    assert torch.allclose(together_RV, alone_RV, atol=1e-4)


def test_prompts_with_nothing_in_common_and_one_prompt_alone_are_answered(
    make_model: MakeModel, tokenizer: Any, make_request: MakeRequest
) -> None:
    model = make_model("lfm2")
    engine, sampling = TransformersEngine(model, tokenizer), Sampling(max_new_tokens=6)
    apart = [
        ChatRequest("a", [Message(role="user", content="hello")]),
        ChatRequest("b", [Message(role="assistant", content="you")]),
    ]
    assert outcome(engine.generate(apart, sampling)) == one_by_one(model, tokenizer, apart, 6)
    assert outcome(engine.generate(apart[:1], sampling)) == one_by_one(model, tokenizer, apart[:1], 6)
    assert engine.generate([], sampling) == []


def test_usage_counts_the_whole_prompt_and_the_end_token(
    make_model: MakeModel, tokenizer: Any, make_request: MakeRequest
) -> None:
    engine = TransformersEngine(make_model("llama"), tokenizer)
    result = engine.generate(tickets(make_request, 8, SYSTEM), Sampling(max_new_tokens=5))
    for request, completion in zip(tickets(make_request, 8, SYSTEM), result, strict=True):
        # <|im_start|>role\n…<|im_end|>\n is 4 tokens and the role's letters; then <|im_start|>assistant\n.
        letters = sum(len(turn.role) + len(turn.content) + 4 for turn in request.messages)
        assert completion.usage.input_tokens == letters + len("assistant") + 2
        assert completion.latency_ms > 0
    assert {completion.finish_reason for completion in result} == {"stop", "length"}
    for completion in result:
        assert (completion.usage.output_tokens == 5) or completion.finish_reason == "stop"


def test_samples_follow_their_prompt_and_depend_only_on_seed_and_example(
    make_model: MakeModel, tokenizer: Any, make_request: MakeRequest
) -> None:
    model, requests = make_model("lfm2"), tickets(make_request, 6, SYSTEM)
    sampling = Sampling(temperature=1.0, top_p=0.95, max_new_tokens=8, n=3, seed=7)
    together = TransformersEngine(model, tokenizer).generate(requests, sampling)
    assert [completion.example_id for completion in together] == [
        request.example_id for request in requests for _ in range(3)
    ]
    in_small_batches = TransformersEngine(model, tokenizer, 300).generate(requests[::-1], sampling)
    by_example = {
        request.example_id: [c for c in together if c.example_id == request.example_id] for request in requests
    }
    for request in requests:
        again = [completion for completion in in_small_batches if completion.example_id == request.example_id]
        assert outcome(again) == outcome(by_example[request.example_id])
    other = TransformersEngine(model, tokenizer).generate(requests, sampling.model_copy(update={"seed": 8}))
    assert outcome(other) != outcome(together)
    assert len({text for text, _ in outcome(together)}) > len(requests)


def test_drawn_tokens_are_those_of_the_answers_and_follow_the_distribution(
    make_model: MakeModel, tokenizer: Any, make_request: MakeRequest
) -> None:
    model = make_model("lfm2")
    engine = TransformersEngine(model, tokenizer)
    prompts = [[7, 9, 4, 4], [12, 30], [7, 9, 4, 4, 5, 6]]
    for prompt, group in zip(prompts, engine.draw(prompts, Sampling(n=2, max_new_tokens=9)), strict=True):
        alone = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=9)[0, len(prompt) :].tolist()
        assert group == [alone, alone]
    drawn = engine.draw(prompts[:1], Sampling(n=4000, temperature=1.0, max_new_tokens=1))[0]
    with torch.no_grad():
        p = model(torch.tensor(prompts[:1])).logits[0, -1].softmax(-1)
    counts = torch.bincount(torch.tensor(drawn).flatten(), minlength=len(p)) / 4000
    assert float((counts - p).abs().max()) < 5 * (0.25 / 4000) ** 0.5  # five standard errors
    with pytest.raises(EngineError, match="prompts of at most 255 tokens, found 300"):
        engine.draw([[5] * 300], Sampling())


@pytest.mark.parametrize("shared", [0, 30])
@pytest.mark.parametrize("kind", ["lfm2", "qwen3"])
def test_in_bfloat16_logits_differ_only_by_rounding(
    kind: str, shared: int, make_model: MakeModel, tokenizer: Any
) -> None:
    exact = make_model(kind, initializer_range=0.1)
    rng = random.Random(shared)
    prompts = [[7] * shared + rng.choices(range(3, 40), k=length) for length in (1, 2, 3, 5, 9, 20, 31)]
    engine = TransformersEngine.of_trained(exact, tokenizer, ENDLESS, "bf16")
    assert (engine.model.dtype, exact.dtype) == (torch.bfloat16, torch.float32)
    for prompt, (said,) in zip(prompts, engine.draw(prompts, Sampling(max_new_tokens=12)), strict=True):
        with torch.no_grad():
            logits = exact(torch.tensor([prompt + said])).logits[0, len(prompt) - 1 : -1]
        behind = logits.max(-1).values - logits.gather(-1, torch.tensor(said)[:, None])[:, 0]
        assert float(behind.max()) < 0.1 * float(logits.std())  # what was chosen is as good as the best


def test_a_prompt_that_cannot_be_answered_fails_alone(
    make_model: MakeModel, tokenizer: Any, make_request: MakeRequest
) -> None:
    model = make_model("lfm2")
    good = tickets(make_request, 3, "")
    long, tool = make_request("long", "x" * 300), ChatRequest("tool", [Message(role="tool", content="x")])
    result = TransformersEngine(model, tokenizer).generate([good[0], long, good[1], tool, good[2]], Sampling(n=2))
    assert [completion.finish_reason == "error" for completion in result] == [
        *[False, False, True, True] * 2,
        *[False] * 2,
    ]
    assert "1 to 255 tokens, found 3" in str(result[2].error)
    assert "no tools here" in str(result[6].error)


def test_an_answer_ends_where_the_context_does(
    make_model: MakeModel, tokenizer: Any, make_request: MakeRequest
) -> None:
    model = make_model("llama")
    model.generation_config.eos_token_id = []
    prompt = make_request("long", "x" * 200)
    result = TransformersEngine(model, tokenizer).generate(
        [prompt, make_request("short", "x")], Sampling(max_new_tokens=60)
    )
    usages = [completion.usage for completion in result]
    assert usages[0].input_tokens + usages[0].output_tokens == 256
    assert usages[1].output_tokens == 60
    assert [completion.finish_reason for completion in result] == ["length", "length"]


def test_a_model_in_training_is_left_as_it_was(
    make_model: MakeModel, tokenizer: Any, make_request: MakeRequest
) -> None:
    model = make_model("lfm2").train()
    before = model.config._attn_implementation
    TransformersEngine(model, tokenizer).generate(tickets(make_request, 2, SYSTEM), Sampling(max_new_tokens=2))
    assert model.training
    assert model.config._attn_implementation == before
    assert all(weight.grad_fn is None and weight.requires_grad for weight in model.parameters())


def test_a_folder_is_opened_in_the_given_precision(
    make_model: MakeModel, tokenizer: Any, make_request: MakeRequest, tmp_path: Path
) -> None:
    make_model("lfm2").to(torch.bfloat16).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    requests = tickets(make_request, 3, SYSTEM)
    fast = torch.bfloat16 if computes_bf16() else torch.float32
    expected: dict[Precision, torch.dtype] = {"auto": fast, "fp32": torch.float32, "bf16": torch.bfloat16}
    for precision, dtype in expected.items():
        engine = TransformersEngine.open(tmp_path, 4096, precision)
        assert engine.model.dtype == dtype
        result = engine.generate(requests, Sampling(max_new_tokens=4))
        assert all(completion.error is None for completion in result)


def test_memory_that_does_not_suffice_is_not_the_requests_fault(
    make_model: MakeModel, tokenizer: Any, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("tried to allocate 2 GiB")

    engine = TransformersEngine(make_model("llama"), tokenizer, 400)
    monkeypatch.setattr("components.engines.transformers_engine.read_prompts", full)
    with pytest.raises(UnreachableError, match=r"engine\.batch_tokens must fit into memory, found 400: tried"):
        engine.generate([make_request("a", "hello")], Sampling())


def test_layers_that_the_engine_does_not_know_are_refused(make_model: MakeModel, tokenizer: Any) -> None:
    sliding = make_model("qwen3", use_sliding_window=True, sliding_window=8, max_window_layers=1)
    with pytest.raises(EngineError, match="layers of conv or full_attention, found sliding_attention"):
        TransformersEngine(sliding, tokenizer)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", ["diffllama", "mpt", "stablelm", "xglm"])  # each attends in a way of its own
def test_a_model_that_is_not_decoded_in_a_batch_as_alone_is_refused(
    kind: str, dtype: torch.dtype, make_model: MakeModel, tokenizer: Any
) -> None:
    with pytest.raises(EngineError, match=f"expected a model that .* in a? ?batch.* found {kind}"):
        TransformersEngine(make_model(kind).to(dtype), tokenizer)


def test_positions_that_depend_on_the_length_of_a_batch_are_not_reached(
    make_model: MakeModel, tokenizer: Any, make_request: MakeRequest
) -> None:
    factors = {"short_factor": [1.0] * 4, "long_factor": [1.5, 4.0, 8.0, 16.0]}
    rope = {"rope_type": "longrope", "rope_theta": 10_000.0, **factors, "original_max_position_embeddings": 120}
    model = make_model("phi3", rope_parameters=rope, original_max_position_embeddings=120)
    requests = [make_request(str(at), "abc " * at, SYSTEM) for at in range(6)]
    engine = TransformersEngine(model, tokenizer)
    result = engine.generate([*requests, make_request("long", "a" * 60, SYSTEM)], Sampling(max_new_tokens=6))
    assert outcome(result[:-1]) == one_by_one(model, tokenizer, requests, 6)
    assert (engine.context, result[-1].error) == (120, "expected a prompt of 1 to 119 tokens, found 153")


def test_a_tokenizer_without_chat_template_is_refused(make_model: MakeModel, tokenizer: Any) -> None:
    import copy

    plain = copy.deepcopy(tokenizer)
    plain.chat_template = None
    with pytest.raises(EngineError, match="expected a chat template"):
        TransformersEngine(make_model("llama"), plain)
