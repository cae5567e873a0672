"""The embedded workload `normalise`: simulated order lines to a canonical object of seven fields."""

from components.workloads.normalise.orders import FIELD_NAMES, Order, generate

__all__ = ["FIELD_NAMES", "Order", "generate"]
