"""Distillation on the student's own answers: the teacher, its prompt, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from components.errors import TrainingError
from components.evaluation import classical
from components.methods import Job, method_of
from components.methods.distilling import behind
from components.methods.on_policy_distillation import TeacherModel, require_same_vocabulary, scheduled, train_distilled
from components.models import open_model
from components.opening import Artifact
from components.tracking import NullTracker
from components.training.encode import encode_prompts
from tests.components.methods.small import OUTPUT, job

STEPS: dict[str, Any] = {
    "steps": 12, "prompts_per_step": 8, "device_batch_prompts": 4, "learning_rate": 0.01, "evaluations": 1,
    "dev_examples": 4, "max_new_tokens": 8, "teacher_dev": 8, "least_gain": -0.99,
}  # fmt: skip
TEACHER = {"kind": "rung", "rung": "wise", "prompt": "short"}


def params(method: str = "on_policy_distillation", **changes: Any) -> Any:
    own = {"teacher": TEACHER} if method == "on_policy_distillation" else {"prompt": "long"}
    return method_of(method).params.model_validate({**STEPS, **own, **changes})


def other(folder: Path, of: Job, scale: float = 3.0) -> Artifact:
    """The job's model with larger embeddings, so that its distributions differ and are sharper."""
    folder.mkdir()
    for file in of.model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    torch.manual_seed(1)
    weights = load_file(folder / "model.safetensors")
    changed = {name: each + scale * 0.02 * torch.randn_like(each) for name, each in weights.items()}
    save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})
    return Artifact("model", folder, "short")


def divergences(folder: Path, of: Job, teacher: TeacherModel, settings: Any) -> list[float]:
    """The loss of each step; dev is always answered better, so that the last weights are kept."""
    scores = iter((0.1, 0.9))
    task = replace(of.task(4), score_dev=lambda *_: next(scores))
    trained = train_distilled(task, settings, teacher, NullTracker(), of.sample())
    return [value for _, value in trained.curves["divergence"]]


def test_a_student_comes_nearer_to_its_teacher(tmp_path: Path) -> None:
    of = job(tmp_path)
    by = TeacherModel(other(tmp_path / "wise", of).folder, of.prompt)
    result = divergences(tmp_path, of, by, params())
    assert sum(result[-3:]) < 0.8 * sum(result[:3])
    before, after = load_file(of.model / "model.safetensors"), load_file(of.out / "model.safetensors")
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert (of.out / "tokenizer.json").is_file()


def test_a_model_that_teaches_itself_learns_only_from_another_prompt(tmp_path: Path) -> None:
    of = job(tmp_path)
    same = divergences(tmp_path, of, TeacherModel(of.model, of.prompt), params(steps=1))
    assert same[0] == pytest.approx(0.0, abs=1e-6)
    longer = job(tmp_path, work=tmp_path / "state/longer")
    prompt = of.written_prompt("long")
    assert divergences(tmp_path, longer, TeacherModel(of.model, prompt), params(steps=1))[0] > 1e-5


def test_the_teacher_reads_its_own_prompt_before_the_students_answer(tmp_path: Path) -> None:
    of = job(tmp_path)
    model, tokenizer = open_model(of.model)
    asked = [of.prompt.messages(example) for example in of.train[:2]]
    taught = encode_prompts(tokenizer, [of.written_prompt("long").messages(example) for example in of.train[:2]])
    known = encode_prompts(tokenizer, asked)
    answers, pad = [[5, 6, 7], [8, 9, 4]], tokenizer.pad_token_id
    width = max(map(len, known))
    rows = list(zip(known, answers, strict=True))
    ids = torch.tensor([[pad] * (width - len(prompt)) + prompt + answer for prompt, answer in rows])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * (len(prompt) + 3) for prompt, _ in rows])
    new, seen = behind({tuple(each): other for each, other in zip(known, taught, strict=True)}, ids, mask, 3, pad)
    read = [row[here.bool()].tolist() for row, here in zip(new, seen, strict=True)]
    assert read == [prompt + answer for prompt, answer in zip(taught, answers, strict=True)]
    with torch.no_grad():
        batched = model(input_ids=new, attention_mask=seen).logits[0, -4:-1]
        alone = model(input_ids=torch.tensor([taught[0] + answers[0]])).logits[0, -4:-1]
    assert torch.allclose(batched, alone, atol=1e-4)


def test_a_teacher_with_another_vocabulary_is_refused(tmp_path: Path) -> None:
    of = job(tmp_path)
    wise = other(tmp_path / "wise", of).folder
    require_same_vocabulary(of.model, wise)
    content = json.loads((wise / "tokenizer.json").read_text(encoding="utf-8"))
    first, second = sorted(content["model"]["vocab"], key=content["model"]["vocab"].__getitem__)[100:102]
    vocabulary = content["model"]["vocab"]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (wise / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(
        TrainingError, match=r"1,024 tokens against 1,024 of which 1,022 are the same; .*teacher_answers"
    ):
        method_of("on_policy_distillation").make(
            job(tmp_path, teacher=Artifact("model", wise)), params(), NullTracker()
        )


def test_a_teacher_without_weights_is_refused(tmp_path: Path) -> None:
    of = job(tmp_path)
    classical.fit(of.train, OUTPUT, ("text",)).save(tmp_path / "floor")
    with pytest.raises(TrainingError, match="expected a model as teacher, found wise, which is a classifier"):
        method_of("on_policy_distillation").make(
            job(tmp_path, teacher=Artifact("classifier", tmp_path / "floor")), params(), NullTracker()
        )


def test_a_teacher_that_is_not_better_does_not_teach(tmp_path: Path) -> None:
    of = job(tmp_path)
    of = replace(of, teacher=other(tmp_path / "wise", of))
    with pytest.raises(TrainingError, match=r"expected a teacher that is surely at least 0.0 points better"):
        method_of("on_policy_distillation").make(of, params(least_gain=0.0), NullTracker())
    assert not of.out.exists()


@pytest.mark.parametrize("method", ["on_policy_distillation", "prompt_distillation"])
def test_distillation_needs_no_demonstrations(tmp_path: Path, method: str) -> None:
    of = job(tmp_path)
    blank = [example.model_copy(update={"demonstration": "?", "reference": "?"}) for example in of.train]
    of = replace(of, train=blank, teacher=other(tmp_path / "wise", of))
    made = method_of(method).make(of, params(method, steps=2), NullTracker())
    assert (of.out / "model.safetensors").is_file()
    assert made.dev_examples == 4
    assert method_of(method).needs(params(method)) == {"teacher"}


def test_every_input_comes_before_any_comes_again() -> None:
    order = scheduled(5, 12, 7)
    assert len(order) == 12
    assert sorted(order[:5]) == sorted(order[5:10]) == [0, 1, 2, 3, 4]
    assert scheduled(5, 12, 7) == order != scheduled(5, 12, 8)
