"""How an agent's tries went, on the page and in the terminal; nothing is shown where answers are not tries."""

from pathlib import Path

from components.records import Interval, Ladder, TrialShare, TriesResult
from components.report import Evidence, render
from components.report.markdown import markdown
from components.report.terminal import tries_line

MOSTLY = Interval(value=0.9, low=0.8, high=1)
TRIES = TriesResult(
    tasks=50, tries=200,
    by_k=tuple(
        TrialShare(k=k, tasks=50, every=Interval(value=0.7 / k, low=0.1, high=0.8), some=MOSTLY)
        for k in (1, 2)
    ),
    turns=3.25, calls=1.5, invalid_calls=0.008, tool_errors=0.1, stop_reasons={"completed": 190, "max_turns": 10},
)  # fmt: skip


def acting(ladder: Ladder) -> Ladder:
    """The ladder with tries on its last rung."""
    *before, last = ladder.rungs
    return ladder.model_copy(update={"rungs": (*before, last.model_copy(update={"tries": TRIES}))})


def test_a_line_shows_reliability_calls_and_ends(ladder: Ladder) -> None:
    line = tries_line(acting(ladder).rungs[-1])
    assert line == (
        "grpo: pass^1 70.0%, pass^2 35.0%, pass@2 90.0%; 3.2 turns, 1.5 calls, 0.8% of them invalid; "
        "completed 95.0%, max_turns 5.0%"
    )
    assert tries_line(ladder.rungs[-1]) == ""
    assert line in markdown(acting(ladder), 1000) and "pass^" not in markdown(ladder, 1000)


def test_the_page_has_a_section_of_tries_where_there_are_some(
    ladder: Ladder, evidence: Evidence, tmp_path: Path
) -> None:
    page = render(acting(ladder), evidence, tmp_path / "acting.html").read_text(encoding="utf-8")
    assert "200 tries at 50 tasks" in page and "pass^2" in page and "max turns 5.0%" in page
    assert "The tries" not in render(ladder, evidence, tmp_path / "plain.html").read_text(encoding="utf-8")
