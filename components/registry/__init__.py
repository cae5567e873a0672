"""The record of runs, prompts and models in MLflow; only this package imports mlflow.

Decides where the record is kept, what a run contains and when an alias moves. Callers decide what is worth keeping and
which rung wins. Nothing is opened at import; addresses come from the environment.
"""

from components.registry.candidate import Candidate
from components.registry.evaluations import Row, store_rows
from components.registry.looks import MORE_EXAMPLES, count_look, examples_asked_for
from components.registry.models import (
    REFERENCE,
    REFERENCE_FOLDER,
    Alias,
    Champion,
    Check,
    Version,
    aliases,
    make_canary,
    promote,
    reference_of,
    register_winner,
    registered,
    registered_if_any,
    registered_number,
    rollback,
    verify,
    whole,
    withdraw,
)
from components.registry.prompts import register_prompt
from components.registry.recipes import Recipe, recipe
from components.registry.retention import (
    commits,
    forget_rows,
    forget_traces,
    idle_versions,
    old_traces,
    remove_old_traces,
    remove_version,
    run_files,
)
from components.registry.runs import MlflowTracker, closed_run, joined_run, open_run
from components.registry.store import addresses, tracking_uri
from components.registry.traces import assess, store_traces
from components.tracking import Dataset

__all__ = [
    "MORE_EXAMPLES",
    "REFERENCE",
    "REFERENCE_FOLDER",
    "Alias",
    "Candidate",
    "Champion",
    "Check",
    "Dataset",
    "MlflowTracker",
    "Recipe",
    "Row",
    "Version",
    "addresses",
    "aliases",
    "assess",
    "closed_run",
    "commits",
    "count_look",
    "examples_asked_for",
    "forget_rows",
    "forget_traces",
    "idle_versions",
    "joined_run",
    "make_canary",
    "old_traces",
    "open_run",
    "promote",
    "recipe",
    "reference_of",
    "register_prompt",
    "register_winner",
    "registered",
    "registered_if_any",
    "registered_number",
    "remove_old_traces",
    "remove_version",
    "rollback",
    "run_files",
    "store_rows",
    "store_traces",
    "tracking_uri",
    "verify",
    "whole",
    "withdraw",
]  # fmt: skip
