"""The stages that DVC runs: `python -m components.stages STAGE RUN [NAME]` reads settings and calls one function.

Decides which settings and paths a stage gets, what its folder holds and what goes into the record; how a step is done
is up to its component. What changes the registry is a step of a flow, not a stage. A stage's module is imported only
when it is called, so that a stage without heavy imports starts at once.
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
"""Stages that a run has once, with the module of the function of that name, which is called with run and tracker."""

OF_A_RUNG = {
    "rung": "components.stages.rungs",
    "best": "components.stages.rungs",
    "answer": "components.stages.answers",
}
"""Stages that a run has for each rung or group of rungs; also called with its name."""

BASE_MODEL = {"pretrain": "components.stages.base_model", "examine": "components.stages.base_model"}
"""The stages of the embedded base model; called with a profile's name."""


def call(stage: str, run: "Run", tracker: "Tracker", name: str = "") -> None:
    """Call a stage of a run; `name` is the rung or group of those in `OF_A_RUNG`."""
    function = getattr(importlib.import_module({**OF_A_RUN, **OF_A_RUNG}[stage]), stage)
    function(run, tracker, name) if stage in OF_A_RUNG else function(run, tracker)
