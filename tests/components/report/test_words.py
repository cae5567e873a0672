"""The outcome in words, and numbers as people read them."""

from io import StringIO

import pytest
from rich.console import Console

from components.records import Comparison, Ladder, RungResult, Verdict
from components.report import drawing, markdown, table, words


def changed(ladder: Ladder, name: str, accuracy: float) -> Ladder:
    """The ladder with another accuracy of one rung."""
    rungs: list[RungResult] = []
    for rung in ladder.rungs:
        moved = rung.accuracy.model_copy(update={"value": accuracy})
        rungs.append(rung.model_copy(update={"accuracy": moved}) if rung.name == name else rung)
    return ladder.model_copy(update={"rungs": tuple(rungs), "gate": None})


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (1867.6, "$1,868"), (5.666, "$5.67"), (0.5416, "$0.542"), (0.00000113, "$0.00000113"), (0.0, "$0.00"),
        (100.0, "$100"), (99.99, "$99.99"), (99.999, "$100"), (0.9999, "$1.00"),
    ],
)  # fmt: skip
def test_dollars_keep_the_digits_that_matter(amount: float, text: str) -> None:
    assert words.usd(amount) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.42, "0.4 s"),
        (38, "38 s"),
        (171, "2 min 51 s"),
        (119.7, "2 min 0 s"),
        (7_260, "2 h 1 min"),
        (7_199, "2 h 0 min"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def test_shares_differences_and_p_values_have_their_signs_and_units() -> None:
    assert words.percent(0.9641) == "96.4%"
    assert (words.points(0.061), words.points(-0.02)) == ("+6.1", "−2.0")
    assert (words.p_value(0.0004), words.p_value(0.0312)) == ("p < 0.001", "p = 0.031")
    assert (words.relative(100, 20), words.relative(100, 0.3), words.relative(100, 150)) == ("−80%", "−99.7%", "+50%")
    assert (words.milliseconds(0.41), words.milliseconds(95), words.milliseconds(1234)) == ("0.4 ms", "95 ms", "1.23 s")


def test_the_verdict_says_what_was_gained_over_what_and_at_which_cost(ladder: Ladder) -> None:
    assert words.headline(ladder) == "grpo answers 96.4% of cases exactly right."
    said = words.verdict(ladder, 5_000_000, "gpt-4.1-mini")
    assert "grpo is 6.1 points above its parent sft (p < 0.001): 71 answers fixed, 10 broken." in said
    assert "right in 90.9%, so it is 5.5 points better than its teachers" in said
    assert "TF-IDF with a linear model, the honest floor, reaches 41.2%: 55.2 points less." in said
    # 5,000,000 calls x (742 x $0.4 + 48 x $1.6) / 1,000,000 tokens = $1,868; the owned model $5.67, which is 0.3 %.
    assert "A year of 5,000,000 calls costs $5.67, against $1,868 for the best prompt, schema_definitions on" in said
    assert "gpt-4.1-mini, priced from its tokens and not measured: 99.7% less." in said
    assert said.endswith("The gate promoted grpo.")


def test_a_classical_rung_that_wins_is_said_to_win(ladder: Ladder) -> None:
    won = changed(ladder, "classical", 0.97)
    assert words.headline(won) == "The classical rung wins, right in 97.0% of cases."
    assert "no language model is needed" in words.verdict(won, 1_000)


def test_a_champion_below_the_classical_rung_is_not_praised(ladder: Ladder) -> None:
    below = changed(ladder, "classical", 0.97).model_copy(update={"gate": ladder.gate})
    assert words.winner(below).name == "grpo"
    assert "no worse than grpo: prefer it" in words.verdict(below, 1_000)


def test_a_kept_champion_is_the_winner(ladder: Ladder) -> None:
    kept = ladder.model_copy(
        update={"gate": Verdict(champion="sft", challenger="grpo", decision="kept", reasons=("p = 0.4",))}
    )
    assert words.winner(kept).name == "sft"
    assert words.verdict(kept, 1_000).endswith("The gate kept sft: grpo did not pass.")


def test_a_refused_first_challenger_leaves_no_champion(ladder: Ladder) -> None:
    refused = ladder.model_copy(
        update={"gate": Verdict(champion="none", challenger="grpo", decision="kept", reasons=("too few",))}
    )
    assert words.verdict(refused, 1_000).endswith("The gate refused grpo, and there is no champion.")
    assert words.champion(refused) is None and words.standing(refused) == "nobody"
    assert words.headline(refused).startswith("Nobody stands after the gate; grpo, the best rung, answers ")
    version = refused.model_copy(update={"version": 3})
    assert words.verdict(version, 1_000).endswith("The gate refused grpo, and version 3 stays champion.")
    assert words.standing(version) == "version 3"


def test_where_a_registered_version_stands_no_rung_is_called_the_champion(ladder: Ladder) -> None:
    verdict = Verdict(champion="version 3 (grpo)", challenger="grpo", decision="kept", reasons=("p = 0.4",))
    kept = ladder.model_copy(update={"gate": verdict, "version": 3})
    assert words.champion(kept) is None and words.winner(kept).name == "grpo"
    assert words.standing(kept) == "version 3 (grpo)"
    assert words.headline(kept).startswith("Version 3 (grpo) stands after the gate; grpo, the best rung, answers ")
    console = Console(width=200, record=True, file=StringIO())
    console.print(table(kept))
    assert "version 3 (grpo) stands" in (text := console.export_text()) and "★" not in text
    assert "version 3 (grpo) stands" in (text := markdown(kept, 1_000)) and "★" not in text
    assert "#0a7d4f" not in drawing(kept) and "#0a7d4f" in drawing(ladder)


def test_a_gain_that_may_be_chance_is_called_so(ladder: Ladder) -> None:
    versus = Comparison(delta=0.004, low=-0.01, high=0.02, p_value=0.62, fixed=20, broken=16)
    last = ladder.rungs[-1].model_copy(update={"vs_parent": versus})
    unsure = ladder.model_copy(update={"rungs": (*ladder.rungs[:-1], last)})
    assert "0.4 points above its parent sft (p = 0.620, which may be chance)" in words.verdict(unsure, 1_000)


def test_without_a_gate_the_simplest_of_the_most_accurate_rungs_wins(ladder: Ladder) -> None:
    assert words.winner(changed(ladder, "sft", 0.964)).name == "sft"
    assert "No gate has decided yet." in words.verdict(changed(ladder, "sft", 0.964), 1_000)


def test_the_best_prompt_is_the_one_that_dev_chose_and_not_the_one_that_test_would(ladder: Ladder) -> None:
    luckier = changed(ladder, "loose", 0.99)
    best = words.best_prompt(luckier)
    assert best is not None
    assert best.name == "schema_definitions"
    untrained = luckier.model_copy(
        update={"rungs": tuple(r for r in luckier.rungs if r.method in ("classical", "prompt"))}
    )
    best = words.best_prompt(untrained)
    assert best is not None
    assert best.name == "loose"
