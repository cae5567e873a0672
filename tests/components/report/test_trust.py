"""What the page says of trust, in each of its states."""

from pathlib import Path
from typing import Any

import pytest

from components.evaluation.agreement import Share
from components.evaluation.certificate import Certificate, Exploit
from components.evaluation.label_audit import Audit, Suspect
from components.records import DivergedAnswer, Divergence, Ladder, RewardWatch
from components.report import Evidence, Trust, render
from tests.components.report.test_page import EVIL, Page, read


def share(value: float) -> Share:
    return Share(value=value, low=max(0.0, value - 0.02), high=min(1.0, value + 0.02), n=300)


def certificate(**changes: Any) -> Certificate:
    fields: dict[str, Any] = {
        "workload": "triage", "source": "built", "origins": {}, "false_positive": share(0.03),
        "false_negative": share(0.0), "kappa": 0.97, "alpha": 0.97, "people_alpha": None, "repeatable": share(1.0),
        "indifferent": {"key_order": share(1.0)}, "sensitive": {"intent": share(0.99)},
        "exploits": {"empty": Exploit(value=0.0, passed=share(0.0), answer="")}, "scored": 900, "failed": 0,
    }  # fmt: skip
    return Certificate(**{**fields, **changes})


HACKED = Divergence(
    step=12, best_step=3, reward=(0.9, 0.98), sealed=(0.88, 0.2), p_value=0.0001, limit=0.005,
    examples=(DivergedAnswer(example_id="E7", before="was", after=EVIL, reward=(0.8, 1.0), sealed=(1.0, 0.0)),),
)  # fmt: skip
SUSPECT = Suspect(
    example_id="E9", field="intent", value='"refund"', suggested=EVIL, probability=0.93, reason="", text="x"
)
AUDIT = Audit(
    demonstrations=8000, suspects=900, expected_wrong=720.4, ceiling=0.91, fields={}, unseen=("note",),
)  # fmt: skip


@pytest.fixture
def shown(ladder: Ladder, evidence: Evidence, tmp_path: Path) -> Any:
    def page(trust: Trust | None) -> Page:
        return read(render(ladder, evidence.model_copy(update={"trust": trust}), tmp_path / "page.html"))

    return page


def test_a_sound_scorer_without_a_watch_is_called_both(shown: Any) -> None:
    text = shown(Trust(certificate=certificate(), rl=True)).text
    assert "Above the floor" in text
    assert "RL was not watched: the workload names no sealed_scorer" in text
    assert "lower score with intent wrong 99.0%" in text


def test_a_sealed_scorer_that_saw_nothing_is_not_called_missing(shown: Any) -> None:
    text = shown(Trust(certificate=certificate(), rl=True, sealed_scorer=True)).text
    assert "RL was not watched." in text
    assert "sealed_scorer" not in text


@pytest.mark.parametrize("override", [None, "We look"])
def test_nothing_is_said_of_rl_where_there_was_none(shown: Any, override: str | None) -> None:
    below = certificate(reasons=("wrong answers that pass: 0.3",), override=override)
    for trust in (Trust(certificate=certificate()), Trust(certificate=below), Trust(audit=AUDIT)):
        text = shown(trust).text
        section = text[text.index("Can the reward and the labels be trusted?") :].partition("Prices")[0]
        assert "hacked" not in section and "RL " not in section


def test_a_scorer_below_the_floor_shows_its_reasons_and_who_answers_for_it(shown: Any) -> None:
    reasons = ("wrong answers that pass: 0.3, at most 0.05 allowed",)
    refused = shown(Trust(certificate=certificate(reasons=reasons))).text
    assert "no rung may be rewarded by this scorer" in refused
    assert reasons[0] in refused
    assert "the climb went on because: “We look” " in shown(
        Trust(certificate=certificate(reasons=reasons, override="We look"))
    ).text.replace("”", "” ")


def test_hacking_is_shown_with_both_scores_and_escaped_answers(shown: Any) -> None:
    watch = RewardWatch(looks=3, examples=200, stopped=HACKED)
    page = shown(Trust(certificate=certificate(), watch=watch))
    assert "rose from 0.900 to 0.980 on dev while the sealed score fell from 0.880 to 0.200" in page.text
    assert "The weights of step 3 were kept" in page.text
    assert not page.named("script")
    assert "No: at 3 looks" in shown(Trust(certificate=certificate(), watch=RewardWatch(looks=3, examples=200))).text


def test_the_audit_says_how_many_and_what_follows(shown: Any) -> None:
    page = shown(Trust(certificate=certificate(), audit=AUDIT, suspects=(SUSPECT,)))
    assert "900 of 8,000, of which 720 are expected to be wrong: perfect imitation would be right in about 91.0%" in (
        page.text
    )
    assert "Not judged: note." in page.text
    assert not page.named("img")


def test_without_records_there_is_no_section(shown: Any) -> None:
    assert "Can the reward and the labels be trusted?" not in shown(None).text
