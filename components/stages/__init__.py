"""The stages that DVC runs: `python -m components.stages STAGE RUN [NAME]` reads settings and calls one function.

Decides which settings and paths a stage gets, what its folder holds and what the record is told; how a step is done
is its component's business. What changes the registry is no stage but a step of a flow. A stage's module is imported
when it is called: a stage that only counts starts at once.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.stages.run import Run
    from components.tracking import Tracker

OF_A_RUN = {
    "data": "components.stages.data",
    "audit": "components.stages.audit",
    "certify": "components.stages.certify",
    "evaluate": "components.stages.evaluate",
    "gate": "components.stages.gate",
    "report": "components.stages.report",
}
"""Stages that a run has once, and the module with the function of the stage's name: called with run and tracker."""

OF_A_RUNG = {
    "rung": "components.stages.rungs",
    "best": "components.stages.rungs",
    "answer": "components.stages.answers",
}
"""Stages that a run has for each rung, or for each group of rungs; called with its name too."""

BASE_MODEL = {"pretrain": "components.stages.base_model", "examine": "components.stages.base_model"}
"""The stages of the embedded base model; called with a profile's name."""


def call(stage: str, run: "Run", tracker: "Tracker", name: str = "") -> None:
    """Call a stage of a run; `name` is the rung's or group's where the stage has one."""
    function = getattr(importlib.import_module({**OF_A_RUN, **OF_A_RUNG}[stage]), stage)
    function(run, tracker, name) if stage in OF_A_RUNG else function(run, tracker)
