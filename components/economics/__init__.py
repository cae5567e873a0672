"""Economics: usage × prices → cost per call, per year and per correct call."""

from components.economics.cost import Demand, api_cost, calls_per_hour, owned_cost
from components.economics.prices import MachinePrice, ModelPrice, Prices, load_prices

__all__ = ["Demand", "MachinePrice", "ModelPrice", "Prices", "api_cost", "calls_per_hour", "load_prices", "owned_cost"]
