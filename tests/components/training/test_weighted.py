"""Training on scored logs: what an answer weighs, when logs are inconclusive, and what the record says afterwards."""

import gc
import math
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from components.errors import ConfigError, TrainingError
from components.methods.sft.settings import SftParams
from components.methods.sft.trainer import AnswerTrainer
from components.methods.sft.training import train_sft
from components.methods.weighted_sft import (
    WeightedSft,
    WeightedSftParams,
    log_weights_of,
    require_informative,
    weights_of,
)
from components.models import open_model
from components.prompts import Prompt
from components.records import Example, Logged
from components.tracking import NullTracker
from components.training import TrainingTask, likelihood
from components.training.likelihood import log_likelihoods
from components.training.precision import Compute

MakeTask = Callable[..., TrainingTask]
GOOD, BAD = '{"n": 1}', '{"n": 9}'
SETTINGS: dict[str, Any] = {
    "epochs": 4, "learning_rate": 0.01, "batch_examples": 8, "device_batch_examples": 8, "evaluations": 1,
    "max_tokens": 200, "least_answers": 4,
}  # fmt: skip
PARAMS = WeightedSftParams(**SETTINGS)


def logged(
    examples: Sequence[Example], good: float = 1.0, bad: float = 0.0, **known: Any
) -> list[tuple[Example, Logged]]:
    return [
        (example, Logged(example_id=example.id, text=text, score=score))
        for example in examples
        for text, score in ((GOOD, good), (BAD, bad))
    ]


def test_an_answer_weighs_by_how_far_it_is_above_the_usual_score(examples: list[Example]) -> None:
    log_weights = log_weights_of(logged(examples), PARAMS)  # usual: 0.5; temperature 0.3
    assert log_weights[:2] == [pytest.approx(0.5 / 0.3), pytest.approx(-0.5 / 0.3)]
    weights = weights_of(log_weights)
    assert sum(weights) / len(weights) == pytest.approx(1.0)
    assert weights[0] / weights[1] == pytest.approx(math.exp(1 / 0.3))


def test_no_answer_weighs_more_than_allowed(examples: list[Example]) -> None:
    log_weights = log_weights_of(logged(examples), PARAMS.model_copy(update={"temperature": 0.01, "most_weight": 4.0}))
    assert max(log_weights) == pytest.approx(math.log(4))


def test_the_usual_score_is_that_of_the_kind_drawn_towards_that_of_all(examples: list[Example]) -> None:
    easy = [example.model_copy(update={"slices": {"kind": "easy"}}) for example in examples[:4]]
    hard = [example.model_copy(update={"slices": {"kind": "hard"}}) for example in examples[4:]]
    rows = logged(easy, 1.0, 0.8) + logged(hard, 0.2, 0.0)
    log_weights = log_weights_of(rows, PARAMS.model_copy(update={"usual_by": "kind"}))
    # Of all 0.5; of 8 easy ones 0.9, drawn to 0.5 by five answers: (7.2 + 2.5) / 13.
    assert log_weights[0] == pytest.approx((1.0 - 9.7 / 13) / 0.3)
    assert log_weights[8] == pytest.approx((0.2 - 3.3 / 13) / 0.3)


def test_a_kind_that_no_answer_has_is_refused_and_an_empty_one_is_a_kind(examples: list[Example]) -> None:
    rows = logged([each.model_copy(update={"slices": {"kind": "easy"}}) for each in examples])
    said = r"weighted_sft\.usual_by: expected an input column or a slice of logged answers \(kind, text\), found knid"
    with pytest.raises(ConfigError, match=said):
        log_weights_of(rows, PARAMS.model_copy(update={"usual_by": "knid"}))
    blank = [each.model_copy(update={"input": {"kind": ""}, "slices": {"kind": "easy"}}) for each in examples[:4]]
    full = [each.model_copy(update={"input": {"kind": "easy"}}) for each in examples[4:]]
    log_weights = log_weights_of(logged(blank) + logged(full, 0.2, 0.0), PARAMS.model_copy(update={"usual_by": "kind"}))
    # Of all 0.3; of 8 blank ones 0.5, drawn to 0.3 by five answers: (4.0 + 1.5) / 13.
    assert log_weights[0] == pytest.approx((1.0 - 5.5 / 13) / 0.3)


def test_inconclusive_logs_are_refused(examples: list[Example]) -> None:
    def refused(rows: list[tuple[Example, Logged]], said: str, **changes: Any) -> None:
        params = PARAMS.model_copy(update=changes)
        with pytest.raises(TrainingError, match=said):
            require_informative(rows, log_weights_of(rows, params), params)

    refused(logged(examples[:2]), "at least 8 logged answers with a score, found 4")
    refused(logged(examples, 0.7, 0.7), "logs are inconclusive: all 16 answers scored 0.7, so none is better")
    lonely = [
        (example, log.model_copy(update={"score": float(at == 0)}))
        for at, (example, log) in enumerate(logged(examples))
    ]
    refused(lonely, "logs are inconclusive: 16 logged answers say as much as", temperature=0.05, most_weight=1e6)
    assert require_informative(logged(examples), log_weights_of(logged(examples), PARAMS), PARAMS).value.value > 0.9


