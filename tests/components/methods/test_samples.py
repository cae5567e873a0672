"""Samples of a model's own answers: when they are drawn anew, and how long that took."""

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.errors import ScorerError, TrainingError
from components.methods import Job, method_of, rejection_sampling, samples
from components.methods.rejection_sampling import accepted
from components.methods.samples import Sampled, SamplingParams, drawing_seconds, scored_samples
from components.methods.trained import made_of
from components.records import Completion, Example, Score
from components.tracking import NullTracker
from components.training import Trained
from tests.components.methods import small

PARAMS = SamplingParams(sampled_prompts=4, generations=2)


class Passes:
    """Passes all answers, or none."""

    def __init__(self, *, passes: bool) -> None:
        self.passes = passes

    def score(self, example: Example, completion: Completion) -> Score:
        return Score(value=float(self.passes), passed=self.passes)


class Away(Passes):
    """Passes all answers but those to some examples, on which it does not decide."""

    def __init__(self, *undecided: str) -> None:
        super().__init__(passes=True)
        self.undecided = undecided

    def score(self, example: Example, completion: Completion) -> Score:
        if example.id in self.undecided:
            raise ScorerError("timed out")
        return super().score(example, completion)


class Drawing:
    """In the place of a model; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.ended: tuple[Any, ...] = ()  # for each answer to a prompt; then the answers differ

    def draw(self, part: Sequence[Example], seed: int, temperature: float, n: int) -> list[list[Completion]]:
        self.asked += [example.id for example in part]
        if not self.ended:
            return [[Completion.of_text(example.id, "{}")] * n for example in part]
        return [
            [
                Completion.of_text(example.id, f"{{}} {at}").model_copy(update={"finish_reason": reason})
                for at, reason in enumerate(self.ended)
            ]
            for example in part
        ]


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> Drawing:
    model = Drawing()
    monkeypatch.setattr(Job, "open_model", lambda self, folder: model)
    return model


def test_samples_are_scored_anew_by_a_scorer_whose_file_was_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawing: Drawing
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_scorer.py").write_text("# with a mistake", encoding="utf-8")
    importlib.invalidate_caches()
    workload = small.workload(scorer={"weighted": {"own_scorer:Passes": 1.0}})
    of = small.job(tmp_path, workload=workload, scorer=Passes(passes=False))
    assert [prompt.passed for prompt in scored_samples(of, PARAMS)] == [()] * 4
    assert scored_samples(of, PARAMS)[0].passed == ()
    assert len(drawing.asked) == 4  # once

    (tmp_path / "own_scorer.py").write_text("# without it", encoding="utf-8")
    mended = replace(of, scorer=Passes(passes=True))
    assert [prompt.passed for prompt in scored_samples(mended, PARAMS)] == [("{}",)] * 4


@pytest.mark.parametrize(
    ("changes", "again"),
    [
        ({"workload": small.workload(prompts=["long", "short"], constrained=["short"])}, True),
        ({"workload": small.workload(prompts=["long", "short"], constrained=["long"])}, False),
        ({"profile": small.profile(model={"path": "model", "precision": "bf16"})}, True),
        ({"rung": "another"}, False),
    ],
)
def test_what_an_answer_depends_on_draws_anew_and_nothing_else_does(
    tmp_path: Path, drawing: Drawing, changes: dict[str, Any], *, again: bool
) -> None:
    of = small.job(tmp_path)
    scored_samples(of, PARAMS)
    scored_samples(replace(of, **changes), PARAMS)
    assert len(drawing.asked) == (8 if again else 4)


@pytest.mark.parametrize(("changes", "again"), [({"timeout_s": 99, "concurrency": 1}, False), ({"batch": 2}, True)])
def test_samples_are_kept_however_their_scorer_is_asked(
    tmp_path: Path, drawing: Drawing, changes: dict[str, Any], *, again: bool
) -> None:
    def asking(**changes: Any) -> Job:
        scorer = {"weighted": {"http": 1.0}, "http": {"url": "http://127.0.0.1:9", **changes}}
        return small.job(tmp_path, workload=small.workload(scorer=scorer), scorer=Passes(passes=True))

    scored_samples(asking(), PARAMS)
    scored_samples(asking(**changes), PARAMS)
    assert len(drawing.asked) == (8 if again else 4)


def test_only_prompts_with_undecided_answers_are_drawn_again_when_their_scorer_is_asked_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawing: Drawing
) -> None:
    def asking(*undecided: str, **changes: Any) -> Job:
        http = {"url": "http://127.0.0.1:9", **changes}
        workload = small.workload(scorer={"weighted": {"http": 1.0}, "max_failed_share": 0.5, "http": http})
        return small.job(tmp_path, workload=workload, scorer=Away(*undecided))

    monkeypatch.setattr(samples, "BATCH", 1)
    scored_samples(asking(), PARAMS)
    asked, drawing.asked = drawing.asked, []
    late = (asked[1], asked[3])
    before = scored_samples(asking(*late, batch=2), PARAMS)
    assert [each.example_id for each in before if None in each.scores] == [*late]
    assert scored_samples(asking(batch=2), PARAMS) == before  # asked as it was
    scored_samples(asking(*late, batch=2, timeout_s=50), PARAMS)  # undecided are still half of all, not more
    drawing.asked = []
    after = scored_samples(asking(batch=2, timeout_s=99), PARAMS)
    assert drawing.asked == [*late]
    assert [(each.example_id, each.passed) for each in after] == [(name, ("{}",)) for name in asked]
    assert (after[0], after[2]) == (before[0], before[2])
    assert scored_samples(asking(batch=2), PARAMS) == after


def test_the_time_of_drawing_is_kept_with_samples_and_is_part_of_the_rungs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawing: Drawing
) -> None:
    of, clock = small.job(tmp_path), iter((10.0, 13.0, 20.0, 24.0))  # start and end of two batches
    monkeypatch.setattr(samples, "BATCH", 2)
    monkeypatch.setattr(samples, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert drawing_seconds(scored_samples(of, PARAMS)) == 7.0
    assert drawing_seconds(scored_samples(of, PARAMS)) == 7.0  # which looks at no clock
    trained = Trained(
        best_step=1, dev_score=0.5, steps=1, seconds=20.0, prepared=5.0, examples_per_second=1.0, curves={}
    )
    assert made_of(of, trained, 4, drawing=7.0).seconds == 32.0


def test_samples_of_which_less_was_kept_are_drawn_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawing: Drawing
) -> None:
    class More(Sampled):
        """As a later version keeps them."""

        more: int = 0

    of = small.job(tmp_path)
    scored_samples(of, PARAMS)
    monkeypatch.setattr(samples, "Sampled", More)
    scored_samples(of, PARAMS)
    assert len(drawing.asked) == 8


@pytest.mark.parametrize("passes", [True, False])
def test_an_answer_that_was_cut_is_not_right_whatever_the_scorer_says(
    tmp_path: Path, drawing: Drawing, *, passes: bool
) -> None:
    drawing.ended = ("stop", "length")
    of = small.job(tmp_path, scorer=Passes(passes=passes))
    texts = [(prompt.passed, prompt.failed, prompt.cut) for prompt in scored_samples(of, PARAMS)]
    assert set(texts) == {(("{} 0",), (), ()) if passes else ((), ("{} 0",), ("{} 1",))}


def test_an_answer_that_was_cut_is_no_demonstration_and_its_prompt_is_not_easy() -> None:
    right, wrong = Score(value=1.0, passed=True), Score(value=0.0, passed=False)
    settings: Any = small.settings("rejection_sampling", easy_share=0.0, most_kept=2)

    def kept(*scores: Score) -> list[str]:
        given = Sampled(
            example_id="train-000", texts=("a", "b"), finish_reasons=("stop", "length"), scores=scores
        )  # fmt: skip
        return [each.demonstration for each in accepted([small.example(0)], [given], settings, seed=1)]

    assert kept(right, wrong) == ["a"]
    assert kept(wrong, right) == []
    assert kept(right, right) == []  # always right, of which no share stays


def test_drawn_answers_that_are_too_long_are_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    of, trained = small.job(tmp_path), list[Example]()
    given = [
        Sampled(example_id=example.id, texts=(text,), finish_reasons=("stop",), scores=(Score(value=1.0, passed=True),))
        for example, text in zip(of.train, ("{}", "{" + " " * 300 + "}", "{ }"), strict=False)
    ]
    monkeypatch.setattr(rejection_sampling, "scored_samples", lambda *_: given)

    def train_on(job: Job, examples: Sequence[Example], *_: Any) -> Trained:
        trained.extend(examples)
        return Trained(
            best_step=1, dev_score=0.5, steps=1, seconds=1.0, prepared=0.0, examples_per_second=1.0, curves={}
        )

    monkeypatch.setattr(rejection_sampling, "train_on", train_on)
    settings: Any = small.settings("rejection_sampling", easy_share=1.0)
    with caplog.at_level("INFO"):
        made = method_of("rejection_sampling").make(of, settings, NullTracker())
    assert [example.demonstration for example in trained] == ["{}", "{ }"]
    assert made.metrics["too_long"] == 1.0
    assert "own: 1 of 3 answers have more than 300 tokens (max_tokens) and are left out." in caplog.messages
    del given[2], given[0]
    with pytest.raises(TrainingError, match=r"at most 300 tokens with their prompt \(max_tokens\), found none of 1"):
        method_of("rejection_sampling").make(of, settings, NullTracker())
