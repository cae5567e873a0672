"""An annotator who is right about nine times in ten, and errs in habits, not at random.

There are three kinds of habit: the intent is inferred only from vocabulary, a priority rule is half known, the first
order id is taken. A habit affects some tickets of its kind and not others; for every kind, the annotator is right more
often than wrong, so the majority is right.
"""

import random
from dataclasses import dataclass

from components.workloads.triage.rules import HIGH_AMOUNT, Channel, Fields, priority
from components.workloads.triage.scenario import Scenario

CONFUSED_INTENTS = {
    "not_received": "order_status",
    "return_item": "cancel_order",
    "defective_item": "damaged_item",
    "refund_status": "billing_error",
}


@dataclass(frozen=True, slots=True)
class Habit:
    """A systematic slip: its name, and the share of tickets of its kind that it affects."""

    name: str
    share: float


INTENT_BY_VOCABULARY = Habit("intent_by_vocabulary", 0.44)
AMOUNT_IGNORED = Habit("amount_ignored", 0.43)
DEADLINE_ALONE = Habit("deadline_alone", 0.43)
NO_HURRY_BELIEVED = Habit("no_hurry_believed", 0.43)
FIRST_ORDER_TAKEN = Habit("first_order_taken", 0.43)


def habits_for(scenario: Scenario, channel: Channel, message: str) -> list[Habit]:
    """Return the habits that may affect this ticket, usually none."""
    habits: list[Habit] = []
    if scenario.lookalike and scenario.intent in CONFUSED_INTENTS:
        habits.append(INTENT_BY_VOCABULARY)
    if scenario.amount is not None and scenario.amount >= HIGH_AMOUNT:
        if "deadline" in scenario.signals:
            habits.append(DEADLINE_ALONE)
        elif scenario.signals == ("no_hurry",):
            habits.append(NO_HURRY_BELIEVED)
        elif not scenario.signals and channel == "chat":
            habits.append(AMOUNT_IGNORED)
    order_id, other = scenario.order_id, scenario.other_order
    if order_id and other and message.index(other) < message.index(order_id):
        habits.append(FIRST_ORDER_TAKEN)
    return habits


def demonstrate(scenario: Scenario, channel: Channel, message: str, rng: random.Random) -> Fields:
    """Return the annotator's object: gold, or gold with a habit's slip.

    At most one habit affects a ticket, so that whole objects are also mostly right.
    """
    fields = scenario.gold()
    habits = habits_for(scenario, channel, message)
    habit = rng.choice(habits) if habits else None
    if habit is None or rng.random() >= habit.share:
        return fields
    return _slip(habit, scenario, fields)


def _slip(habit: Habit, scenario: Scenario, fields: Fields) -> Fields:
    """Return the fields with the habit's slip; priority follows from the misread intent and amount."""
    intent, amount = scenario.intent, scenario.amount
    if habit is FIRST_ORDER_TAKEN:
        return {**fields, "order_id": scenario.other_order}
    if habit is INTENT_BY_VOCABULARY:
        intent = CONFUSED_INTENTS[intent]
    else:
        amount = None
    misread = priority(intent, amount, frozenset(scenario.signals))
    return {**fields, "intent": intent, "priority": misread}
