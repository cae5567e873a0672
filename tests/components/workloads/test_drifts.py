"""Drifted tickets: seeded, gold by the same rules, and different in what their drift says and in nothing else."""

import hashlib
import html
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from components.workloads.triage import DRIFTS, PHRASINGS, Ticket, drifted, generate
from components.workloads.triage.drift_wording import APP_SIGNALS, APP_STATEMENTS, APP_WISHES, LAUNCHED
from components.workloads.triage.phrases import SIGNALS, SURFACES, WISHES
from components.workloads.triage.rules import INTENTS, PRODUCTS
from components.workloads.triage.wording import STATEMENTS

ROOT = Path(__file__).resolve().parents[3]
SEED = 3
N = 2000
# Of the tickets that the shipped figures were measured on: seed 20240501, the first 500.
SHIPPED = "61e23303aada1b4ac4491375c8463ab5151d84d087422fed214153d597d01002"


@pytest.fixture(scope="module")
def tickets() -> dict[str, list[Ticket]]:
    return {drift: list(drifted(N, SEED, drift)) for drift in DRIFTS}


def share(tickets: list[Ticket], field: str, label: str) -> float:
    return sum(ticket.gold[field] == label for ticket in tickets) / len(tickets)


def test_the_usual_tickets_are_those_that_the_shipped_figures_were_measured_on() -> None:
    lines = (repr(ticket) for ticket in generate(500, 20240501))
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == SHIPPED


def test_without_a_drift_the_tickets_are_the_usual_ones(tickets: dict[str, list[Ticket]]) -> None:
    assert tickets["none"] == list(generate(N, SEED))


@pytest.mark.parametrize("drift", DRIFTS)
def test_a_ticket_depends_on_its_number_seed_and_drift_alone(drift: str, tickets: dict[str, list[Ticket]]) -> None:
    assert list(drifted(50, SEED, drift)) == tickets[drift][:50]
    assert list(drifted(50, SEED + 1, drift)) != tickets[drift][:50]


@pytest.mark.parametrize("drift", DRIFTS)
def test_gold_is_valid_and_its_ids_stand_in_the_text(drift: str, tickets: dict[str, list[Ticket]]) -> None:
    workload: dict[str, Any] = yaml.safe_load((ROOT / "params/workloads/triage.yaml").read_text(encoding="utf-8"))
    validator = Draft202012Validator(workload["output"])
    for ticket in tickets[drift]:
        assert validator.is_valid(json.loads(json.dumps(ticket.gold))), ticket.gold
        ids = set(re.findall(r"\b[A-Z]{2}-\d{5}\b", ticket.message))
        assert (ticket.gold["order_id"] in ids) == (ticket.gold["order_id"] is not None), ticket.message
        assert "{" not in ticket.message


@pytest.mark.parametrize("drift", DRIFTS)
def test_tickets_of_a_group_word_the_same_case(drift: str, tickets: dict[str, list[Ticket]]) -> None:
    gold: dict[str, Any] = {}
    for ticket in tickets[drift]:
        assert gold.setdefault(ticket.group, ticket.gold) == ticket.gold


def test_new_wording_has_other_words_for_everything_that_moves_a_field() -> None:
    assert APP_STATEMENTS.keys() == STATEMENTS.keys() == INTENTS.keys()
    assert (APP_SIGNALS.keys(), APP_WISHES.keys()) == (SIGNALS.keys(), WISHES.keys())
    new = [text for wording in APP_STATEMENTS.values() for text in (*wording.plain, *wording.lookalikes)]
    assert len(set(new)) == len(new) and not set(new) & set(PHRASINGS)
    pairs = [(APP_SIGNALS[signal], SIGNALS[signal]) for signal in SIGNALS] + [
        (APP_WISHES[w], WISHES[w]) for w in WISHES
    ]
    assert not any(set(new) & set(old) for new, old in pairs)


def test_new_wording_changes_half_of_the_messages_and_no_shares(tickets: dict[str, list[Ticket]]) -> None:
    pairs = list(zip(tickets["new-wording"], tickets["none"], strict=True))
    assert 0.45 < sum(new.message != old.message for new, old in pairs) / N < 0.55
    assert all(
        (new.gold["intent"], new.gold["product"]) == (old.gold["intent"], old.gold["product"]) for new, old in pairs
    )


def test_a_new_product_has_names_of_its_own_in_a_category_that_there_was(tickets: dict[str, list[Ticket]]) -> None:
    known = {name.lower() for names in SURFACES.values() for name in names}
    names = {name.lower(): product for product, launched in LAUNCHED.items() for name in launched}
    assert LAUNCHED.keys() < PRODUCTS.keys() and not known & names.keys()
    assert not any(name in ticket.message.lower() for ticket in tickets["none"] for name in ("mopsy", "tiko", "fjord"))
    assert sum(share(tickets["new-product"], "product", product) for product in LAUNCHED) > 0.65  # 0.4 + 0.6 / 2


def test_a_shifted_mix_has_four_times_as_many_billing_errors_and_the_words_of_before(
    tickets: dict[str, list[Ticket]],
) -> None:
    assert share(tickets["none"], "intent", "billing_error") == pytest.approx(1 / 10, abs=0.03)
    assert share(tickets["shifted-mix"], "intent", "billing_error") == pytest.approx(7 / 16, abs=0.04)
    before, after = (Counter(ticket.gold["priority"] for ticket in tickets[name]) for name in ("none", "shifted-mix"))
    assert after["urgent"] + after["high"] > 1.2 * (before["urgent"] + before["high"])


def test_a_broken_field_loses_nothing_of_the_text(tickets: dict[str, list[Ticket]]) -> None:
    for broken, usual in zip(tickets["broken-field"], tickets["none"], strict=True):
        paragraph = re.search(r"<p>(.*)</p></div>$", broken.message)
        assert paragraph and html.unescape(paragraph[1].replace("<br>", "\n")) == usual.message
        assert broken.gold == usual.gold


def test_an_unknown_drift_and_a_negative_count_are_refused() -> None:
    with pytest.raises(ValueError, match=r"drift must be one of none, new-wording, .* found rain"):
        drifted(1, SEED, "rain")
    with pytest.raises(ValueError, match="n must be ≥ 0, found -1"):
        drifted(-1, SEED, "none")
