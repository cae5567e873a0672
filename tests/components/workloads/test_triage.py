"""The simulated tickets: deterministic, varied, gold readable from the text, wrong by habit."""

import json
import re
import time
from collections import Counter, defaultdict
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from components.workloads.triage import DEFINITIONS, LABELS, PHRASINGS, Ticket, generate
from components.workloads.triage.channels import add_typos
from components.workloads.triage.demonstrations import CONFUSED_INTENTS, habits_for
from components.workloads.triage.population import USUAL
from components.workloads.triage.rules import (
    FIELD_NAMES,
    INTENTS,
    ORDER_ID_PATTERN,
    PRIORITIES,
    PRODUCTS,
    priority,
)
from components.workloads.triage.scenario import draw_amount, draw_scenario, write_amount
from components.workloads.triage.tickets import make_ticket
from components.workloads.triage.wording import STATEMENTS

ROOT = Path(__file__).resolve().parents[3]
PROMPTS = ROOT / "params" / "prompts" / "triage"
ORDER_ID = re.compile(r"\b[A-Z]{2}-\d{5}\b")
SEED = 11


@pytest.fixture(scope="module")
def workload() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "params" / "workloads" / "triage.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tickets() -> list[Ticket]:
    return list(generate(20_000, SEED))


def wrong_fields(ticket: Ticket) -> set[str]:
    return {name for name in FIELD_NAMES if ticket.gold[name] != ticket.demonstration[name]}


def numbers_in(message: str) -> set[float]:
    """Return every number in a message, with "1,249.00" and "49,90" read as people read them."""
    written = re.findall(r"\d[\d,]*(?:\.\d+)?", message)
    plain = {float(text.replace(",", "")) for text in written}
    return plain | {float(text.replace(",", ".")) for text in written if re.fullmatch(r"\d+,\d\d", text)}


def test_a_seed_gives_the_same_tickets_every_time() -> None:
    assert list(generate(200, SEED)) == list(generate(200, SEED))


def test_another_seed_gives_other_messages() -> None:
    first, second = ({ticket.message for ticket in generate(300, seed)} for seed in (1, 2))
    assert not first & second


def test_a_ticket_does_not_depend_on_how_many_are_drawn(tickets: list[Ticket]) -> None:
    assert list(generate(50, SEED)) == tickets[:50]
    assert list(islice(generate(10**9, SEED), 3)) == tickets[:3]


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="n must be ≥ 0, found -1"):
        generate(-1, SEED)


def test_gold_and_demonstrations_are_valid_under_the_workload_schema(
    tickets: list[Ticket], workload: dict[str, Any]
) -> None:
    Draft202012Validator.check_schema(workload["output"])
    validator = Draft202012Validator(workload["output"])
    for ticket in tickets[:3000]:
        assert tuple(ticket.gold) == tuple(ticket.demonstration) == FIELD_NAMES
        assert validator.is_valid(ticket.gold), ticket.gold
        assert validator.is_valid(ticket.demonstration), ticket.demonstration
        assert json.loads(json.dumps(ticket.gold)) == ticket.gold


def test_the_schema_lists_exactly_the_labels_of_the_rules(workload: dict[str, Any]) -> None:
    properties = workload["output"]["properties"]
    assert set(properties["intent"]["enum"]) == set(INTENTS)
    assert set(properties["priority"]["enum"]) == set(PRIORITIES)
    assert set(properties["product"]["enum"]) == set(PRODUCTS)
    assert properties["order_id"]["pattern"] == ORDER_ID_PATTERN
    assert (len(INTENTS), len(PRIORITIES), len(PRODUCTS)) == (10, 4, 6)
    assert set(workload["scorer"]["fields"]) == set(properties) == set(FIELD_NAMES)