def test_the_loss_of_a_row_is_multiplied_by_its_weight() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(6, 5), torch.tensor([[1, 2, -100], [0, 4, 3]])
    total = AnswerTrainer._total
    rows = [total(logits[at * 3 : at * 3 + 3], labels[at : at + 1], None) for at in range(2)]
    assert float(total(logits, labels, torch.tensor([2.0, 0.5]))) == pytest.approx(float(2 * rows[0] + rows[1] / 2))
    assert float(total(logits, labels, torch.ones(2))) == pytest.approx(float(total(logits, labels, None)))


def test_weights_of_one_train_like_no_weights_and_others_do_not(make_task: MakeTask, tmp_path: Path) -> None:
    params = SftParams(**{key: value for key, value in SETTINGS.items() if key in SftParams.model_fields})
    learned = []
    for number, weights in enumerate((None, [1.0] * 8, [2.0, 0.0] * 4)):
        task = make_task(work=tmp_path / f"work{number}", out=tmp_path / f"out{number}")
        train_sft(task, params, NullTracker(), weights)
        learned.append(open_model(task.out)[0].state_dict()["model.embed_tokens.weight"])
    assert torch.allclose(learned[0], learned[1], atol=1e-6)
    assert not torch.allclose(learned[0], learned[2], atol=1e-4)


def test_packed_rows_cannot_be_weighted(make_task: MakeTask) -> None:
    known = {name: value for name, value in SETTINGS.items() if name in SftParams.model_fields}
    params = SftParams.model_validate({**known, "packed_tokens": 256})
    with pytest.raises(ConfigError, match="packed_tokens is for examples of equal weight"):
        train_sft(make_task(), params, NullTracker(), [1.0] * 8)


def test_a_likelihood_is_the_product_of_the_answers_tokens(model_folder: Callable[..., Path], prompt: Prompt) -> None:
    first, other = (Example(id=n, input={"text": n * 9}, demonstration="", reference="", group="") for n in "ab")
    folder = model_folder()
    alone = log_likelihoods(folder, prompt, [(first, GOOD)], "fp32")[0]
    together = log_likelihoods(folder, prompt, [(other, GOOD * 4), (first, GOOD)], "fp32")
    assert together[1] == pytest.approx(alone, abs=1e-3)
    # A model of random weights gives each of 264 tokens about the same chance: 8 letters and the end.
    assert alone == pytest.approx(9 * math.log(1 / 264), rel=0.05)


def test_likelihoods_are_computed_in_batches_of_tokens_that_bound_memory(
    model_folder: Callable[..., Path], prompt: Prompt, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs, sizes, opened = [(example, GOOD * (1 + at)) for at, example in enumerate(examples)], list[int](), open_model

    def counting(folder: Path) -> Any:
        model, tokenizer = opened(folder)
        model.register_forward_pre_hook(lambda _, __, given: sizes.append(given["input_ids"].numel()), with_kwargs=True)
        return model, tokenizer

    monkeypatch.setattr(likelihood, "open_model", counting)
    whole = log_likelihoods(model_folder(), prompt, pairs, "fp32")
    assert len(sizes) == 1
    monkeypatch.setattr(likelihood, "BATCH_TOKENS", 400)
    assert log_likelihoods(model_folder(), prompt, pairs, "fp32") == pytest.approx(whole, abs=1e-3)
    assert len(sizes) > 2
    assert max(sizes[1:]) <= 400


def test_a_training_s_memory_is_free_before_a_model_is_opened_for_likelihoods(
    model_folder: Callable[..., Path], prompt: Prompt, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Trainer:
        """As transformers' own, held by its callbacks."""

        def __init__(self) -> None:
            self.callbacks = [self]

    left, opened = list[bool](), open_model
    gc.disable()  # else it may be freed by chance
    try:
        trained = weakref.ref(Trainer())

        def opening(folder: Path) -> Any:
            left.append(trained() is not None)
            return opened(folder)

        monkeypatch.setattr(likelihood, "open_model", opening)
        log_likelihoods(model_folder(), prompt, [(examples[0], GOOD)], "fp32")
    finally:
        gc.enable()
    assert left == [False]


@pytest.mark.parametrize(("precision", "computed"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_likelihoods_are_computed_on_the_device_and_in_the_precision_of_engines(
    model_folder: Callable[..., Path], prompt: Prompt, examples: list[Example], monkeypatch: pytest.MonkeyPatch,
    *, precision: Any, computed: torch.dtype,
) -> None:  # fmt: skip
    models, opened = list[Any](), open_model

    def keeping(folder: Path) -> Any:
        models.append((pair := opened(folder))[0])
        return pair

    monkeypatch.setattr(likelihood, "open_model", keeping)
    log_likelihoods(model_folder(), prompt, [(examples[0], GOOD)], precision)
    assert (models[0].dtype, models[0].device.type) == (computed, "cuda" if torch.cuda.is_available() else "cpu")


def test_of_several_processes_one_computes_likelihoods(
    examples: list[Example], prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere, rows = Path("no-model"), logged(examples)
    drawn = [(example, answer.model_copy(update={"log_probability": -1.0})) for example, answer in rows]
    model = SimpleNamespace(precision="fp32")
    job: Any = SimpleNamespace(
        model=nowhere, out=nowhere, prompt=prompt, rung="logs", profile=SimpleNamespace(model=model)
    )
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(Compute, "state", lambda self: SimpleNamespace(is_main_process=False))
    monkeypatch.setattr("accelerate.utils.broadcast_object_list", lambda prepared: [[-1.0] * len(drawn)])
    told = WeightedSft()._off_policy(job, PARAMS, drawn)
    assert (told["start_score"], told["off_policy_score"]) == (0.5, 0.5)
