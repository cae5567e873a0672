"""What holds at the desk beside its cases: what the policies say, which orders there are, how the shop's tools answer.

Decides nothing about a case; cases follow from a world, so that another world has other right ends.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from components.workloads.desk.wording import ASKS

DESK = "components.workloads.desk"
RETURNED = "returned"
FAILS_EVERY = 4  # of orders, the first look at one fails; with the look again that is one of five calls


@dataclass(frozen=True)
class World:
    """The desk as it is usually, or as it has become.

    `damaged` is the tool for what arrived damaged; `asks` are more ways to ask, by intent; `order` is what `get_order`
    calls an order's number; with `failing` the shop does not answer one look in five.
    """

    environment: str = f"{DESK}:Desk"
    refund_days: int = 30
    damaged: Literal["hand_over", "refund_order"] = "hand_over"
    statuses: tuple[str, ...] = ("packing", "packing", "shipped", "delivered", "delivered", "delivered")
    asks: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    order: str = "order_id"
    failing: bool = False

    def ways_to_ask(self, intent: str) -> tuple[str, ...]:
        """What customers say who want this."""
        return (*ASKS[intent], *self.asks.get(intent, ()))

    def looks(self, number: str) -> int:
        """How often an order is looked up until it is seen: again where the first look fails."""
        return 2 if self.failing and fails(number) else 1


USUAL = World()


def fails(number: str) -> bool:
    """Whether the first look at an order fails where looks do."""
    return sum(map(ord, number)) % FAILS_EVERY == 0