@pytest.mark.parametrize(
    ("intent", "amount", "signals", "expected"),
    [
        ("return_item", 499.99, set[str](), "normal"),
        ("return_item", 500, set[str](), "high"),
        ("return_item", None, {"deadline"}, "high"),
        ("return_item", 500, {"deadline"}, "urgent"),
        ("return_item", 20, {"repeat"}, "high"),
        ("return_item", 20, {"no_hurry"}, "low"),
        ("return_item", 900, {"no_hurry"}, "high"),
        ("order_status", 20, set[str](), "low"),
        ("order_status", 900, set[str](), "high"),
        ("order_status", None, {"threat"}, "urgent"),
        ("defective_item", None, {"danger"}, "urgent"),
    ],
)
def test_priority_follows_the_first_rule_that_applies(
    intent: str, amount: float | None, signals: set[Any], expected: str
) -> None:
    assert priority(intent, amount, signals) == expected


def test_demonstrations_are_wrong_in_about_nine_tickets_of_a_hundred(tickets: list[Ticket]) -> None:
    wrong = sum(ticket.gold != ticket.demonstration for ticket in tickets) / len(tickets)
    assert 0.085 <= wrong <= 0.095


def test_errors_are_only_of_the_three_written_kinds(tickets: list[Ticket]) -> None:
    kinds = Counter[str]()
    for ticket in tickets:
        match wrong_fields(ticket):
            case names if not names:
                continue
            case names if names == {"order_id"}:
                kinds["other_order"] += 1
                assert str(ticket.demonstration["order_id"]) in ticket.message
            case names if names == {"priority"}:
                kinds["priority_rule"] += 1
                assert float(ticket.gold["amount"] or 0) >= 500
            case names:
                kinds["confused_intent"] += 1
                assert names <= {"intent", "priority"}
                assert CONFUSED_INTENTS[str(ticket.gold["intent"])] == ticket.demonstration["intent"]
    assert min(kinds[kind] for kind in ("other_order", "priority_rule", "confused_intent")) > 300


def test_within_every_kind_of_confusable_ticket_the_majority_is_right(
    tickets: list[Ticket],
) -> None:
    outcomes: dict[str, list[bool]] = defaultdict(list)
    for ticket in tickets:
        scenario = draw_scenario(Random(f"triage/{SEED}/case/{int(ticket.group[1:])}"), USUAL)
        for habit in habits_for(scenario, ticket.channel, ticket.message):
            outcomes[habit.name].append(ticket.gold == ticket.demonstration)
            if habit.name == "intent_by_vocabulary":
                outcomes[scenario.intent].append(ticket.gold == ticket.demonstration)
    assert len(outcomes) == 5 + len(CONFUSED_INTENTS)
    for name, right in outcomes.items():
        assert 0.5 < sum(right) / len(right) < 0.7, name


def test_tickets_without_a_habit_are_demonstrated_correctly(tickets: list[Ticket]) -> None:
    for ticket in tickets[:3000]:
        scenario = draw_scenario(Random(f"triage/{SEED}/case/{int(ticket.group[1:])}"), USUAL)
        if not habits_for(scenario, ticket.channel, ticket.message):
            assert ticket.demonstration == ticket.gold


def test_order_ids_and_amounts_of_the_gold_stand_in_the_message(tickets: list[Ticket]) -> None:
    for ticket in tickets[:5000]:
        order_id, amount = ticket.gold["order_id"], ticket.gold["amount"]
        assert order_id is None or order_id in ORDER_ID.findall(ticket.message)
        assert order_id is not None or not ORDER_ID.search(ticket.message)
        assert not isinstance(amount, int | float) or float(amount) in numbers_in(ticket.message), ticket.message


def test_a_second_order_is_mentioned_in_tickets_with_two_orders_only(tickets: list[Ticket]) -> None:
    for ticket in tickets[:5000]:
        mentioned = set(ORDER_ID.findall(ticket.message))
        assert (len(mentioned) == 2) == (ticket.slices["difficulty"] == "two_orders"), ticket.message
    share = sum(ticket.slices["difficulty"] == "two_orders" for ticket in tickets) / len(tickets)
    assert 0.08 < share < 0.25


def test_messages_are_between_15_and_90_words(tickets: list[Ticket]) -> None:
    lengths = [len(ticket.message.split()) for ticket in tickets]
    assert min(lengths) >= 15 and max(lengths) <= 90
    assert 35 <= sum(lengths) / len(lengths) <= 45


