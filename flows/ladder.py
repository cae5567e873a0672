"""A climb: the making stages, the standing version, the gate, publication, the report, and the record in MLflow."""

import os

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.sync import concurrency

from components.registry import Alias, joined_run, open_run
from components.stages import warm
from components.stages.advise import settle
from components.stages.command import PARENT, making
from components.stages.graph import nodes, write_graph
from components.stages.publish import is_published, publish, publish_prompts
from components.stages.run import Run, git_commit
from components.stages.standing import stand
from components.stages.tell import tell
from flows.tasks import On, stage, unchanged

TRAINER = "trainer"  # Prefect's concurrency limit, so that one climb trains at a time; without a server there is none


@flow(name="scheduled", flow_run_name="{workload}")
def scheduled(workload: str, profile: str) -> None:
    """Climb with a workload on a profile, for deployments."""
    climb(Run.of(workload, profile))


@flow(name="ladder", flow_run_name="{run.name}")
def ladder(run: Run, record: str, alias: Alias, on: On = "local") -> None:
    """Climb; stages with unchanged inputs are skipped, steps that read or change the registry never are."""
    with concurrency(TRAINER, occupy=1):
        for node in making(run):
            stage(run, node.name, on)
        find_standing(run, record)
        stage(run, "gate", on)
        carry_out(run, record, alias)
        settle_advice(run, record)
        stage(run, "report", on)
        tell_record(run, record)


@flow(name="first-look", flow_run_name="{run.name}")
def first_look(run: Run, on: On = "local") -> None:
    """Climb on a part of the data up to the evaluation; nothing is decided or published."""
    with concurrency(TRAINER, occupy=1):
        for node in nodes(run):
            stage(run, node.name, on)


@task(name="standing", cache_policy=NO_CACHE)
def find_standing(run: Run, record: str) -> None:
    """Find out which version stands before the gate, and its answers."""
    with joined_run(record) as tracker:
        stand(run, tracker)


@task(name="publish", cache_policy=NO_CACHE)
def carry_out(run: Run, record: str, alias: Alias) -> None:
    """Register the winner and move the alias, if the gate's decision is new; prompts are registered in any case."""
    if is_published(run):
        publish_prompts(run)
        return
    with joined_run(record) as tracker:
        publish(run, tracker, alias)


@task(name="settle", cache_policy=NO_CACHE)
def settle_advice(run: Run, record: str) -> None:
    """Record whether the last advice was right."""
    with joined_run(record) as tracker:
        settle(run, tracker)


@task(name="tell", cache_policy=NO_CACHE)
def tell_record(run: Run, record: str) -> None:
    """Write figures and outcome to the MLflow runs."""
    with joined_run(record) as tracker:
        tell(run, tracker)


def climb(run: Run, alias: Alias = "champion", on: On = "local") -> None:
    """Climb as one MLflow run; returns at once if nothing changed.

    Raises:
        GradusError: The data or the model is wrong, or a stage failed.
    """
    _ = run.base_model  # so that a mistake is reported before work begins
    write_graph(run)
    done = unchanged(run, [node.name for node in nodes(run)])
    if done and (run.first_look or is_published(run)):
        return
    tags = {"run": run.name, "stage": "ladder", **run.setting, "git_commit": git_commit()}
    with open_run(run.workload.name, run.name, tags) as tracker:
        tracker.params({**run.setting})
        os.environ[PARENT] = str(tracker.run_id)
        try:
            if run.first_look:
                first_look(run, on)
                return
            ladder(run, str(tracker.run_id), alias, on)
        finally:
            warm.end()
        tracker.artifact(run.report, "report")
