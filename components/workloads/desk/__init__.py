"""`desk`: customer operations over a shop's orders, by tools and under written policies. Simulated."""

from components.workloads.desk.cases import cases, demonstrated
from components.workloads.desk.shop import Desk
from components.workloads.desk.tasks import Task, generate

__all__ = ["Desk", "Task", "cases", "demonstrated", "generate"]
