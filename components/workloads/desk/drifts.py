"""Drifts of the desk: customers of a world that has changed, for which an agent was not trained.

Right ends follow from the changed world's rules, and demonstrations act by them. Each drift is a seeded function of the
cases' numbers; the sender decides when it begins.
"""

from collections.abc import Iterator

from components.workloads.desk.shop import Desk
from components.workloads.desk.tasks import Task, tasks
from components.workloads.desk.world import DESK, RETURNED, USUAL, World, fails


class Renamed(Desk):
    """A shop that calls an order's number otherwise."""

    def get_order(self, number: str) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Show an order.

        Args:
            number: Its number.
        """
        return super().get_order(number)


class Failing(Desk):
    """A shop that does not answer the first look at some orders."""

    def __init__(self) -> None:
        super().__init__()
        self._looked: set[str] = set()

    def reset(self, orders: str, script: str, **rest: str) -> None:
        super().reset(orders, script, **rest)
        self._looked.clear()

    def get_order(self, order_id: str) -> str:
        """Show an order.

        Args:
            order_id: Its number.
        """
        if fails(order_id) and order_id not in self._looked:
            self._looked.add(order_id)
            raise TimeoutError("the shop does not answer")
        return super().get_order(order_id)


DRIFTS: dict[str, World] = {
    "none": USUAL,
    # What arrived damaged is paid back instead of handed over, and refunds end after 14 days.
    "policy": World(refund_days=14, damaged="refund_order"),
    # The second of these rules alone: it changes what is right in few cases.
    "days": World(refund_days=14),
    "status": World(
        statuses=("packing", "packing", "shipped", "delivered", "delivered", RETURNED),
        asks={
            "status": ("Did my {item} come back to you?",),
            "refund": ("I sent the {item} back, where is my money?",),
        },
    ),
    "argument": World(environment=f"{DESK}:Renamed", order="number"),
    "failing": World(environment=f"{DESK}:Failing", failing=True),
}


def drifted(n: int, seed: int, drift: str) -> Iterator[Task]:
    """Yield tasks 0 to n - 1 of a seed under a drift; under "none" those of `generate`.

    Raises:
        ValueError: if `n` is negative, or there is no such drift.
    """
    if n < 0:
        raise ValueError(f"n must be ≥ 0, found {n}")
    if drift not in DRIFTS:
        raise ValueError(f"drift must be one of {', '.join(DRIFTS)}, found {drift}")
    return tasks(n, seed, DRIFTS[drift])