def test_messages_are_varied(tickets: list[Ticket]) -> None:
    sample = tickets[:5500]
    assert len({ticket.message for ticket in sample}) / len(sample) > 0.999
    grams = [gram for t in sample for gram in zip(*(t.message.lower().split()[at:] for at in range(4)), strict=False)]
    assert len(set(grams)) / len(grams) > 0.45


def test_every_label_and_channel_is_common_enough_to_be_learned(tickets: list[Ticket]) -> None:
    for name, labels, least in (
        ("intent", INTENTS, 0.08),
        ("priority", PRIORITIES, 0.06),
        ("product", PRODUCTS, 0.14),
    ):
        counts = Counter(ticket.gold[name] for ticket in tickets)
        assert set(counts) == set(labels)
        assert min(counts.values()) / len(tickets) > least
    assert {ticket.channel for ticket in tickets} == {"mail", "chat", "web_form"}


def test_a_group_shares_its_values_and_most_groups_are_single(tickets: list[Ticket]) -> None:
    groups: dict[str, list[Ticket]] = defaultdict(list)
    for ticket in tickets:
        groups[ticket.group].append(ticket)
    assert all(ticket.gold == members[0].gold for members in groups.values() for ticket in members)
    repeated = len(tickets) - len(groups)
    assert 0.08 < repeated / len(tickets) < 0.12


def test_every_intent_has_forty_phrasings_and_none_twice() -> None:
    for intent, wording in STATEMENTS.items():
        assert len(wording.plain) + len(wording.lookalikes) >= 40, intent
    assert len(set(PHRASINGS)) == len(PHRASINGS)
    assert set(STATEMENTS) == set(INTENTS)


def test_ids_count_up_and_slices_name_channel_difficulty_and_intent(tickets: list[Ticket]) -> None:
    assert [ticket.id for ticket in tickets[:3]] == ["T000000", "T000001", "T000002"]
    for ticket in tickets[:200]:
        assert set(ticket.slices) == {"channel", "difficulty", "intent"}
        assert ticket.slices["intent"] == ticket.gold["intent"]


@given(st.text(alphabet="ab cdXZ-0123456789.", max_size=60), st.integers(0, 1000))
def test_typos_leave_digits_and_the_number_of_words_alone(text: str, seed: int) -> None:
    typed = add_typos(text, 0.5, Random(seed))
    assert re.findall(r"\d", typed) == re.findall(r"\d", text)
    assert typed.count(" ") == text.count(" ")


@given(st.integers(0, 10**6))
def test_a_written_amount_reads_back_as_its_number(seed: int) -> None:
    rng = Random(seed)
    amount = draw_amount(rng)
    assert 15 <= amount < 2500
    assert float(amount) in numbers_in(write_amount(amount, rng))


@given(st.integers(0, 10**7), st.integers(0, 100))
def test_any_ticket_can_be_drawn_alone(index: int, seed: int) -> None:
    ticket = make_ticket(index, seed)
    assert ticket.id == f"T{index:06d}"
    assert "{" not in ticket.message and "  " not in ticket.message


@pytest.mark.parametrize("name", ["loose", "schema", "schema_definitions", "short"])
def test_every_prompt_has_a_system_part_and_a_message_slot_in_the_user_part(name: str) -> None:
    system, user = (PROMPTS / f"{name}.md").read_text(encoding="utf-8").split("\n---user---\n")
    assert system.strip()
    assert user.count("{message}") == 1 and "{" not in system


def test_prompts_teach_step_by_step_what_the_rules_say() -> None:
    loose, schema, definitions = (
        (PROMPTS / f"{name}.md").read_text(encoding="utf-8") for name in ("loose", "schema", "schema_definitions")
    )
    assert not any(name in loose for name in (*INTENTS, *PRODUCTS))
    assert all(label in schema for label in LABELS)
    assert all(f"- {name}: " in text for name in FIELD_NAMES for text in (schema, definitions))
    assert all(f"{label} = {sentence}" in definitions for label, sentence in DEFINITIONS.items())
    assert len(definitions.split()) < 450


def test_three_thousand_tickets_take_less_than_a_second_of_processor_time() -> None:
    started = time.process_time()
    assert sum(1 for _ in generate(3000, SEED)) == 3000
    assert time.process_time() - started < 1.0
