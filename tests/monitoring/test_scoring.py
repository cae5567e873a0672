"""Scores follow once from people's feedback, and a scorer's failure is not a score."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from components.errors import ScorerError
from components.params import FieldMatch, ScorerParams
from components.records import Completion, Example, Feedback, Message, Score, Scored, Tool, Trace, Usage
from components.scorers import Pair, build
from monitoring import scoring
from monitoring.lake import Lake
from monitoring.scoring import Scoring, score_window
from monitoring.windows import best_scores

SCHEMA = {
    "type": "object",
    "properties": {"intent": {"enum": ["a", "b"]}, "amount": {"type": ["number", "null"]}},
    "required": ["intent", "amount"],
}
SCORER = build(
    ScorerParams(
        weighted={"json_schema": 0.2, "field_match": 0.8},
        fields={"intent": FieldMatch(), "amount": FieldMatch(match="number", tolerance=0.01)},
    ),
    SCHEMA,
)
RIGHT, HALF = '{"intent": "a", "amount": 5}', '{"intent": "b", "amount": 5}'
DAY = 86_400.0


def trace(name: str, text: str = RIGHT, at: float = 100.0, **changes: Any) -> Trace:
    return Trace(
        id=name, at=at, workload="triage", version=3, method="grpo", messages=(Message(role="user", content="Hi"),),
        text=text, finish_reason="stop", usage=Usage(input_tokens=5, output_tokens=4), latency_ms=12.5, valid=True,
        **changes,
    )  # fmt: skip


def told(
    name: str, score: float | None = None, corrected: str | None = None, at: float = 200.0, **sender: Any
) -> Feedback:
    return Feedback(trace_id=name, at=at, workload="triage", score=score, corrected=corrected, **sender)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def keep(lake: Lake, *records: Trace | Feedback | Scored) -> None:
    kept = len(list(lake.folder.rglob("*.parquet")))
    lake.store(f"segment-{kept}", [record.model_dump_json() for record in records])


def scores(lake: Lake) -> dict[str, tuple[str, float, bool]]:
    return {each.trace_id: (each.source, round(each.value, 9), each.passed) for each in lake.read(Scored, "triage")}


def run(lake: Lake, since: float = 0.0, until: float = DAY) -> Scoring:
    return score_window(lake, "triage", lambda: SCORER, since, until)


def test_a_corrected_answer_is_the_reference_of_the_workloads_scorers(lake: Lake) -> None:
    keep(lake, trace("right"), trace("half", HALF), trace("broken", "Sorry!"))
    keep(lake, *(told(name, corrected=RIGHT) for name in ("right", "half", "broken")))
    assert run(lake) == Scoring(scorer=3)
    # 0.2 for a valid object and 0.8 shared by two fields
    assert scores(lake) == {
        "right": ("scorer", 1.0, True), "half": ("scorer", 0.6, False), "broken": ("scorer", 0.0, False),
    }  # fmt: skip


def test_without_a_correction_the_score_that_people_gave_counts(lake: Lake) -> None:
    keep(lake, trace("good"), trace("so-so"), trace("bad"), told("good", 1.0), told("so-so", 0.7), told("bad", 0.0))
    assert run(lake) == Scoring(feedback=3)
    assert scores(lake) == {
        "good": ("feedback", 1.0, True), "so-so": ("feedback", 0.7, False), "bad": ("feedback", 0.0, False),
    }  # fmt: skip


def test_of_several_feedbacks_the_latest_counts_and_a_correction_more_than_a_score(lake: Lake) -> None:
    words = [(0.0, None, 150), (None, HALF, 160), (None, RIGHT, 170)]
    keep(lake, *(told("x", score, corrected, at, sender="asker") for score, corrected, at in words))
    keep(lake, trace("x", caller="asker"), trace("y"), told("y", 0.9, at=400), told("y", 0.1, at=300))
    assert run(lake) == Scoring(scorer=1, feedback=1)
    assert scores(lake) == {"x": ("scorer", 1.0, True), "y": ("feedback", 0.9, False)}


def test_an_answer_without_feedback_has_no_score(lake: Lake) -> None:
    keep(lake, trace("silent"))
    assert run(lake) == Scoring(silent=1)
    assert scores(lake) == {}


def test_a_correction_scores_all_answers_to_the_same_request(lake: Lake) -> None:
    keep(lake, trace("x"), trace("x~shadow", HALF, route="shadow", returned=False), told("x", 1.0, RIGHT))
    keep(lake, trace("z"), trace("z~shadow", route="shadow", returned=False), told("z", 0.0))
    assert run(lake) == Scoring(scorer=2, feedback=1, silent=1)
    assert scores(lake) == {
        "x": ("scorer", 1.0, True), "x~shadow": ("scorer", 0.6, False), "z": ("feedback", 0.0, False),
    }  # fmt: skip


def test_a_second_run_adds_nothing(lake: Lake) -> None:
    keep(lake, trace("x"), trace("y"), told("x", corrected=RIGHT), told("y", 0.5))
    run(lake)
    files = {path: path.read_bytes() for path in lake.folder.rglob("*.parquet")}
    assert run(lake) == Scoring(before=2)
    assert {path: path.read_bytes() for path in lake.folder.rglob("*.parquet")} == files


def test_what_people_say_after_a_run_is_scored_by_the_next(lake: Lake) -> None:
    keep(lake, trace("x", HALF), told("x", 1.0))
    assert run(lake) == Scoring(feedback=1)
    keep(lake, told("x", corrected=RIGHT, at=300.0))
    assert run(lake) == Scoring(scorer=1)
    result = [(each.source, each.passed) for each in lake.read(Scored, "triage")]
    assert result == [("feedback", True), ("scorer", False)]


def test_a_score_has_the_time_of_its_feedback_but_not_before_its_trace(lake: Lake) -> None:
    keep(lake, trace("x", at=100.0), told("x", 1.0, at=2 * DAY), trace("y", at=100.0), told("y", 1.0, at=90.0))
    run(lake, since=0.0)
    assert {each.trace_id: each.at for each in lake.read(Scored, "triage")} == {"x": 2 * DAY, "y": 100.0}


def test_only_traces_of_the_window_are_scored(lake: Lake) -> None:
    keep(lake, *(trace(str(at), at=at) for at in (10.0, 20.0, 30.0)))
    keep(lake, *(told(name, 1.0) for name in ("10.0", "20.0", "30.0")))
    assert run(lake, since=15.0, until=30.0) == Scoring(feedback=1)
    assert set(scores(lake)) == {"20.0"}


def test_a_reference_that_the_scorer_cannot_read_is_a_failure_and_not_a_zero(
    lake: Lake, caplog: pytest.LogCaptureFixture
) -> None:
    keep(lake, trace("x"), trace("y"), told("x", corrected="you should know"), told("y", corrected=RIGHT))
    assert run(lake) == Scoring(scorer=1, failed=1)
    assert set(scores(lake)) == {"y"}
    assert "expected a JSON object as reference" in caplog.text and "(example x); it has no score." in caplog.text


class Down:
    """A scorer whose verifier is away."""

    def score(self, example: Example, completion: Completion) -> Score:
        raise ScorerError(f"expected the verifier, found nobody (example {example.id})")


def test_what_a_scorer_could_not_decide_is_scored_when_it_can(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    names = [f"trace-{number}" for number in range(20)]
    keep(lake, *(trace(name) for name in names), *(told(name, corrected=RIGHT) for name in names))
    assert score_window(lake, "triage", Down, 0.0, DAY) == Scoring(failed=20)
    assert caplog.text.count("has no score") == 5  # not each of a million
    assert run(lake) == Scoring(scorer=20)


def test_the_counts_can_be_shown_in_words() -> None:
    assert str(Scoring(scorer=1200, feedback=3, silent=5)) == (
        "1,200 scored against a corrected answer, 3 as people scored them, 0 scored before, 5 without feedback, "
        "0 that the scorer could not decide"
    )


def test_the_answer_is_the_traces_own_text(lake: Lake) -> None:
    text = json.dumps({"amount": 5.0, "intent": "a"})
    keep(lake, trace("x", text), told("x", corrected=RIGHT))
    run(lake)
    assert scores(lake) == {"x": ("scorer", 1.0, True)}


def test_contradicting_corrections_and_feedback_of_others_score_nothing(lake: Lake) -> None:
    keep(lake, trace("x"), told("x", corrected=HALF), told("x", corrected=RIGHT))
    keep(lake, trace("y", caller="asker"), told("y", 1.0, RIGHT, sender="another"), told("y", 1.0))
    assert run(lake) == Scoring(silent=1, conflicts=1, refused=2)
    assert scores(lake) == {}
    assert "1 with corrections that contradict each other (gradus review)" in str(run(lake))


def test_a_reviewers_later_feedback_is_scored_again_and_stands(lake: Lake) -> None:
    keep(lake, trace("x", HALF, caller="asker"), told("x", corrected=HALF, sender="asker"))
    assert run(lake) == Scoring(scorer=1)
    keep(lake, told("x", corrected=RIGHT, at=150.0, sender="r", reviewer=True))
    assert run(lake) == Scoring(scorer=1)
    assert run(lake) == Scoring(before=1)
    best = best_scores(lake.read(Scored, "triage"))["x"]
    assert (best.passed, best.sender, best.reviewer) == (False, "r", True)


def test_a_turn_of_a_conversation_with_tools_is_worth_what_people_say_and_is_never_compared_with_a_correction(
    lake: Lake,
) -> None:
    tool = Tool(name="look", parameters={"type": "object"})
    keep(lake, trace("a", tools=(tool,)), trace("b", tools=(tool,)), trace("c", tools=(tool,)))
    keep(lake, told("a", 0.5, RIGHT), told("b", None, RIGHT), told("c", 1.0))
    counts = score_window(lake, "triage", lambda: SCORER, 0, DAY)
    assert (counts.feedback, counts.scorer, counts.silent, counts.failed) == (2, 0, 1, 0)
    assert scores(lake) == {"a": ("feedback", 0.5, False), "c": ("feedback", 1.0, True)}


class Counted:
    """A scorer that finds all answers right, in batches, and stops with an error after one."""

    def __init__(self, calls: list[int], most: int) -> None:
        self.calls, self.most = calls, most

    def score(self, example: Example, completion: Completion) -> Score:
        return self.score_many([(example, completion)])[0]

    def score_many(self, pairs: Sequence[Pair]) -> list[Score]:
        if len(self.calls) == self.most:
            raise KeyboardInterrupt
        self.calls.append(len(pairs))
        return [Score(value=1, passed=True) for _ in pairs]


def test_answers_are_compared_in_batches_and_what_is_scored_is_kept_if_it_is_stopped(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "BATCH", 8)
    names = [f"t{number}" for number in range(20)]
    keep(lake, *(trace(name) for name in names), *(told(name, corrected=RIGHT) for name in names))
    calls, made = list[int](), list[Counted]()

    def make() -> Counted:
        made.append(Counted(calls, most=len(calls) + 1 if not made else 9))
        return made[-1]

    with pytest.raises(KeyboardInterrupt):
        score_window(lake, "triage", make, 0.0, DAY)
    assert len(scores(lake)) == 8
    assert score_window(lake, "triage", make, 0.0, DAY) == Scoring(scorer=12, before=8)
    assert calls == [8, 8, 4] and len(made) == 2
    assert set(scores(lake)) == set(names)


def test_a_word_that_its_sender_changes_is_scored_again_and_the_latest_counts(lake: Lake) -> None:
    keep(lake, trace("thumb", caller="asker"), told("thumb", 1.0, sender="asker", at=150))
    keep(lake, trace("fixed"), told("fixed", corrected=HALF, sender="r", reviewer=True, at=150))
    assert run(lake) == Scoring(feedback=1, scorer=1)
    keep(lake, told("thumb", 0.0, sender="asker", at=160))
    keep(lake, told("fixed", corrected=RIGHT, sender="r", reviewer=True, at=160))
    assert run(lake) == Scoring(feedback=1, scorer=1)
    assert run(lake) == Scoring(before=2)
    best = best_scores(lake.read(Scored, "triage"))
    assert (best["thumb"].value, best["fixed"].passed) == (0.0, True)
    keep(lake, trace("late"), told("late", 1.0, sender="r", reviewer=True, at=150))
    run(lake)
    keep(lake, told("late", corrected=HALF, sender="r", reviewer=True, at=160))
    run(lake)
    assert not best_scores(lake.read(Scored, "triage"))["late"].passed


def test_other_answers_to_a_request_are_compared_with_the_one_that_was_confirmed(lake: Lake) -> None:
    keep(lake, trace("x", RIGHT, route="fallback"), told("x", 1.0))
    keep(lake, trace("x~canary", HALF, route="canary", returned=False))
    assert run(lake) == Scoring(feedback=1, scorer=1)
    assert scores(lake) == {"x": ("feedback", 1.0, True), "x~canary": ("scorer", 0.6, False)}
