"""Ladders: which rungs a run has, in which order, what each starts from and what it challenges."""

from components.ladder.plan import PlannedRung, plan

__all__ = ["PlannedRung", "plan"]
