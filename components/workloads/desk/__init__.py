"""`desk`: customer operations over a shop's orders, by tools and under written policies. Simulated."""

from components.workloads.desk.cases import cases, demonstrated
from components.workloads.desk.drifts import DRIFTS, Failing, Renamed, drifted
from components.workloads.desk.shop import Desk
from components.workloads.desk.tasks import Task, generate
from components.workloads.desk.world import World

__all__ = [
    "DRIFTS", "Desk", "Failing", "Renamed", "Task", "World", "cases", "demonstrated", "drifted", "generate",
]  # fmt: skip
