"""The table for the terminal."""

from io import StringIO

from rich.console import Console

from components.records import Ladder
from components.report import table


def shown(ladder: Ladder, width: int = 140) -> str:
    screen = StringIO()
    Console(width=width, file=screen, color_system=None).print(table(ladder))
    return screen.getvalue()


def test_every_rung_has_a_row_and_the_champion_a_star(ladder: Ladder) -> None:
    lines = shown(ladder).splitlines()
    rows = {line.split()[1]: line for line in lines if line.startswith("│")}
    assert list(rows) == [rung.name for rung in ladder.rungs]
    assert [name for name, line in rows.items() if "★" in line] == ["grpo"]
    for expected in ("96.4%", "95.1–97.4", "99.9%", "+6.1 (p < 0.001)", "71/10", "$5.67"):
        assert expected in rows["grpo"]
    assert "≈ $1,868" in rows["schema_definitions"] and "≈" not in rows["sft"]


def test_the_table_says_what_is_simulated_and_what_is_priced(ladder: Ladder) -> None:
    text = shown(ladder)
    assert "triage on nano (simulated)" in text
    assert "1,000 test examples; ★ champion; ≈ priced from tokens, not measured" in text


def test_markup_in_a_name_is_text(ladder: Ladder) -> None:
    named = ladder.rungs[0].model_copy(update={"name": "[red]a[/red]"})
    assert "[red]a[/red]" in shown(ladder.model_copy(update={"rungs": (named, *ladder.rungs[1:])}))


def test_answers_that_the_scorer_could_not_decide_are_reported(ladder: Ladder) -> None:
    undecided = ladder.rungs[0].model_copy(update={"scorer_errors": 7})
    text = " ".join(shown(ladder.model_copy(update={"rungs": (undecided, *ladder.rungs[1:])})).split())
    assert f"{undecided.name}: the scorer could not decide on 7 answers, which are left out" in text
    assert "could not decide" not in shown(ladder)
