"""Quality against what was spent: which rungs are on the line, what they took, and a picture of all of them."""

import itertools
import re
from xml.etree import ElementTree

import pytest

from components.records import Ladder
from components.report.frontier import frontier, points, seconds_of, summary


@pytest.fixture
def chained(ladder: Ladder) -> Ladder:
    """The last rung started from the one before it."""
    *others, last = ladder.rungs
    return ladder.model_copy(update={"rungs": (*others, last.model_copy(update={"starts_from": "sft"}))})


def test_a_rungs_time_includes_that_of_what_it_started_from(chained: Ladder) -> None:
    spent = seconds_of(chained)
    assert (spent["classical"], spent["sft"], spent["grpo"]) == (6.2, 171.0, 246.0 + 171.0)


def test_the_frontier_holds_the_rungs_that_nothing_as_cheap_beats(chained: Ladder) -> None:
    plotted = points(chained, seconds_of(chained))
    assert [(point.name, point.best) for point in plotted] == [
        ("classical", True),  # 41.2 % after 6 s
        ("schema", False),  # 33.8 % after 38 s
        ("loose", False),
        ("schema_definitions", True),
        ("sft", True),
        ("grpo", True),
    ]


def test_of_two_rungs_that_took_the_same_time_the_better_is_on_the_frontier(chained: Ladder) -> None:
    plotted = points(chained, dict.fromkeys((rung.name for rung in chained.rungs), 1.0))
    assert [point.name for point in plotted if point.best] == ["grpo"]


def test_the_picture_has_every_rung_twice_with_its_interval_and_is_xml(chained: Ladder) -> None:
    usd = {"classical": 0.0, "sft": 0.004, "grpo": 0.01}
    picture = frontier(chained, usd)
    root = ElementTree.fromstring(picture)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    for rung in chained.rungs:
        assert texts.count(rung.name) == 2
    circles = [(float(circle.get("cx", "")), float(circle.get("cy", ""))) for circle in
               root.iter("{http://www.w3.org/2000/svg}circle")]  # fmt: skip
    assert len(circles) == 12
    assert all(0 <= x <= 720 and 0 <= y <= 300 for x, y in circles)
    assert len(re.findall("<polyline", picture)) == 2


def test_names_of_rungs_that_cost_and_answer_alike_do_not_cover_each_other(chained: Ladder) -> None:
    alike = [
        rung.model_copy(update={"seconds": 40.0, "accuracy": chained.rungs[0].accuracy, "starts_from": None})
        for rung in chained.rungs
    ]
    root = ElementTree.fromstring(frontier(chained.model_copy(update={"rungs": tuple(alike)}), {}))
    names = [rung.name for rung in alike]
    texts = [text for text in root.iter("{http://www.w3.org/2000/svg}text") if text.text in names]
    heights = sorted(float(text.get("y", "")) for text in texts[: len(names)])
    assert all(above - below > 12.9 for below, above in itertools.pairwise(heights))


def test_a_name_stands_beside_its_own_point_where_others_are_at_the_same_height(chained: Ladder) -> None:
    none_right = chained.rungs[0].accuracy.model_copy(update={"value": 0.0})
    alike = [rung.model_copy(update={"accuracy": none_right}) for rung in chained.rungs]
    spent = {rung.name: 1e-6 * 2**at for at, rung in enumerate(alike)}
    root = ElementTree.fromstring(frontier(chained.model_copy(update={"rungs": tuple(alike)}), spent))
    texts = {text.text: text for text in root.iter("{http://www.w3.org/2000/svg}text")}  # of the second panel
    circles = [float(circle.get("cx", "")) for circle in root.iter("{http://www.w3.org/2000/svg}circle")]
    for rung, x in zip(alike, circles[len(alike) :], strict=True):
        assert abs(float(texts[rung.name].get("x", "")) - x) == pytest.approx(7, abs=0.2), rung.name


@pytest.mark.parametrize("value", [0.0, 0.004, 0.5, 0.92, 0.976, 1.0])
@pytest.mark.parametrize("seconds", [1.0, 3000.0])
def test_names_cover_no_point_and_stay_within_the_panel(chained: Ladder, value: float, seconds: float) -> None:
    accuracy = chained.rungs[0].accuracy.model_copy(update={"value": value})
    near = [
        rung.model_copy(update={"seconds": seconds * 1.1**at, "starts_from": None, "accuracy": accuracy})
        for at, rung in enumerate(chained.rungs)
    ]
    root = ElementTree.fromstring(frontier(chained.model_copy(update={"rungs": tuple(near)}), {}))
    names = {rung.name for rung in near}
    texts = [text for text in root.iter("{http://www.w3.org/2000/svg}text") if text.text in names]
    circles = [(float(circle.get("cx", "")), float(circle.get("cy", ""))) for circle in
               root.iter("{http://www.w3.org/2000/svg}circle")]  # fmt: skip
    for text in texts:
        end, baseline, width = float(text.get("x", "")), float(text.get("y", "")), 6.5 * len(text.text or "")
        left = end - width if text.get("text-anchor") == "end" else end
        assert 30 < baseline < 258, text.text
        assert 0 < left < left + width < 720, text.text
        assert not any(left < x < left + width and baseline - 10 < y < baseline for x, y in circles), text.text


def test_times_stand_at_seconds_minutes_and_hours(chained: Ladder) -> None:
    texts = [
        text.text for text in ElementTree.fromstring(frontier(chained, {})).iter("{http://www.w3.org/2000/svg}text")
    ]
    assert [text for text in texts if text in {"1 s", "10 s", "1 min", "1.67 min", "10 min"}] == [
        "1 s", "10 s", "1 min", "10 min",
    ]  # fmt: skip


def test_a_name_is_escaped(chained: Ladder) -> None:
    odd = chained.rungs[0].model_copy(update={"name": "a<b>&c"})
    picture = frontier(chained.model_copy(update={"rungs": (odd, *chained.rungs[1:])}), {})
    assert "a<b>" not in picture
    ElementTree.fromstring(picture)


def test_rungs_that_took_no_time_are_drawn_too(chained: Ladder) -> None:
    free = [rung.model_copy(update={"seconds": 0.0}) for rung in chained.rungs]
    ElementTree.fromstring(frontier(chained.model_copy(update={"rungs": tuple(free)}), {}))


def test_the_frontier_is_described_in_words(chained: Ladder) -> None:
    said = summary(points(chained, seconds_of(chained)))
    assert said.startswith("The Pareto line: classical 41.2% after 6.2 s, ")
    assert said.endswith("grpo 96.4% after 6.95 min.")
