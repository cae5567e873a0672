"""A judge whose verdicts people check in part: when it counts, and that its errors promote no canary."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from components.evaluation.read_twice import misread, worth
from components.params import LabellingParams, ReleaseParams
from components.records import Scored
from monitoring.canary import Side, judge
from monitoring.labelling import drawn, is_checked, waiting
from monitoring.sides import side
from monitoring.windows import current_window
from tests.monitoring.test_windows import NOW, label, stream, trace

HALF = LabellingParams(share=1.0, complete=0.9, checked=0.5, least_checked=20)
PARAMS = ReleaseParams(canary_answers=200, canary_customers=30, canary_labelled=100, margin=0.05, alpha=0.05)
NAMES = [str(at) for at in range(400)]
CHECKED = [name for name in NAMES if is_checked(name, HALF)]


def verdict(name: str, *, passed: bool) -> Scored:
    return Scored(trace_id=name, at=NOW, workload="shop", source="judge", value=float(passed), passed=passed)


def test_an_answers_value_is_its_verdict_corrected_by_peoples_weighted_labels() -> None:
    verdicts = {"a": True, "b": True, "c": False, "d": False}
    result = worth(verdicts, {"a": False, "c": False, "elsewhere": True}, 0.5)
    assert result == {"a": -1.0, "b": 1.0, "c": 0.0, "d": 0.0}  # a: 1 + (0 − 1) / 0.5
    assert sum(result.values()) / 4 == 0.0
    errs = misread(verdicts, {"a": False, "c": False}, {})
    assert errs is not None and errs.value == 0.5 and misread(verdicts, {}, {}) is None


def test_answers_to_one_customer_tell_less_of_a_judges_errors_than_those_to_many() -> None:
    verdicts, truths = dict.fromkeys(NAMES, True), {name: int(name) % 40 >= 4 for name in NAMES}
    alone, of_ten = (misread(verdicts, truths, who) for who in ({}, {name: str(int(name) % 40) for name in NAMES}))
    assert alone is not None and of_ten is not None and alone.value == of_ten.value == 0.1
    assert alone.high < 0.14 and of_ten.high > 0.2  # 400 answers, and 40 customers


def test_the_judge_reads_all_and_is_corrected_by_what_people_say_of_their_share(tmp_path: Path) -> None:
    wrong = {name for name in CHECKED if int(name) % 20 == 0}  # which the judge takes for right
    reported = stream(
        tmp_path, *(trace(name, NOW) for name in NAMES), *(verdict(name, passed=True) for name in NAMES),
        *(label(name, NOW, right=name not in wrong) for name in CHECKED), labelling=HALF,
    )  # fmt: skip
    result = side(reported, (NOW - 1, NOW + 1))
    assert (len(result.right), result.drawn, result.silent) == (400, 400, "")
    assert result.weight == pytest.approx(400 / len(CHECKED))
    assert sum(value for _, value in result.right) / 400 == pytest.approx(1 - len(wrong) / len(CHECKED))


@pytest.mark.parametrize(
    ("labelled", "misreads", "why"),
    [(0.5, 0.0, "have a label"), (1.0, 0.3, "is ignored"), (1.0, 0.0, "")],
)
def test_a_judge_is_ignored_until_people_have_checked_it_and_if_it_misreads_many(
    labelled: float, misreads: float, why: str, tmp_path: Path
) -> None:
    checked = CHECKED[: int(labelled * len(CHECKED))]
    last = trace(CHECKED[-1], NOW + 0.5)  # reached: those before it without a label are missing
    traces = [trace(name, NOW) for name in NAMES if name != CHECKED[-1]]
    words = {name: at >= misreads * len(checked) for at, name in enumerate(checked)} | {CHECKED[-1]: True}
    reported = stream(
        tmp_path, *traces, last, *(verdict(name, passed=True) for name in NAMES),
        *(label(name, NOW, right=right) for name, right in words.items()), labelling=HALF,
    )  # fmt: skip
    result = side(reported, (NOW - 1, NOW + 1))
    assert why in result.silent and bool(result.silent) == bool(why)
    assert bool(result.right) != bool(why)
    decided = judge(result, result, PARAMS, 0.0, 0.9)
    assert decided.decision != "promoted" or not why


def test_few_answers_that_both_have_read_are_too_few(tmp_path: Path) -> None:
    names = CHECKED[:19]
    reported = stream(
        tmp_path, *(trace(name, NOW) for name in names), *(verdict(name, passed=True) for name in names),
        *(label(name, NOW, right=True) for name in names), labelling=HALF,
    )  # fmt: skip
    assert "waiting for 20" in side(reported, (NOW - 1, NOW + 1)).silent


def test_people_label_their_share_and_the_watch_uses_only_their_labels(tmp_path: Path) -> None:
    reported = stream(
        tmp_path, *(trace(name, NOW) for name in NAMES), *(verdict(name, passed=False) for name in NAMES),
        labelling=HALF,
    )  # fmt: skip
    window = NOW - 1, NOW + 1
    assert len(drawn(reported.lake, "shop", 1.0, window)) == 400
    assert {each.id for each in waiting(reported.lake, "shop", HALF, window)} == {*CHECKED}
    reported.lake.store("2", [label(name, NOW, right=True).model_dump_json() for name in CHECKED])
    scores = {
        observation.input["message"]: observation.score
        for observation in current_window(reported, window, 1000).observations
    }
    assert {name for name, score in scores.items() if score is not None} == {*CHECKED}
    assert {scores[name] for name in CHECKED} == {1.0}


# --- simulated: versions, customers and a judge who errs ------------------------------------------------------------


class World:
    """A version's answers over time: how often it is right, how often the judge passes its wrong and right answers."""

    def __init__(self, seed: int, right: float, passes_wrong: float, refuses_right: float, asks: int) -> None:
        rng = np.random.default_rng(seed)
        customers = rng.integers(4000 // asks, size=4000)
        each = np.clip(rng.normal(right, 0.05, size=4000 // asks), 0, 1)  # customers differ in how hard they ask
        self.customers = [f"c{customer}" for customer in customers]
        self.truth = rng.random(4000) < each[customers]
        self.passed = np.where(self.truth, rng.random(4000) >= refuses_right, rng.random(4000) < passes_wrong)
        self.checked = rng.random(4000) < 0.25

    def side(self, n: int, *, corrected: bool = True) -> Side:
        verdicts = {str(at): bool(self.passed[at]) for at in range(n)}
        truths = {str(at): bool(self.truth[at]) for at in range(n) if self.checked[at]}
        share = len(truths) / n
        reported: Mapping[str, float] = worth(verdicts, truths, share) if corrected else verdicts
        named = [(self.customers[int(name)], float(value)) for name, value in reported.items()]
        return Side([(who, True) for who in self.customers[:n]], named, n, 1 / share if corrected else 1.0)


def ended(seed: int, canary_right: float, favours: float, asks: int, *, corrected: bool = True) -> str:
    """The decision on a canary after four looks; the judge passes `favours` more of its wrong answers."""
    champion = World(2 * seed, 0.9, 0.1, 0.04, asks)
    canary = World(2 * seed + 1, canary_right, 0.1 + favours, 0.04, asks)
    for n in (500, 1000, 2000, 4000):
        result = judge(champion.side(n, corrected=corrected), canary.side(n, corrected=corrected), PARAMS, 0.0, 0.9)
        if result.decision != "waiting":
            return result.decision
    return "waiting"


@pytest.mark.parametrize("asks", [1, 4])
def test_a_judge_who_favours_it_promotes_no_canary_that_is_worse_by_the_margin(asks: int) -> None:
    """Simulated: 85 % right against 90 %, and the judge passes 60 % of the canary's wrong answers, not 10 %."""
    result = [ended(seed, 0.85, 0.5, asks) for seed in range(60)]
    assert result.count("promoted") <= 3  # 5 %
    trusting = [ended(seed, 0.85, 0.5, asks, corrected=False) for seed in range(20)]
    assert trusting.count("promoted") >= 10  # what its verdicts alone would do


def test_a_judge_who_is_against_it_withdraws_no_equal_canary() -> None:
    """Simulated: both 90 % right, and the judge passes 40 % of the canary's wrong answers, not 10 %, or the reverse."""
    result = [ended(seed, 0.9, favours, 2) for seed in range(30) for favours in (0.3, -0.1)]
    assert result.count("withdrawn") <= 3
    assert result.count("promoted") >= 12  # and some are known to be as good, by four thousand answers
