"""Simulated customer-operations tickets: a message, the gold object and an imperfect demonstration.

Ticket i of a seed is always the same, however many are drawn. About one ticket in ten rewords an earlier ticket's case
and shares its group, as if a customer wrote through two channels.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from components.workloads.asking import base_index
from components.workloads.triage.channels import CHANNELS, write_message
from components.workloads.triage.demonstrations import demonstrate
from components.workloads.triage.population import USUAL, Population
from components.workloads.triage.rules import Channel, Fields
from components.workloads.triage.scenario import Scenario, draw_scenario


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket: `gold` follows the written rules, `demonstration` is an annotator's.

    Tickets in the same `group` have the same case and must stay in one split.
    """

    id: str
    message: str
    channel: Channel
    gold: Fields
    demonstration: Fields
    slices: dict[str, str]
    group: str


def generate(n: int, seed: int) -> Iterator[Ticket]:
    """Yield tickets 0 to n - 1 of a seed, at 3,000 or more a second.

    Raises:
        ValueError: if `n` is negative.
    """
    if n < 0:
        raise ValueError(f"n must be ≥ 0, found {n}")
    return (make_ticket(index, seed) for index in range(n))


def make_ticket(index: int, seed: int, population: Population = USUAL) -> Ticket:
    """Return ticket number `index` of a seed."""
    base = base_index("triage", index, seed)
    scenario = draw_scenario(random.Random(f"triage/{seed}/case/{base}"), population)
    rng = random.Random(f"triage/{seed}/ticket/{index}")
    channel = rng.choice(CHANNELS)
    message = write_message(scenario, channel, population, rng)
    return Ticket(
        id=f"T{index:06d}",
        message=message,
        channel=channel,
        gold=scenario.gold(),
        demonstration=demonstrate(scenario, channel, message, rng),
        slices={"channel": channel, "difficulty": difficulty(scenario), "intent": scenario.intent},
        group=f"G{base:06d}",
    )


def difficulty(scenario: Scenario) -> str:
    """The main reason why a ticket is hard, or "plain"."""
    if scenario.other_order:
        return "two_orders"
    if scenario.lookalike:
        return "lookalike"
    if scenario.signals and scenario.amount is not None:
        return "amount_and_signal"
    return "plain"
