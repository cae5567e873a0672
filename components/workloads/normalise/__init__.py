"""The embedded workload `normalise`: a simulated order line to one canonical object of seven fields."""

from components.workloads.normalise.orders import FIELD_NAMES, Order, generate

__all__ = ["FIELD_NAMES", "Order", "generate"]
