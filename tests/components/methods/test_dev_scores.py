"""How a training's dev scores are taken where several processes take them."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.methods import Job
from components.opening import Answers
from components.records import Completion, Example, Score
from tests.components.methods import small


class Asked:
    """A scorer that counts its answers."""

    def __init__(self) -> None:
        self.answers = 0

    def score(self, example: Example, completion: Completion) -> Score:
        self.answers += 1
        return Score(value=1.0, passed=True)


@pytest.mark.parametrize(("watched", "answers"), [(False, 4), (True, 4 + 4)])
def test_scorers_are_asked_in_the_main_process_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: int, *, watched: bool
) -> None:
    def attempt(dev: Sequence[Example], seed: int, trials: int) -> Answers:
        return Answers([Completion.of_text(example.id, "{}") for example in dev], 0.0)

    scorer, opened = Asked(), SimpleNamespace(attempt=attempt)
    monkeypatch.setattr(Job, "opened_over", lambda self, model, tokenizer: opened)
    score_dev = small.job(tmp_path, scorer=scorer, sealed_scorer=scorer).task(4, watched=watched).score_dev
    monkeypatch.setenv("RANK", "1")
    score_dev(None, None)
    assert scorer.answers == 0
    monkeypatch.setenv("RANK", "0")
    score_dev(None, None)
    assert scorer.answers == answers
