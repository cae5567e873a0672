import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from components.base import pretrain
from components.base.batches import Steps, encode
from components.base.checkpoint import Checkpoint, Progress
from components.base.curriculum import segments
from components.base.model import build
from components.errors import TrainingError
from components.models import open_model
from components.params import MidtrainParams
from tests.components.base.conftest import tiny_params


def test_the_result_loads_with_transformers_as_it_stands(tiny_model: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    assert model.dtype == torch.float32
    assert model.config.vocab_size == len(tokenizer) == 500
    assert tokenizer.padding_side == "left"
    assert tokenizer.eos_token == "<|im_end|>"
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert tokenizer.pad_token_id == model.generation_config.pad_token_id != tokenizer.eos_token_id


def test_the_training_record_counts_tokens_and_seconds(tiny_model: Path) -> None:
    record = json.loads((tiny_model / "training.json").read_text())
    assert record["step"] == 4
    assert 0 < record["answer_tokens"] < record["tokens"] <= 8_192
    assert record["seconds"] > 0
    assert record["curve"][-1]["step"] == 4


def test_a_second_training_starts_from_the_weights_of_the_first_and_keeps_its_record(
    tiny_model: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    first = tiny_params(muon_lr=1e-12, adam_lr=1e-12, tokens=4_096)
    curriculum = {**first.curriculum.model_dump(), "rough_share": 0.5}
    params = MidtrainParams.model_validate(
        {"seed": 1, "curriculum": curriculum, "optimisation": first.optimisation.model_dump()}
    )
    pretrain.midtrain(params, tiny_model, tmp_path / "model", tmp_path / "work")
    before, after = (load_file(folder / "model.safetensors") for folder in (tiny_model, tmp_path / "model"))
    assert all(torch.equal(before[name], after[name]) for name in before)
    record = json.loads((tmp_path / "model" / "training.json").read_text())
    assert record["fingerprint"] == params.fingerprint()
    assert record["before"] == json.loads((tiny_model / "training.json").read_text())


def test_the_chat_template_equals_the_training_text_and_marks_the_answers(tiny_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    data = Steps(pretrain.make_curriculum(tiny_params()), tokenizer, tiny_params())
    import random

    for seed in range(60):
        lesson = data.curriculum.lesson(random.Random(seed), 1.0)
        messages = [vars(turn) for turn in lesson.turns]
        assert tokenizer.apply_chat_template(messages, tokenize=False) == "".join(text for text, _ in segments(lesson))
        ids, answers = encode(lesson, tokenizer)
        marked = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
        assert marked["input_ids"] == ids
        assert marked["assistant_masks"] == [int(is_answer) for is_answer in answers]
        assert tokenizer.decode(ids) == "".join(text for text, _ in segments(lesson))


def test_the_template_writes_tools_and_calls_of_the_chat_format(tiny_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    call = {"type": "function", "function": {"name": "open_locker", "arguments": {"id": 7}}}
    messages = [
        {"role": "system", "content": "Help."},
        {"role": "user", "content": "Open 7"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": '{"open": true}'},
    ]
    parameters = {
        "type": "object",
        "properties": {
            "id": {"type": "integer", "description": "Its number."}, "side": {"enum": ["left", "right"]},
            "note": {"type": "string"}, "more": {"type": "array", "items": {"type": "string"}}, "any": True,
        },
        "required": ["id", "side"],
    }  # fmt: skip
    definition = {"name": "open_locker", "description": "open a locker", "parameters": parameters}
    text = tokenizer.apply_chat_template(
        messages, tools=[{"type": "function", "function": definition}], tokenize=False, add_generation_prompt=True
    )
    assert text.count("<|im_start|>system") == 1
    assert '<tool_call>{"name": "open_locker", "arguments": {"id": 7}}</tool_call><|im_end|>' in text
    assert '<|im_start|>tool\n{"open": true}<|im_end|>\n<|im_start|>assistant\n' in text
    signature = (
        "- open_locker(id: integer, side: left|right, note?: string, "
        'more?: {"type": "array", "items": {"type": "string"}}, any?: true): open a locker'
    )
    assert f"Help.\nYou can call these tools:\n{signature}<|im_end|>\n" in text


@pytest.mark.parametrize("parameters", [{}, {"type": "object"}, {"type": "object", "properties": {}}, None])
def test_a_tool_without_arguments_has_a_signature(tiny_model: Path, parameters: dict[str, Any] | None) -> None:
    definition = {"name": "now", "description": None, "parameters": parameters}
    text = AutoTokenizer.from_pretrained(tiny_model).apply_chat_template(
        [{"role": "user", "content": "When?"}], tools=[definition], tokenize=False
    )
    assert "\n- now(): <|im_end|>\n" in text


@pytest.mark.parametrize(("text", "pieces"), [
    ("AB-12", ["A", "B", "-", "1", "2"]),
    ('"AB-12"', ['"', "A", "B", "-", "1", "2", '"']),
])  # fmt: skip
def test_capitals_and_digits_are_tokens_of_their_own(tiny_model: Path, text: str, pieces: list[str]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    assert [tokenizer.decode([token]) for token in tokenizer.encode(text, add_special_tokens=False)] == pieces


def test_a_word_is_split_the_same_after_a_space_before_a_colon_and_after_a_quote(tiny_model: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    word = tokenizer.encode("zorbin_mal", add_special_tokens=False)
    for frame in ("- zorbin_mal: x", '{"zorbin_mal": 1}', "one of zorbin_mal, y"):
        ids = tokenizer.encode(frame, add_special_tokens=False)
        assert any(ids[at : at + len(word)] == word for at in range(len(ids)))


def test_a_killed_training_resumes_and_ends_where_an_unbroken_one_does(tmp_path: Path) -> None:
    params = tiny_params(tokens=12_288)
    pretrain.run(params, tmp_path / "whole", tmp_path / "work-whole")

    class Killed(Exception):
        pass

    def die_after_three(*_: object) -> float:
        calls.append(1)
        if len(calls) > 3:
            raise Killed
        return original(*_)  # pyright: ignore

    calls: list[int] = []
    original = pretrain.update
    pretrain.update = die_after_three  # a kill between two steps, as far as files can tell
    try:
        with pytest.raises(Killed):
            pretrain.run(params, tmp_path / "resumed", tmp_path / "work")
    finally:
        pretrain.update = original
    assert not (tmp_path / "resumed").exists()
    pretrain.run(params, tmp_path / "resumed", tmp_path / "work")
    whole, resumed = (open_model(tmp_path / name)[0].state_dict() for name in ("whole", "resumed"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_checkpoint_of_other_settings_is_refused_and_stays(tmp_path: Path) -> None:
    pretrain.run(tiny_params(tokens=6_144), tmp_path / "model", tmp_path / "work")
    kept = (tmp_path / "work" / "checkpoint.pt").read_bytes()
    model = (tmp_path / "model" / "model.safetensors").read_bytes()
    with pytest.raises(TrainingError, match=r"expected a checkpoint of these settings .* found one of others"):
        pretrain.run(tiny_params(tokens=6_144, muon_lr=0.5), tmp_path / "model", tmp_path / "work")
    assert (tmp_path / "work" / "checkpoint.pt").read_bytes() == kept
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == model
    assert not (tmp_path / "model.part").exists()


def test_an_unreadable_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "checkpoint.pt").write_bytes(b"torn")
    with pytest.raises(TrainingError, match="found an unreadable file"):
        pretrain.run(tiny_params(), tmp_path / "model", tmp_path / "work")
    assert not (tmp_path / "model").exists()


def test_a_batch_depends_on_seed_and_step_alone_and_no_lesson_sees_another(tiny_model: Path) -> None:
    tokenizer, params = AutoTokenizer.from_pretrained(tiny_model), tiny_params()
    data = Steps(pretrain.make_curriculum(params), tokenizer, params)
    first, again = data[2], data[2]
    assert torch.equal(first.tokens_B_T, again.tokens_B_T)
    mask = first.mask()[0, 0]
    lessons = first.lessons_B_T[0]
    assert not mask[lessons[:, None] != lessons[None, :]].any()
    assert not mask.triu(1).any()
    answers = first.targets_N[first.targets_N >= 0]
    at = first.sources_N[: len(answers)] + 1
    assert torch.equal(first.tokens_B_T.flatten()[at], answers)


def test_packed_logits_equal_those_of_a_lesson_alone(tiny_model: Path) -> None:
    tokenizer, params = AutoTokenizer.from_pretrained(tiny_model), tiny_params()
    data = Steps(pretrain.make_curriculum(params), tokenizer, params)
    batch = next(drawn for drawn in (data[step] for step in range(4)) if len(drawn.lessons_B_T[0].unique()) > 2)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    second = batch.lessons_B_T[0] == batch.lessons_B_T[0, 0] + 1
    mask = {"full_attention": batch.mask(), "conv": None}
    with torch.no_grad():
        packed = model.model(
            input_ids=batch.tokens_B_T, position_ids=batch.positions_B_T, attention_mask=mask, use_cache=False
        ).last_hidden_state[0, second]
        alone = model.model(input_ids=batch.tokens_B_T[:1, second]).last_hidden_state[0]
    # The short convolution looks two tokens back, across the border: only the first tokens of a lesson differ.
    assert torch.allclose(packed[4:], alone[4:], atol=0.05)


def test_the_learning_rate_warms_up_stays_and_falls_to_zero() -> None:
    params = tiny_params(warmup_steps=4, decay_share=0.5).optimisation
    factors = [pretrain.learning_rate_factor(step, 20, params) for step in range(20)]
    assert factors[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert factors[10] == 1.0
    assert factors[15] == 0.5
    assert factors[19] == pytest.approx(0.1)


def test_a_checkpoint_is_never_half_written(tmp_path: Path, tiny_model: Path) -> None:
    params = tiny_params()
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = build(params.architecture, tokenizer)
    checkpoint = Checkpoint(
        tmp_path / "checkpoint.pt", params, model, pretrain.make_optimisers(model, params.optimisation)
    )
    checkpoint.save(Progress(step=1))
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert checkpoint.load().step == 1
    shutil.rmtree(tmp_path)
