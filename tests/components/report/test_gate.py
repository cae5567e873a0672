"""The gate's section: every comparison of the climb, what is lacking, and the slices as a picture."""

from pathlib import Path

import pytest

from components.records import Comparison, GateNumbers, Interval, Ladder, SliceComparison, Verdict
from components.report import Evidence, render
from components.report.gate import LEFT, MOST_SLICES, RIGHT, WIDTH, slice_picture
from tests.components.report.test_page import read


def sliced(name: str, delta: float) -> SliceComparison:
    return SliceComparison(
        name=name, n=120, delta=delta, low=delta - 0.05, high=delta + 0.05, p_value=0.5, fixed=3, broken=2
    )


def verdict(*slices: SliceComparison, **more: object) -> Verdict:
    versus = Comparison(delta=0.012, low=-0.004, high=0.028, p_value=0.16, fixed=30, broken=18)
    level = Interval(value=0.91, low=0.89, high=0.93)
    numbers = GateNumbers(
        n=1000, validity=1.0, level=level, champion_level=0.898, versus=versus, p_value=0.16, slices=slices
    )
    return Verdict.model_validate(
        {"champion": "sft", "challenger": "grpo", "decision": "kept", "reasons": ("why",), "numbers": numbers,
         "alpha": 0.0167, "look": 3, **more}
    )  # fmt: skip


def test_every_comparison_is_shown_with_its_level_and_what_it_lacks(ladder: Ladder, tmp_path: Path) -> None:
    first = verdict(challenger="sft", champion="none", decision="promoted", alpha=None)
    assert first.numbers is not None
    alone = first.model_copy(update={"numbers": first.numbers.model_copy(update={"versus": None})})
    last = verdict(sliced("channel=chat", -0.1), undecided=True, more_examples=1234)
    decided = ladder.model_copy(update={"gate": last, "climb": (alone, last)})
    page = read(render(decided, Evidence(calls_per_year=1_000), tmp_path / "report.html"))
    expected = (
        "1,234 more sealed examples are asked for", "look 3 at it", "30 / 18", "p = 0.160", "0.0167",
        "undecided, 1,234 more asked for", "grpo against sft, slice by slice", "channel=chat",
    )  # fmt: skip
    assert [text for text in expected if text not in page.text] == []
    refused = verdict(undecided=False)
    assert refused.numbers is not None
    broken = refused.model_copy(update={"numbers": refused.numbers.model_copy(update={"failed_cases": ("smoke",)})})
    page = read(render(ladder.model_copy(update={"climb": (broken,)}), Evidence(calls_per_year=1), tmp_path / "b.html"))
    assert "fails smoke" in page.text and "slice by slice" not in page.text


def test_the_worst_slices_are_drawn_first_on_an_axis_that_includes_zero() -> None:
    drawn = slice_picture([verdict(sliced("a=good", 0.2), sliced("a=bad", -0.1), sliced("a=same", 0.0))])
    assert drawn is not None
    assert [mark.name for mark in drawn.marks] == ["a=bad", "a=same", "a=good"]
    assert [mark.worse for mark in drawn.marks] == [True, False, False]
    assert drawn.marks[1].at == pytest.approx(drawn.zero)
    for mark in drawn.marks:
        assert LEFT <= mark.low < mark.at < mark.high <= WIDTH - RIGHT


def test_of_many_slices_the_worst_are_drawn_and_the_others_counted() -> None:
    drawn = slice_picture([verdict(*(sliced(f"a={at}", at / 100) for at in range(30)))])
    assert drawn is not None and (len(drawn.marks), drawn.hidden) == (MOST_SLICES, 30 - MOST_SLICES)
    assert slice_picture([verdict()]) is None
