"""Training on thumbs: towards what was called good and away from what was called bad."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from components.errors import TrainingError
from components.methods.kto import Answer, KtoParams, balanced, encoded, refuse_uneven, train_kto
from components.models import open_model
from components.params import LoraParams
from components.records import Example
from components.tracking import NullTracker
from components.training import TrainingTask

MakeTask = Callable[..., TrainingTask]
PARAMS = KtoParams(epochs=6, learning_rate=0.01, batch_answers=8, device_batch_answers=8, evaluations=1, beta=0.5)
GOOD, BAD = '{"n": 1}', '{"n": 9}'


def answers(examples: Sequence[Example], good: int = 8, bad: int = 8) -> list[Answer]:
    alternating = [Answer(example, GOOD, True) for example in examples[:good]] + [
        Answer(example, BAD, False) for example in examples[:bad]
    ]
    return alternating[::2] + alternating[1::2]


def likelihood(folder: Path, task: TrainingTask, text: str) -> float:
    """Mean log-likelihood of a text as the answer to the task's examples."""
    model, tokenizer = open_model(folder)
    rows = encoded(tokenizer, task.prompt, [Answer(example, text, True) for example in task.train])
    total = 0.0
    for asked, answer in zip(rows["prompt_ids"], rows["completion_ids"], strict=True):
        with torch.no_grad():
            logits = model.float()(torch.tensor([asked + answer])).logits[0, len(asked) - 1 : -1]
        total += float(logits.log_softmax(-1)[range(len(answer)), answer].sum())
    return total / len(task.train)


class Later:
    """The last weights are the best."""

    def __init__(self) -> None:
        self.score = 0.0

    def __call__(self, model: Any, tokenizer: Any) -> float:
        self.score += 0.1
        return self.score


@pytest.mark.parametrize("loss", ["kto", "apo_zero_unpaired"])
def test_good_answers_become_likelier_beside_bad_ones(make_task: MakeTask, examples: list[Example], loss: str) -> None:
    task = make_task(score_dev=Later())
    before = likelihood(task.model, task, GOOD) - likelihood(task.model, task, BAD)
    params = PARAMS.model_copy(update={"loss": loss})
    trained = train_kto(task, params, answers(examples), NullTracker())
    assert likelihood(task.out, task, GOOD) - likelihood(task.out, task, BAD) > before + 1.0
    assert trained.curves["loss"]
    assert trained.steps == 12  # 6 epochs of 16 answers, 8 a step


def test_adapters_learn_from_thumbs_too(make_task: MakeTask, examples: list[Example]) -> None:
    task = make_task(score_dev=Later())
    params = PARAMS.model_copy(update={"epochs": 1, "lora": LoraParams(rank=2, alpha=4)})
    assert train_kto(task, params, answers(examples), NullTracker()).best_step == 2
    open_model(task.out)


def test_where_nothing_is_better_the_start_is_kept(make_task: MakeTask, examples: list[Example]) -> None:
    task = make_task(score_dev=lambda model, tokenizer: 0.5)
    trained = train_kto(task, PARAMS.model_copy(update={"epochs": 1}), answers(examples), NullTracker())
    assert trained.best_step == 0
    assert likelihood(task.out, task, GOOD) == pytest.approx(likelihood(task.model, task, GOOD), abs=1e-4)


def test_for_the_kl_each_prompt_has_the_answer_of_the_one_before(make_task: MakeTask, tokenizer: Any) -> None:
    task = make_task()
    rows = encoded(tokenizer, task.prompt, [Answer(example, example.reference, True) for example in task.train[:3]])
    first, second, third = rows["completion_ids"]
    assert rows["KL_completion_ids"] == [third, first, second]
    assert tokenizer.decode(first) == '{"n": 1}<|im_end|>'


def test_the_rarer_kind_weighs_more() -> None:
    assert balanced([True, True, True, False]) == (1.0, 3.0)
    assert balanced([True, False, False]) == (2.0, 1.0)


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        (8, 0, "8 good and 0 bad"),
        (0, 8, "0 good and 8 bad"),
        (1, 8, "at most 4 of one kind for one of the other"),
        (2, 2, "at least 8 answers"),
    ],
)
def test_too_few_of_one_kind_are_refused(examples: list[Example], good: int, bad: int, said: str) -> None:
    params = PARAMS.model_copy(update={"most_uneven": 4.0})
    with pytest.raises(TrainingError, match=said):
        refuse_uneven(answers(examples, good, bad), params)
    assert refuse_uneven(answers(examples, 2, 8), params) == 2
