"""The written rules that gold obeys: the meaning of each label, and how priority follows.

The prompts quote these sentences; the generator and the demonstrations call `priority`. `wording.py` and `phrases.py`
decide how messages are worded.
"""

# Each definition is on one line, as the prompts quote it.
# ruff: noqa: E501

from collections.abc import Set
from typing import Literal

Channel = Literal["mail", "chat", "web_form"]
Signal = Literal["danger", "threat", "deadline", "repeat", "no_hurry"]
Value = str | int | float | bool | None
Fields = dict[str, Value]

# Fields that follow from others come last: a model that writes from left to right then has those already.
FIELD_NAMES = ("intent", "product", "order_id", "amount", "wants_refund", "priority")
ORDER_ID_PATTERN = r"^[A-Z]{2}-\d{5}$"
HIGH_AMOUNT = 500
LOW_INTENTS = frozenset({"order_status", "change_order"})

INTENTS: dict[str, str] = {
    "order_status": "Asks where an order is or when it comes, and it is not late.",
    "not_received": "The parcel is overdue, lost or marked delivered, and the customer does not have it.",
    "change_order": "Wants an order that has not arrived, but with another address, day, colour, quantity or detail.",
    "cancel_order": "Wants to stop an order that has not arrived.",
    "return_item": "Has the ordered item, nothing is wrong with it, and wants to give it back.",
    "wrong_item": "Received another item, model or colour than ordered.",
    "damaged_item": "The item arrived visibly damaged by transport.",
    "defective_item": "The item arrived intact but does not work or stopped working.",
    "billing_error": "Was charged wrongly: twice, too much, without a discount or for nothing ordered.",
    "refund_status": "A refund or return was already agreed, and the money has not come.",
}

PRIORITIES: dict[str, str] = {
    "urgent": "Smoke, sparks, a burning smell or an electric shock; or legal action or a chargeback is threatened; or a deadline together with an amount of 500 or more.",
    "high": "Otherwise, if the amount is 500 or more, or the customer names a day by which it must be solved, or has contacted us about it before.",
    "low": "Otherwise, if the customer says there is no hurry, or the intent is order_status or change_order.",
    "normal": "Everything else.",
}

PRODUCTS: dict[str, str] = {
    "robot_vacuum": "Cleaning robots, such as the Rollo S7.",
    "coffee_machine": "Coffee and espresso makers, such as the Barino.",
    "wifi_router": "Routers and mesh boxes, such as the Netzo Max.",
    "smart_watch": "Watches and fitness bands, such as the Pulsa 3.",
    "air_purifier": "Air cleaners and filters, such as the Brisa 400.",
    "video_doorbell": "Doorbells and door cameras, such as the Klingo View.",
}

LABELS: tuple[str, ...] = (*INTENTS, *PRIORITIES, *PRODUCTS)
DEFINITIONS: dict[str, str] = {**INTENTS, **PRIORITIES, **PRODUCTS}


def priority(intent: str, amount: float | None, signals: Set[Signal]) -> str:
    """Return the priority label: the first of urgent, high, low whose rule applies, else normal.

    `amount` is the number as written, whatever its currency; None counts as below the threshold.
    """
    expensive = amount is not None and amount >= HIGH_AMOUNT
    deadline = "deadline" in signals
    if signals & {"danger", "threat"} or (deadline and expensive):
        return "urgent"
    if expensive or deadline or "repeat" in signals:
        return "high"
    if "no_hurry" in signals or intent in LOW_INTENTS:
        return "low"
    return "normal"
