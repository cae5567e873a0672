"""The stages that DVC runs: `python -m components.stages NAME RUN` reads settings and calls one function.

Decides which settings and paths a stage gets, what its folder holds and what the record is told; how a step is done
is its component's business.
"""

from collections.abc import Callable

from components.stages.audit import audit
from components.stages.base_model import examine, pretrain
from components.stages.certify import certify
from components.stages.data import data
from components.stages.evaluate import evaluate
from components.stages.gate import gate
from components.stages.report import report
from components.stages.run import Run
from components.stages.rungs import classical, prompts, rl, sft
from components.tracking import Tracker

LADDER: dict[str, Callable[[Run, Tracker], None]] = {
    "data": data,
    "audit": audit,
    "classical": classical,
    "prompts": prompts,
    "sft": sft,
    "certify": certify,
    "rl": rl,
    "evaluate": evaluate,
    "gate": gate,
    "report": report,
}
"""The stages of a run, in the order in which they climb."""

BASE_MODEL: dict[str, Callable[[str], None]] = {"pretrain": pretrain, "examine": examine}
"""The stages of the embedded base model; their argument is a profile."""
