"""A climb, as one run of MLflow: whether anything is to be done, and the flow that does it."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.registry import Alias
    from components.stages.run import Run
    from flows.tasks import On

PAYS = 3  # so many stages together take longer to import what they need than one process that imports everything


def climb(run: "Run", alias: "Alias" = "champion", on: "On" = "local") -> None:
    """Climb as one MLflow run; returns at once if nothing changed.

    Raises:
        GradusError: The data or the model is wrong, or a stage failed.
    """
    from components.stages.graph import nodes, write_graph
    from components.stages.publish import is_published
    from flows.reproduce import stale

    _ = run.base_model  # so that a mistake is reported before work begins
    write_graph(run)
    due = stale(run, nodes(run))
    if not due and (run.first_look or is_published(run)):
        return
    from components.stages import warm

    if len(due) >= PAYS and on == "local":
        warm.begin()  # first of all: it imports beside the rest
    from components.registry import open_run
    from components.stages.command import PARENT
    from components.stages.run import git_commit
    from flows.ladder import first_look, ladder

    tags = {"run": run.name, "stage": "ladder", **run.setting, "git_commit": git_commit()}
    try:
        with open_run(run.workload.name, run.name, tags) as tracker:
            tracker.params({**run.setting})
            os.environ[PARENT] = str(tracker.run_id)
            if run.first_look:
                first_look(run, on)
                return
            ladder(run, str(tracker.run_id), alias, on)
            tracker.artifact(run.report, "report")
    finally:
        warm.end()
