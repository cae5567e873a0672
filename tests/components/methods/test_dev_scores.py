"""How a training's dev scores are taken where several processes take them."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from components.errors import ScorerError
from components.methods import Job
from components.opening import Answers
from components.params import HackingParams
from components.records import Completion, Example, Score
from tests.components.methods import small


class Asked:
    """A scorer that counts its answers."""

    def __init__(self) -> None:
        self.answers = 0

    def score(self, example: Example, completion: Completion) -> Score:
        self.answers += 1
        return Score(value=1.0, passed=True)


class Away(Asked):
    """A scorer that says nothing after its first answers."""

    def __init__(self, says: int) -> None:
        super().__init__()
        self.says = says

    def score(self, example: Example, completion: Completion) -> Score:
        if self.answers == self.says:
            raise ScorerError("the server is away")
        return super().score(example, completion)


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that answer all alike."""

    def attempt(dev: Sequence[Example], seed: int, trials: int) -> Answers:
        return Answers([Completion.of_text(example.id, "{}") for example in dev], 0.0)

    monkeypatch.setattr(Job, "opened_over", lambda self, model, tokenizer: SimpleNamespace(attempt=attempt))


def allowing(share: float) -> dict[str, Any]:
    return {"weighted": {"exact": 1.0}, "max_failed_share": share}


@pytest.mark.usefixtures("answering")
@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize(
    ("says", "share", "told"),
    [(5, 0.02, r"\(scorer.max_failed_share\), found 15 of 20"), (0, 0.02, "found 20 of 20"), (0, 1.0, "is away")],
)
def test_a_scorer_that_is_away_gives_no_dev_score(
    tmp_path: Path, says: int, share: float, told: str, watched: bool
) -> None:
    of = small.job(tmp_path, scorer=Away(says), sealed_scorer=Asked(), workload=small.workload(scorer=allowing(share)))
    with pytest.raises(ScorerError, match=told):
        of.task(20, watched=watched).score_dev(None, None)


@pytest.mark.usefixtures("answering")
def test_a_sealed_scorer_that_is_away_ends_the_training_unless_its_settings_allow_it(tmp_path: Path) -> None:
    def look(share: float) -> Any:
        own = small.workload(sealed_scorer=allowing(share))
        of = small.job(tmp_path, scorer=Asked(), sealed_scorer=Away(5), workload=own)
        return of.task(20, watched=True).score_dev(None, None)

    with pytest.raises(ScorerError, match=r"\(sealed_scorer.max_failed_share\), found 15 of 20, first: the server"):
        look(0.02)
    assert look(0.75).sealed == [1.0] * 5 + [None] * 15
    assert look(0.75).score == 1.0


def identity(of: Job, watched: bool) -> str:
    return of.task(4, watched=watched).identity(small.settings("sft"))


def engine(**changes: Any) -> dict[str, Any]:
    return {"engine": {"kind": "transformers", "batch_tokens": 8192, "max_new_tokens": 24, **changes}}


CHANGES: dict[str, dict[str, Any]] = {
    "the scorer": {"workload": small.workload(scorer={"weighted": {"json_schema": 1.0}})},
    "what answers are held to": {"workload": small.workload(prompts=["long", "short"], constrained=["short"])},
    "the length of answers": {"profile": small.profile(**engine(max_new_tokens=25))},
    "dev": {"dev": [small.example(number, "dev") for number in range(41, 61)]},
}


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("changed", CHANGES)
def test_a_training_whose_dev_scores_would_be_others_is_another_one(
    tmp_path: Path, changed: str, watched: bool
) -> None:
    before = identity(small.job(tmp_path), watched)
    assert identity(small.job(tmp_path), watched) == before
    assert identity(small.job(tmp_path, **CHANGES[changed]), watched) != before


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {"profile": small.profile(**engine(batch_tokens=4096))},
        {"profile": small.profile(**engine(kind="vllm"))},
        {"workload": small.workload(scorer=allowing(0.5))},
    ],
    ids=["batches", "the engine that serves", "how many may fail"],
)
def test_a_training_goes_on_where_its_dev_scores_stay_the_same(
    tmp_path: Path, changes: dict[str, Any], watched: bool
) -> None:
    assert identity(small.job(tmp_path, **changes), watched) == identity(small.job(tmp_path), watched)


SERVER = {"url": "http://127.0.0.1:1/score"}
API = {"base_url": "http://127.0.0.1:1/v1", "key_variable": None}


def asking(http: dict[str, Any], api: dict[str, Any]) -> dict[str, Any]:
    weighted = {"http": 1.0, "judge": 1.0}
    judge = {"model": "m", "rubric": "rubric.md", "api": {**API, **api}}
    return {"workload": small.workload(scorer={"weighted": weighted, "http": {**SERVER, **http}, "judge": judge})}


@pytest.mark.parametrize(
    ("http", "api"),
    [
        ({"timeout_s": 90.0, "max_retries": 9, "concurrency": 1}, {}),
        ({}, {"timeout_s": 90.0, "max_retries": 9, "concurrency": 1, "requests_per_minute": 9.0, "within_s": 9.0}),
    ],
    ids=["http", "judge"],
)
def test_a_training_goes_on_where_a_server_that_was_away_is_given_more_time(
    tmp_path: Path, http: dict[str, Any], api: dict[str, Any]
) -> None:
    before = identity(small.job(tmp_path, **asking({}, {})), watched=False)
    assert identity(small.job(tmp_path, **asking(http, api)), watched=False) == before
    elsewhere = asking({"url": "http://127.0.0.1:2/score"}, {"extra_body": {"effort": "low"}})
    assert identity(small.job(tmp_path, **elsewhere), watched=False) != before


def test_a_watch_with_another_level_is_another_training(tmp_path: Path) -> None:
    own = small.workload(sealed_scorer=allowing(0.02))
    before, after = (small.job(tmp_path, workload=own, hacking=HackingParams(alpha=level)) for level in (0.05, 0.01))
    assert identity(before, watched=True) != identity(after, watched=True)
    assert identity(before, watched=False) == identity(after, watched=False)


@pytest.mark.usefixtures("answering")
@pytest.mark.parametrize(("watched", "answers"), [(False, 4), (True, 4 + 4)])
def test_scorers_are_asked_in_the_main_process_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: int, *, watched: bool
) -> None:
    scorer = Asked()
    score_dev = small.job(tmp_path, scorer=scorer, sealed_scorer=scorer).task(4, watched=watched).score_dev
    monkeypatch.setenv("RANK", "1")
    score_dev(None, None)
    assert scorer.answers == 0
    monkeypatch.setenv("RANK", "0")
    score_dev(None, None)
    assert scorer.answers == answers
