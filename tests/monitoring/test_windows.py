"""Which answers a window has, how labels score it, and what is usual at its hours."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from components.params import LabellingParams, WatchParams
from components.records import Feedback, Message, Record, Scored, Trace, Usage
from monitoring.labelling import is_drawn
from monitoring.lake import Lake
from monitoring.sides import side
from monitoring.windows import HOUR_S, WEEK_S, Stream, current_window, usual_window

NOW = 40 * WEEK_S
ALL = LabellingParams(share=1.0, complete=0.9)
WATCH = WatchParams(min_rows=30, window_rows=50, weeks=2)  # so that a week counts from 15 rows on


def trace(name: str, at: float, **settings: object) -> Trace:
    return Trace.model_validate({
        "id": name, "at": at, "workload": "shop", "version": 1, "method": "sft", "input": {"message": name},
        "messages": (Message(role="user", content=name),), "text": "{}", "finish_reason": "stop",
        "usage": Usage(input_tokens=1, output_tokens=1), "latency_ms": 1.0, "valid": True, "customer": f"c{name}",
        **settings,
    })  # fmt: skip


def label(name: str, at: float, *, right: bool, reviewer: bool = True) -> Scored:
    return Scored(
        trace_id=name, at=at, workload="shop", source="scorer", value=float(right), passed=right, reviewer=reviewer
    )


def stream(folder: Path, *records: Record, labelling: LabellingParams = ALL) -> Stream:
    lake = Lake(folder)
    lake.store("1", [record.model_dump_json() for record in records])
    return Stream(lake, "shop", 1, labelling, lake.first_answer("shop", 1))


def test_quality_is_measured_only_by_reviewers_labels_on_the_labelling_sample(tmp_path: Path) -> None:
    names = [str(at) for at in range(200)]
    half = LabellingParams(share=0.5)
    labels = [label(name, NOW, right=is_drawn(name, 0.5)) for name in names]  # those that were not drawn: all wrong
    reported = stream(tmp_path / "a", *(trace(name, NOW) for name in names), *labels, labelling=half)
    result = current_window(reported, (NOW - 1, NOW + 1), 1000).observations
    assert {each.score for each in result} == {1.0, None}
    assert {is_drawn(each.input["message"], 0.5) for each in result if each.score is not None} == {True}
    others = [label(name, NOW, right=False, reviewer=False) for name in names]
    reported = stream(tmp_path / "b", *(trace(name, NOW) for name in names), *others, labelling=half)
    assert {observation.score for observation in current_window(reported, (NOW - 1, NOW + 1), 1000).observations} == {
        None
    }


def test_a_window_of_many_answers_is_a_random_part_of_all_its_hours(tmp_path: Path) -> None:
    reported = stream(
        tmp_path, *(trace(f"a{at}", NOW + at) for at in range(1000)), labelling=LabellingParams(share=0.2)
    )
    aside = {f"a{at}" for at in range(1000) if is_drawn(f"a{at}", 0.2)}
    for most in (100, 300):  # fewer than are drawn for labelling, and more
        rows = current_window(reported, (NOW, NOW + 1000), most).observations
        times = [row.at - NOW for row in rows]
        assert len(times) == most and times == sorted(times)
        late = sum(at >= 500 for at in times) / most
        assert 0.35 < late < 0.65  # three standard errors of a hundred
        assert len(aside & {row.input["message"] for row in rows}) == min(most, len(aside))


def test_quality_waits_while_too_many_drawn_answers_have_no_label(tmp_path: Path) -> None:
    answers = [trace(str(at), NOW + at) for at in range(20)]
    few = [label(str(at), NOW + at, right=True) for at in range(20) if at not in (2, 3, 4)]
    result = current_window(stream(tmp_path, *answers, *few), (NOW, NOW + 99), 1000)
    assert result.unlabelled == 3 and all(observation.score is None for observation in result.observations)


def test_a_failure_is_an_answer_that_is_not_right_and_needs_no_label(tmp_path: Path) -> None:
    failed = [trace(str(at), NOW + at, finish_reason="error", valid=False, text="no answer") for at in range(9)]
    reported = stream(tmp_path, *failed, trace("9", NOW + 9), label("9", NOW + 9, right=True))
    result = side(reported, (NOW, NOW + 99))
    assert sorted(result.right) == [*((f"c{at}", False) for at in range(9)), ("c9", True)]
    assert (result.drawn, sum(good for _, good in result.valid)) == (10, 1)
    assert {observation.text for observation in current_window(reported, (NOW, NOW + 99), 99).observations} == {
        "",
        "{}",
    }


def test_where_requests_are_drawn_for_a_canary_customers_are_strangers(tmp_path: Path) -> None:
    reported = stream(
        tmp_path, trace("a", NOW, customer="c"), label("a", NOW, right=True), trace("b", NOW, customer="c")
    )
    named = side(reported, (NOW, NOW + 1))
    assert (named.valid, named.right) == ([("c", True)] * 2, [("c", True)])
    unnamed = side(reported, (NOW, NOW + 1), strangers=True)
    assert (unnamed.valid, unnamed.right) == ([("", True)] * 2, [("", True)])


DAY = NOW - 24 * HOUR_S, NOW


def usual_weeks(reported: Stream, params: WatchParams = WATCH) -> list[str]:
    """What the usual answers' names begin with, once each, in order."""
    return list(dict.fromkeys(each.input["message"].split()[0] for each in usual_window(reported, DAY, params)))


