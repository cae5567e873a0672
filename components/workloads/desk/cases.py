"""Cases of the desk: what a customer wants, what the policies allow, and so what is right.

Right follows from written rules alone. Demonstrations are wrong on purpose in 15 % of cases, as people are: a policy
forgotten, an amount rounded, a change without a look.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from components.records import Example
from components.tasks import call_text
from components.workloads.desk.wording import CORRECTIONS, FACTS, QUESTIONS, REFUSALS
from components.workloads.desk.world import RETURNED, USUAL, World

WRONG_SHARE = 0.15
ITEMS = ("kettle", "lamp", "radio", "drill", "backpack", "keyboard", "blender", "tent")
CITIES = ("Oslo", "Turin", "Lyon", "Graz", "Ghent", "Porto")
NAMES = ("ada", "ben", "cleo", "dan", "eve", "finn", "gus", "hana")
INTENTS = ("cancel", "refund", "address", "damaged", "status")
WRITES = {"cancel": "cancel_order", "refund": "refund_order", "address": "change_address"}


@dataclass(frozen=True)
class Case:
    """What one customer wants of one order, in which the first number given may be wrong."""

    intent: str
    order: dict[str, Any]
    others: tuple[dict[str, Any], ...]
    email: str
    city: str
    mistaken: str | None
    world: World = USUAL

    @property
    def refusal(self) -> str | None:
        """Why the policies refuse it; None where they allow it."""
        order = self.order
        if order["email"] != self.email:
            return "owner"
        if self.intent in ("cancel", "address") and order["status"] != "packing":
            return "packing"
        if self.intent == "refund" and order["status"] not in ("delivered", RETURNED):
            return "delivered"
        if self.intent == "refund" and (order["delivered_days_ago"] or 0) > self.world.refund_days:
            return "days"
        return None

    @property
    def reason(self) -> tuple[str, str]:
        """What has to be said of a refusal, and how it goes on."""
        first, rest = REFUSALS[self.refusal or ""]
        return first.format(days=self.world.refund_days), rest

    def look(self, number: str) -> dict[str, Any]:
        """A look at an order, as a call."""
        return {"name": "get_order", "arguments": {self.world.order: number}}

    @property
    def write(self) -> dict[str, Any]:
        """The change that was asked for, as a call."""
        name = self.world.damaged if self.intent == "damaged" else WRITES[self.intent]
        own: dict[str, Any] = {"order_id": self.order["order_id"]}
        more = {"refund_order": {"amount": self.order["paid"]}, "change_address": {"address": self.city},
                "hand_over": {"problem": "damaged"}}  # fmt: skip
        return {"name": name, "arguments": own | more.get(name, {})}

    @property
    def right(self) -> dict[str, Any]:
        """What is right: the calls that change something, the calls that must be made, and what must be said."""
        look = self.look(self.order["order_id"])
        changes = [] if self.refusal or self.intent == "status" else [self.write]
        said = [self.reason[0]] if self.refusal else []
        said += [self.order["status"]] if self.intent == "status" and not self.refusal else []
        said += [self.order["order_id"]]
        made = changes if self.world.failing else [look, *changes]  # calls that have to succeed when they are replayed
        return {"calls": made, "must": [look, *changes], "said": said}


def cases(n: int, seed: int, world: World = USUAL) -> list[Example]:
    """So many cases of a world, each with the turns of a demonstration."""
    rng = random.Random(f"desk {seed}")
    return [_example(rng, f"D{seed}-{number:05d}", world) for number in range(n)]


def _example(rng: random.Random, id: str, world: World) -> Example:
    case = _case(rng, world)
    wrong = rng.random() < WRONG_SHARE
    turns, is_wrong = demonstration(case, rng if wrong else None)
    script = [rng.choice(FACTS["email"]).format(email=case.email)]
    script += [rng.choice(FACTS["order"]).format(order=case.mistaken or case.order["order_id"])]
    script += [rng.choice(CORRECTIONS).format(order=case.order["order_id"])] if case.mistaken else []
    message = rng.choice(world.ways_to_ask(case.intent)).format(item=case.order["item"], city=case.city)
    return Example(
        id=id,
        input={"message": message},
        demonstration=json.dumps(turns),
        reference=json.dumps(case.right),
        group=id,
        slices={"intent": case.intent, "end": "refuse" if case.refusal else "act", "demonstration":
                "wrong" if is_wrong else "right", "number": "corrected" if case.mistaken else "given"},
        evidence={"orders": json.dumps([case.order, *case.others]), "script": json.dumps(script)},
    )  # fmt: skip


def _case(rng: random.Random, world: World) -> Case:
    names = rng.sample(NAMES, 3)
    emails = [f"{name}{rng.randint(10, 99)}@mail.example" for name in names]
    numbers = rng.sample(range(1000, 9999), 6)
    orders = [_order(rng, number, rng.choice(emails), world) for number in numbers[:4]]
    order = orders[0]
    stranger = rng.random() < 0.15
    email = next(other for other in emails if other != order["email"]) if stranger else order["email"]
    mistaken = f"W{numbers[5]}" if rng.random() < 0.25 else None
    city = rng.choice([city for city in CITIES if city != order["address"]])
    return Case(rng.choice(INTENTS), order, tuple(orders[1:]), email, city, mistaken, world)


def _order(rng: random.Random, number: int, email: str, world: World) -> dict[str, Any]:
    status = rng.choice(world.statuses)
    return {
        "order_id": f"W{number}", "email": email, "item": rng.choice(ITEMS), "status": status,
        "delivered_days_ago": rng.choice((2, 9, 21, 30, 31, 45)) if status == "delivered" else None,
        "paid": rng.randint(1000, 20000) / 100, "address": rng.choice(CITIES),
    }  # fmt: skip


def demonstration(case: Case, wrong: random.Random | None) -> tuple[list[str], bool]:
    """The assistant's turns, and whether they are wrong: one of a person's mistakes where there is a generator."""
    turns = [QUESTIONS["email"], QUESTIONS["order"]]
    if case.mistaken:
        turns += [*_looks(case, case.mistaken), QUESTIONS["again"].format(order=case.mistaken)]
    mistake = _mistake(case, wrong) if wrong else None
    if mistake is not None:
        return [*turns, *mistake], True
    return [*turns, *_looks(case, case.order["order_id"]), *_right_end(case)], False


def _looks(case: Case, number: str) -> list[str]:
    """Looks at an order until the shop answers."""
    return [call_text(**case.look(number))] * case.world.looks(number)


def _right_end(case: Case) -> list[str]:
    number = case.order["order_id"]
    if case.refusal:
        return [f"I cannot do that for {number}: {' '.join(case.reason)}."]
    if case.intent == "status":
        return [f"Order {number} is {case.order['status']}."]
    return [call_text(**case.write), f"Done for {number}."]


def _mistake(case: Case, rng: random.Random) -> list[str]:
    """One of the mistakes that this case allows."""
    number = case.order["order_id"]
    looks = _looks(case, number)
    if case.intent == "status":
        return [f"Order {number} is on its way."]  # without a look
    done = [call_text(**case.write), f"Done for {number}."]
    if case.refusal:
        return [*looks, *done]  # a policy forgotten
    choices: list[list[str]] = [done]  # without a look
    if case.intent == "refund":
        rounded = call_text("refund_order", {"order_id": number, "amount": float(int(case.order["paid"]) + 1)})
        choices.append([*looks, rounded, f"Done for {number}."])
    if case.intent == "damaged":
        other = call_text("hand_over", {"order_id": number, "problem": "lost"})
        choices.append([*looks, other, f"Done for {number}."])
    return rng.choice(choices)


def demonstrated(examples: Sequence[Example]) -> dict[str, list[str]]:
    """The demonstrations' turns by example."""
    return {example.id: json.loads(example.demonstration) for example in examples}
