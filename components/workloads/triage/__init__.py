"""The embedded workload `triage`: simulated tickets to a JSON object of six fields."""

from components.workloads.triage.drifts import DRIFTS, drifted
from components.workloads.triage.rules import DEFINITIONS, LABELS
from components.workloads.triage.tickets import Ticket, generate
from components.workloads.triage.wording import STATEMENTS

PHRASINGS: tuple[str, ...] = tuple(
    template for wording in STATEMENTS.values() for template in (*wording.plain, *wording.lookalikes)
)

__all__ = ["DEFINITIONS", "DRIFTS", "LABELS", "PHRASINGS", "Ticket", "drifted", "generate"]
