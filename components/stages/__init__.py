"""The stages that DVC runs: `python -m components.stages STAGE RUN [NAME]` reads settings and calls one function.

Decides which settings and paths a stage gets, what its folder holds and what the record is told; how a step is done
is its component's business. What changes the registry is no stage but a step of a flow.
"""

from collections.abc import Callable

from components.stages.answers import answer
from components.stages.audit import audit
from components.stages.base_model import examine, pretrain
from components.stages.certify import certify
from components.stages.data import data
from components.stages.evaluate import evaluate
from components.stages.gate import gate
from components.stages.report import report
from components.stages.run import Run
from components.stages.rungs import best, rung
from components.tracking import Tracker

OF_A_RUN: dict[str, Callable[[Run, Tracker], None]] = {
    "data": data,
    "audit": audit,
    "certify": certify,
    "evaluate": evaluate,
    "gate": gate,
    "report": report,
}
"""Stages that a run has once."""

OF_A_RUNG: dict[str, Callable[[Run, Tracker, str], None]] = {"rung": rung, "best": best, "answer": answer}
"""Stages that a run has for each rung, or for each group of rungs."""

BASE_MODEL: dict[str, Callable[[str], None]] = {"pretrain": pretrain, "examine": examine}
"""The stages of the embedded base model; their argument is a profile."""


def call(stage: str, run: Run, tracker: Tracker, name: str = "") -> None:
    """Call a stage of a run; `name` is the rung's or group's where the stage has one."""
    if stage in OF_A_RUNG:
        OF_A_RUNG[stage](run, tracker, name)
    else:
        OF_A_RUN[stage](run, tracker)
