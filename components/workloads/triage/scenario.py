"""The content of a ticket, before its wording for a channel: values, signals and the stated intent.

A scenario determines the gold object. Tickets with the same scenario are near-duplicates.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from components.workloads.triage import phrases
from components.workloads.triage.population import Population
from components.workloads.triage.rules import Fields, Signal, priority
from components.workloads.triage.slots import draw_slots

LOOKALIKE_SHARE = 0.22
ORDER_SHARE = 0.84
SECOND_ORDER_SHARE = 0.15
AMOUNT_SHARE = 0.5
DANGER_SHARE = 0.10
DANGER_INTENTS = frozenset({"damaged_item", "defective_item"})

_REFUND_LATER = ("refund_later", "refund_refused")
_REPLACE = (
    "refund",
    "refund",
    "refund",
    "replacement",
    "replacement",
    "none",
    "none",
    *_REFUND_LATER,
)
WISHES_BY_INTENT: dict[str, tuple[str, ...]] = {
    "order_status": ("none",) * 9 + ("refund_later",),
    "not_received": _REPLACE,
    "change_order": ("none",) * 11 + ("refund_refused",),
    "cancel_order": ("refund", "refund", "none", "none", "none"),
    "return_item": ("refund", "refund", "refund", "none", "none", "none", "credit"),
    "wrong_item": _REPLACE,
    "damaged_item": _REPLACE,
    "defective_item": (*_REPLACE, "repair", "repair", "repair"),
    "billing_error": (
        "refund",
        "refund",
        "refund",
        "correction",
        "correction",
        "none",
        "none",
        "refund_refused",
    ),
    "refund_status": ("refund_due", "none", "none"),
}


@dataclass(frozen=True, slots=True)
class Scenario:
    """A customer's case, with the `slots` for every sentence about it.

    `order_inline` and `amount_inline` say whether the statement already mentions them; `wish` is a key of
    `phrases.WISHES` or "none".
    """

    intent: str
    lookalike: bool
    product: str
    order_id: str | None
    other_order: str | None
    amount: int | float | None
    signals: tuple[Signal, ...]
    wish: str
    statement: str
    order_inline: bool
    amount_inline: bool
    slots: dict[str, str]

    def gold(self) -> Fields:
        """Return the six fields according to the written rules."""
        return {
            "intent": self.intent,
            "product": self.product,
            "order_id": self.order_id,
            "amount": self.amount,
            "wants_refund": self.intent == "refund_status" or self.wish == "refund",
            "priority": priority(self.intent, self.amount, frozenset(self.signals)),
        }


def draw_scenario(rng: random.Random, population: Population) -> Scenario:
    """Draw a case: the intent, its statement, then the values that the statement allows."""
    intent, product = rng.choice(population.intents), rng.choice(population.products)
    lookalike = rng.random() < LOOKALIKE_SHARE
    wording = population.statements[intent]
    template = rng.choice(wording.lookalikes if lookalike else wording.plain)
    amount_inline = "{amount}" in template
    amount = draw_amount(rng) if amount_inline or rng.random() < AMOUNT_SHARE else None
    order_id = draw_order_id(rng) if rng.random() < ORDER_SHARE else None
    has_other = order_id is not None and rng.random() < SECOND_ORDER_SHARE
    other_order = draw_order_id(rng) if has_other else None
    slots = draw_slots(rng, product, population.surfaces)
    slots["amount"] = "" if amount is None else write_amount(amount, rng)
    slots["order_id"], slots["other"] = order_id or "", other_order or ""
    slots["order"] = rng.choice(phrases.ORDER_PHRASES).format_map(slots) if order_id else "my order"
    return Scenario(
        intent=intent,
        lookalike=lookalike,
        product=product,
        order_id=order_id,
        other_order=other_order,
        amount=amount,
        signals=draw_signals(rng, intent, population.signal_shares),
        wish=rng.choice(WISHES_BY_INTENT[intent]),
        statement=fill(template, slots),
        order_inline="{order}" in template,
        amount_inline=amount_inline,
        slots=slots,
    )


def draw_order_id(rng: random.Random) -> str:
    """Draw an order id: two capital letters, a dash, five digits."""
    letters = "ABCDEFGHJKLMNPRSTUVWXYZ"
    return f"{rng.choice(letters)}{rng.choice(letters)}-{rng.randrange(10_000, 100_000)}"


def draw_amount(rng: random.Random) -> int | float:
    """Draw a price from 15 to 2,500; a third are 500 or more, half are integers."""
    whole = rng.randrange(500, 2_500) if rng.random() < 0.33 else rng.randrange(15, 500)
    if rng.random() < 0.5:
        return whole
    return round(whole + rng.choice((50, 90, 95, 99, rng.randrange(1, 100))) / 100, 2)


def write_amount(amount: int | float, rng: random.Random) -> str:
    """Write an amount as customers do, with the number still readable."""
    if amount == int(amount) and rng.random() < 0.6:
        return rng.choice(("${0:,}", "{0} EUR", "{0} dollars", "EUR {0}", "£{0:,}", "{0} USD")).format(int(amount))
    if rng.random() < 0.2:
        return f"{amount:.2f} EUR".replace(".", ",")
    return rng.choice(("${0:,.2f}", "{0:.2f} USD", "€{0:.2f}", "EUR {0:.2f}", "{0:,.2f}", "£{0:,.2f}")).format(amount)


def draw_signals(rng: random.Random, intent: str, shares: Mapping[Signal, float]) -> tuple[Signal, ...]:
    """Draw the facts that affect priority; a deadline and "no hurry" never occur together."""
    signals: list[Signal] = [signal for signal, share in shares.items() if rng.random() < share]
    if intent in DANGER_INTENTS and rng.random() < DANGER_SHARE:
        signals.insert(0, "danger")
    if len(signals) > 1 and "no_hurry" in signals:
        signals.remove("no_hurry")
    return tuple(signals[:2])


def fill(template: str, slots: dict[str, str]) -> str:
    """Fill a template and start it with a capital letter."""
    text = template.format_map(slots)
    return text[:1].upper() + text[1:]
