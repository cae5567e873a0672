"""`desk`: customer operations over a shop's orders, by tools and under written policies. Simulated."""

from components.workloads.desk.cases import PROMPT, demonstrated, generate, scorer_params
from components.workloads.desk.shop import Desk

HAND_OVER = "hand_over"  # the tool by which a case goes to a colleague
USER_TURNS = 3  # after which all is known: what is wanted, the e-mail, the number

__all__ = ["HAND_OVER", "PROMPT", "USER_TURNS", "Desk", "demonstrated", "generate", "scorer_params"]
