"""Distillation on the student's own answers: the teacher, its prompt, and what is refused."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from components.errors import TrainingError
from components.evaluation import classical
from components.methods import Job, distilling, method_of
from components.methods.distilling import behind
from components.methods.gold import OtherVocabularyDistiller, byte_spans
from components.methods.on_policy_distillation import TeacherModel, same_vocabulary, scheduled, train_distilled
from components.models import open_model
from components.opening import Artifact
from components.prompts import Prompt
from components.tracking import NullTracker
from components.training.encode import encode_prompts
from tests.components.methods.small import OUTPUT, example, job

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


def divergences(folder: Path, of: Job, teacher: TeacherModel, settings: Any, sample: Any = None) -> list[float]:
    """The loss of each step; dev is always answered better, so that the last weights are kept."""
    scores = iter((0.1, 0.9))
    task = replace(of.task(4), score_dev=lambda *_: next(scores))
    trained = train_distilled(task, settings, teacher, NullTracker(), sample or of.sample())
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
    new, seen = behind(taught, ids, mask, 3, pad)
    read = [row[here.bool()].tolist() for row, here in zip(new, seen, strict=True)]
    assert read == [prompt + answer for prompt, answer in zip(taught, answers, strict=True)]
    with torch.no_grad():
        batched = model(input_ids=new, attention_mask=seen).logits[0, -4:-1]
        alone = model(input_ids=torch.tensor([taught[0] + answers[0]])).logits[0, -4:-1]
    assert torch.allclose(batched, alone, atol=1e-4)


@pytest.mark.parametrize("same_tokens", [True, False])
def test_examples_with_one_prompt_of_the_student_have_each_its_own_of_the_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, same_tokens: bool
) -> None:
    texts = ("gold", "free")
    asked = [example(0).model_copy(update={"id": tier, "input": {"text": "lost", "tier": tier}}) for tier in texts]
    of, taught = job(tmp_path, train=asked), dict[str, str]()
    tokenizer = AutoTokenizer.from_pretrained(of.model)

    def written(_: Any, __: Any, prompts: list[list[int]], draws: Any) -> list[list[list[int]]]:
        """An answer that says whose it is: prompts come in the order of the rows."""
        rows = scheduled(2, 2, of.seed)
        assert prompts[0] == prompts[1]
        return [[[*tokenizer(texts[row])["input_ids"], tokenizer.eos_token_id]] for row in rows]

    def noted(prompts: Any, ids: Any, mask: Any, completion: int, pad: int) -> Any:
        new, seen = behind(prompts, ids, mask, completion, pad)
        for prompt, row in zip(prompts, new, strict=True):
            taught[tokenizer.decode(row[-completion:], skip_special_tokens=True)] = tokenizer.decode(prompt)
        return new, seen

    logits = OtherVocabularyDistiller._logits

    def read(self: Any, model: Any, own: Any, prompts: Any, answers: Any) -> Any:
        if model is self.teacher_model:
            for prompt, answer in zip(prompts, answers, strict=True):
                taught[tokenizer.decode(answer, skip_special_tokens=True)] = tokenizer.decode(prompt)
        return logits(self, model, own, prompts, answers)

    monkeypatch.setattr(distilling, "behind", noted)
    monkeypatch.setattr(OtherVocabularyDistiller, "_logits", read)
    teacher = TeacherModel(of.model, Prompt("rich", "Sort.", "{text} [{tier}]"), same_tokens=same_tokens)
    divergences(tmp_path, of, teacher, params(steps=1, prompts_per_step=2, device_batch_prompts=2), written)
    assert {answer: f"[{answer}]" in prompt for answer, prompt in taught.items()} == {"gold": True, "free": True}


def with_other_tokens(folder: Path, of: Job, vocabulary: int = 420) -> Artifact:
    """A model of the same shape with random weights and tokens of its own."""
    tokenizer = AutoTokenizer.from_pretrained(of.model)
    texts = [str(example.input["text"]) + example.reference for example in of.train]
    tokenizer = tokenizer.train_new_from_iterator(texts, vocabulary)
    torch.manual_seed(2)
    config = AutoConfig.from_pretrained(of.model)
    config.vocab_size = len(tokenizer)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Artifact("model", folder, "short")


def test_a_teacher_may_have_other_tokens(tmp_path: Path) -> None:
    of = job(tmp_path)
    wise = with_other_tokens(tmp_path / "wise", of)
    assert same_vocabulary(of.model, of.model)
    assert not same_vocabulary(of.model, wise.folder)
    result = divergences(tmp_path, of, TeacherModel(wise.folder, of.prompt, same_tokens=False), params())
    assert sum(result[-3:]) < 0.9 * sum(result[:3])
    made = method_of("on_policy_distillation").make(
        job(tmp_path, work=tmp_path / "state/again", teacher=wise), params(steps=1), NullTracker()
    )
    assert made.dev_examples == 4


def test_with_the_same_tokens_the_divergence_is_the_one_that_trl_computes(tmp_path: Path) -> None:
    of = job(tmp_path)
    wise = TeacherModel(other(tmp_path / "wise", of).folder, of.prompt)
    settings = params(steps=1, device_batch_prompts=8)

    def written(_: Any, tokenizer: Any, prompts: list[list[int]], draws: Any) -> list[list[list[int]]]:
        """Answers that are text, of several lengths; a random model's would not be."""
        texts = [f"a{'b c' * (len(prompt) % 3)} d" for prompt in prompts]
        return [[[*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]] for text in texts]

    theirs = divergences(tmp_path, of, wise, settings, written)
    wise = replace(wise, same_tokens=False)
    for name, each in {"whole": settings, "parts": params(steps=1, device_batch_prompts=4)}.items():
        apart = job(tmp_path, work=tmp_path / "state" / name)
        assert divergences(tmp_path, apart, wise, each, written) == pytest.approx(theirs, rel=1e-3)


def test_tokens_end_at_the_bytes_of_what_they_say(tmp_path: Path) -> None:
    of = job(tmp_path)
    wise = with_other_tokens(tmp_path / "wise", of)
    text = "naïve 漢字 order AB-001 😀"
    for folder in (of.model, wise.folder):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        ids = [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        spans, size = byte_spans(tokenizer, ids), len(text.encode())
        assert spans[0][0] == 0
        assert spans[-1] == (size, size)  # the end token says nothing
        assert all(before[1] == after[0] for before, after in pairwise(spans))


def test_a_teacher_whose_tokens_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    of = job(tmp_path)
    wise = other(tmp_path / "wise", of).folder
    content = json.loads((wise / "tokenizer.json").read_text(encoding="utf-8"))
    first, second = sorted(content["model"]["vocab"], key=content["model"]["vocab"].__getitem__)[100:102]
    vocabulary = content["model"]["vocab"]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    content |= {"pre_tokenizer": {"type": "Whitespace"}, "decoder": None}
    (wise / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(TrainingError, match=r"expected byte-level tokens in both .*teacher_answers"):
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