def test_what_is_usual_comes_from_the_same_hours_of_the_first_weeks_however_long_ago(tmp_path: Path) -> None:
    rows = [trace(f"{back}-{hour} {at}", NOW - back * WEEK_S - hour * HOUR_S + at)
            for back in range(31) for hour in (1, 30, 100) for at in range(15)]  # fmt: skip
    reported = stream(tmp_path, *rows)
    assert usual_weeks(reported) == ["30-1", "29-1"]
    assert len(usual_window(reported, DAY, WATCH)) == 30
    assert usual_weeks(reported, WATCH.model_copy(update={"weeks": 0})) == []
    other = Stream(reported.lake, "shop", 2, began=reported.lake.first_answer("shop", 2))
    assert usual_weeks(other) == []


@pytest.mark.parametrize(("hours", "usual"), [(24, 4 * 24), (168, 4 * 168), (169, 169), (336, 336)])
def test_no_answer_is_usual_twice_or_in_the_window_too_however_long_that_is(
    tmp_path: Path, hours: int, usual: int
) -> None:
    rows = [trace(str(at), NOW - at * HOUR_S) for at in range(1, 5 * 168 + 1)]
    reported = stream(tmp_path, *rows, labelling=LabellingParams())
    params = WatchParams(min_rows=30, window_rows=1000, weeks=8)
    times = [each.at for each in usual_window(reported, (NOW - hours * HOUR_S, NOW), params)]
    assert len(times) == len(set(times)) == usual
    assert max(times) < NOW - hours * HOUR_S


@pytest.mark.parametrize(
    ("began", "answers", "weeks"),
    [
        (4 * WEEK_S, {3: 15, 2: 15, 1: 15}, ["3", "2"]),
        (3 * WEEK_S + 23 * HOUR_S, {3: 15, 2: 15, 1: 15}, ["2", "1"]),  # released an hour after the window's first
        (4 * WEEK_S, {3: 14, 2: 15, 1: 15}, ["2", "1"]),
        (4 * WEEK_S, {3: 14, 2: 14, 1: 14}, []),
    ],
)
def test_a_week_counts_if_the_version_answered_all_of_its_hours_and_often_enough(
    tmp_path: Path, began: float, answers: Mapping[int, int], weeks: list[str]
) -> None:
    rows = [trace(f"{back} {at}", NOW - back * WEEK_S - HOUR_S + at)
            for back, many in answers.items() for at in range(many)]  # fmt: skip
    assert usual_weeks(stream(tmp_path, trace("first", NOW - began), *rows)) == weeks


def test_answers_to_callers_own_prompts_take_no_place_in_a_window(tmp_path: Path) -> None:
    own = [trace(f"own {at}", NOW + at, input={}) for at in range(600)]
    reported = stream(tmp_path, *own, *(trace(f"asked {at}", NOW + at) for at in range(80)),
                      labelling=LabellingParams(share=0.0))  # fmt: skip
    for most in (50, 200):
        window = current_window(reported, (NOW, NOW + 600), most)
        assert (len(window.observations), window.total) == (min(most, 80), 80)


def test_an_answer_that_a_second_models_replaced_counts_as_the_version_gave_it(tmp_path: Path) -> None:
    second = trace("a", NOW, version=0, route="fallback", customer="c")
    own = trace("a~canary", NOW, route="canary", returned=False, customer="c")
    shadows = trace("a~shadow", NOW, route="shadow", returned=False, customer="c")
    labels = [label("a", NOW, right=True), label("a~canary", NOW, right=False), label("a~shadow", NOW, right=True)]
    reported = stream(tmp_path, second, own, shadows, trace("b", NOW), *labels, label("b", NOW, right=True))
    result = side(reported, (NOW, NOW + 1))
    assert sorted(result.right) == [("c", False), ("cb", True)]
    assert result.drawn == len(result.valid) == 2


def test_where_a_second_model_answers_a_window_has_what_the_version_was_not_sure_of(tmp_path: Path) -> None:
    sure = [trace(str(at), NOW + at, confidence=0.9) for at in range(60)]
    replaced = [
        each for at in range(60, 100) for each in (
            trace(str(at), NOW + at, version=0, route="fallback"),
            trace(f"{at}~champion", NOW + at, returned=False, valid=False, confidence=0.1),
        )
    ]  # fmt: skip
    for share in (0.0, 0.1):
        reported = stream(tmp_path / str(share), *sure, *replaced, labelling=LabellingParams(share=share))
        window = current_window(reported, (NOW, NOW + 100), 1000)
        assert (len(window.observations), window.total) == (100, 100)
        assert sum(each.confidence == 0.1 and not each.valid for each in window.observations) == 40


def test_an_answer_whose_corrections_contradict_each_other_has_no_label(tmp_path: Path) -> None:
    words = [
        Feedback(trace_id="a", at=NOW, workload="shop", corrected=text, sender=sender, reviewer=True)
        for text, sender in (("{}", "r"), ("[]", "s"))
    ]
    labels = [label("a", NOW, right=True), label("b", NOW, right=True)]
    reported = stream(tmp_path / "own", trace("a", NOW), trace("b", NOW), *labels, *words)
    assert side(reported, (NOW, NOW + 1)).right == [("cb", True)]
    second, own = trace("a", NOW, version=0, route="fallback"), trace("a~canary", NOW, route="canary", returned=False)
    labels = [label("a~canary", NOW, right=True), label("b", NOW, right=True)]
    reported = stream(tmp_path / "replaced", second, own, trace("b", NOW), *labels, *words)
    assert side(reported, (NOW, NOW + 1)).right == [("cb", True)]
