"""What searches of a prompt keep, where the scorer leaves some answers undecided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from components.engines import ChatRequest, Sampling
from components.errors import ScorerError, TrainingError
from components.methods import Job
from components.methods.few_shot import FewShotParams, Search, greedy
from components.methods.gepa import Account, GepaParams, parts_of
from components.methods.searching import KeptAnswers, keep_better, search_folder, split_dev
from components.opening import Opened, over
from components.records import Completion, Example, Score
from components.shots import Shot, Shots
from tests.components.methods.small import job, profile, workload

RIGHT, WRONG, ODD = "right", "wrong", "odd"


class Strict:
    """Passes one text and cannot decide on another."""

    def score(self, example: Example, completion: Completion) -> Score:
        if completion.text == ODD:
            raise ScorerError("cannot decide")
        return Score(value=float(completion.text == RIGHT), passed=completion.text == RIGHT)


@dataclass
class Speaks:
    """Says to each of the examples what stands for the prompt, by its first message and the first shot."""

    says: Mapping[str, Sequence[str]]

    def generate(self, requests: list[ChatRequest], sampling: Sampling) -> list[Completion]:
        said: list[Completion] = []
        for request in requests:
            turns = [turn.content for turn in request.messages]
            text = self.says[turns[1] if len(turns) > 2 else turns[0]][int(turns[-1][-3:]) - 40]
            said.append(Completion.of_text(request.example_id, text))
        return said


@pytest.fixture
def of(tmp_path: Path) -> Job:
    loose = workload(scorer={"weighted": {"exact": 1.0}, "max_failed_share": 0.1})
    return job(tmp_path, scorer=Strict(), workload=loose, start=None)


def opened(of: Job, **says: Sequence[str]) -> Opened:
    return over(Speaks(says), replace(of.prompt, system="start"), of.workload, of.profile)


# 14 of 20 are right; of the new prompt's 13, with two that were wrong before undecided: 13 of 18
BEFORE, AFTER = [RIGHT] * 14 + [WRONG] * 6, [RIGHT] * 13 + [WRONG] * 5 + [ODD] * 2


@pytest.mark.parametrize("seed", range(6))
def test_dev_of_a_large_and_a_small_group_is_divided_in_any_order(of: Job, seed: int) -> None:
    dev = [row.model_copy(update={"group": "large" if at else "small"}) for at, row in enumerate(of.dev)]
    chosen, held_out = split_dev(dev, 0.5, seed)
    assert sorted((len(chosen), len(held_out))) == [1, 19]
    with pytest.raises(TrainingError, match="expected dev examples of several groups to divide, found 19 of 1"):
        split_dev(dev[1:], 0.5, seed)


def test_a_search_goes_on_however_its_apis_are_asked(of: Job) -> None:
    """Who asks less at once, or waits longer, begins no other search: what it spent and its answers would be gone."""

    def folders(concurrency: int, timeout_s: float) -> list[Path]:
        asked = {"concurrency": concurrency, "timeout_s": timeout_s}
        loose = workload(scorer={"weighted": {"http": 1.0}, "http": {"url": "http://127.0.0.1:9", **asked}})
        told = replace(of, workload=loose, profile=profile(prompting=asked))
        params = GepaParams.model_validate({"reflection": asked, "max_calls": 1500})
        return [search_folder(told, "few_shot", told.dev), Account(told, params, parts_of(told, params)).folder]

    assert folders(16, 60.0) == folders(2, 300.0)


def test_a_prompt_whose_wrong_answers_are_undecided_is_no_better(of: Job) -> None:
    start, answers = opened(of, start=BEFORE, new=AFTER), KeptAnswers(of.work, of.seed)
    assert start.prompt is not None
    made = keep_better(of, start, replace(start.prompt, system="new"), of.dev, answers)
    assert (made.metrics["fixed"], made.metrics["broken"], made.metrics["kept_start"]) == (0.0, 1.0, 1.0)
    assert made.dev_score == pytest.approx(14 / 20)


def test_an_example_that_only_makes_answers_undecided_is_not_shown(of: Job) -> None:
    bank = [Shot(id=name, input={"text": name}, answer="a") for name in ("odd", "good")]
    better = [*BEFORE[:14], RIGHT, *BEFORE[15:]]
    for shown, says in (([], {"odd": AFTER, "good": AFTER}), (["good"], {"odd": AFTER, "good": better})):
        search = Search(FewShotParams(chosen="greedy", shown=1), bank, of.dev)
        answers = KeptAnswers(of.work / str(len(shown)), of.seed)
        best = greedy(of, opened(of, start=BEFORE, **says), search, answers)
        found = best.shots.bank if isinstance(best.shots, Shots) else ()
        assert [shot.id for shot in found] == shown
