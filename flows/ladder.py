"""The ladder: data → audit → classical → prompts → SFT → certificate → RL → evaluation → gate → report."""

import os

from prefect import flow
from prefect.concurrency.sync import concurrency

from components.registry import open_run
from components.stages import LADDER
from components.stages.__main__ import PARENT
from components.stages.run import Run, git_commit
from flows.tasks import stage, unchanged

TRAINER = "trainer"  # the limit by which a server lets one climb train at a time; without a server there is none


@flow(name="scheduled", flow_run_name="{workload}")
def scheduled(workload: str, profile: str) -> None:
    """Climb with a workload on a profile, as a deployment does."""
    climb(Run.load(f"{workload}-{profile}"))


@flow(name="ladder", flow_run_name="{run}")
def ladder(run: str) -> None:
    """Climb with one workload on one profile; stages whose inputs did not change are skipped."""
    with concurrency(TRAINER, occupy=1):
        stage("data", run)
        stage("audit", run)
        stage("classical", run)
        stage("prompts", run)
        stage("sft", run)
        stage("certify", run)
        stage("rl", run)
        stage("evaluate", run)
        stage("gate", run)
        stage("report", run)


def climb(run: Run) -> None:
    """Climb as one run of the record; at once where nothing changed.

    Raises:
        GradusError: The data or the model are wrong, or a stage failed.
    """
    _ = run.base_model  # a mistake is told before work begins
    if unchanged([f"{one}@{run.name}" for one in LADDER]):
        return
    tags = {"run": run.name, "stage": "ladder", "git_commit": git_commit()}
    with open_run(run.workload.name, run.name, tags) as tracker:
        os.environ[PARENT] = str(tracker.run_id)
        ladder(run.name)
        tracker.artifact(run.report, "report")
