"""Economics: usage × prices → cost per call, per year and per correct call; one-off spending and its payback."""

from components.economics.account import Account, Calls, Payback, RungAccount, Setting, case, draw_up
from components.economics.breakeven import MOST_YEARS, Case, calls_in_year, net_usd, payback_years, saved_of_year
from components.economics.catalogue import Checked, check
from components.economics.cost import Demand, api_cost, calls_per_hour, owned_cost, owned_usd
from components.economics.prices import SECONDS_PER_HOUR, MachinePrice, ModelPrice, Prices, load_prices
from components.economics.sensitivity import Swing

__all__ = [
    "MOST_YEARS", "SECONDS_PER_HOUR", "Account", "Calls", "Case", "Checked", "Demand", "MachinePrice", "ModelPrice",
    "Payback", "Prices", "RungAccount", "Setting", "Swing", "api_cost", "calls_in_year", "calls_per_hour",
    "case", "check", "draw_up", "load_prices", "net_usd", "owned_cost", "owned_usd",
    "payback_years", "saved_of_year",
]  # fmt: skip
