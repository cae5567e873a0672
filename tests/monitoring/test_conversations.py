"""What a watch of conversations compares: a version's own, with its first weeks or with the week before."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from components.params import WatchParams
from components.records import Record, Trajectory
from components.workloads.desk import generate
from monitoring.conversations import heard, sides
from monitoring.lake import Lake
from monitoring.windows import HOUR_S, WEEK_S, Stream
from tests.monitoring.conversed import conversed, praised

NOW = 20 * WEEK_S
DAY = NOW - 24 * HOUR_S, NOW
PARAMS = WatchParams(min_rows=30, window_rows=50)


@cache
def spoken() -> tuple[Trajectory, ...]:
    return tuple(task.demonstration for task in generate(12, 3))


def keep(lake: Lake, segment: str, records: Iterable[Record]) -> None:
    lake.store(segment, [record.model_dump_json() for record in records])


def fill(lake: Lake, name: str, count: int, at: float, version: int = 1) -> None:
    """So many conversations that begin ten seconds after each other."""
    tries = spoken()
    keep(lake, name, (
        turn
        for number in range(count)
        for turn in conversed(tries[number % len(tries)], f"{name}{number}", at + 10 * number, version=version,
                              customer=f"{name}{number}")
    ))  # fmt: skip


def test_a_version_is_compared_with_the_week_before_until_it_has_first_weeks(tmp_path: Path) -> None:
    lake, stream = Lake(tmp_path), Stream(Lake(tmp_path), "desk", 1)
    fill(lake, "now", 40, DAY[0] + 60)
    fill(lake, "before", 35, DAY[0] - 30 * HOUR_S)  # at no hour of a day a week or more before the window
    young = sides(stream, DAY, PARAMS)
    assert (len(young.reference), len(young.window.observations), young.usual) == (35, 40, "before")
    assert young.enough(PARAMS) and young.window.version == 1
    fill(lake, "first", 31, DAY[0] - 5 * WEEK_S + 60)
    old = sides(replace(stream, began=DAY[0] - 5 * WEEK_S), DAY, PARAMS)
    assert (len(old.reference), old.usual) == (31, "weeks")
    assert {talk.traces[0].partition("x")[0] for talk in old.reference} == {f"chatcmpl-first{at}" for at in range(31)}


def test_too_few_before_are_not_compared_with(tmp_path: Path) -> None:
    fill(Lake(tmp_path), "now", 40, DAY[0] + 60)
    fill(Lake(tmp_path), "before", 29, DAY[0] - 30 * HOUR_S)
    assert not sides(Stream(Lake(tmp_path), "desk", 1), DAY, PARAMS).enough(PARAMS)


def test_conversations_of_another_version_are_none_and_of_many_the_same_sample_is_taken(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    fill(lake, "own", 60, DAY[0] + 60)
    fill(lake, "other", 20, DAY[0] + 3600, version=2)
    stream = Stream(lake, "desk", 1)
    first, again = (sides(stream, DAY, PARAMS).window for _ in range(2))
    assert first == again and (len(first.observations), first.total) == (50, 60)
    assert {talk.trajectory.policy_version for talk in first.observations} == {"1"}
    assert [talk.at for talk in first.observations] == sorted(talk.at for talk in first.observations)


@pytest.mark.parametrize(("sender", "reviewer", "value"), [("k", False, 0.5), ("other", False, None), ("r", True, 0.5)])
def test_a_conversation_is_worth_the_last_feedback_of_those_who_may_give_it(
    tmp_path: Path, sender: str, reviewer: bool, value: float | None
) -> None:
    lake = Lake(tmp_path)
    turns = conversed(spoken()[0], "a", 100.0, caller="k")
    keep(lake, "s", [*turns, praised(turns, 0.5, sender=sender, reviewer=reviewer)])
    known = heard(lake, "desk", (0.0, 1000.0))
    (talk,) = known.conversations
    word = known.word(talk)
    assert talk.trajectory.reward == value and (None if word is None else word.value) == value
    assert word is None or (word.sender, word.reviewer) == (sender, reviewer)
