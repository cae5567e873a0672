"""Prefect's flows of a climb: the making stages, standing version, gate, publication, report, and record in MLflow."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.sync import concurrency

from components.registry import Alias, joined_run
from components.stages.advise import settle
from components.stages.command import making
from components.stages.graph import nodes
from components.stages.publish import is_published, publish, publish_prompts
from components.stages.run import Run
from components.stages.standing import stand
from components.stages.tell import tell
from flows.climb import climb
from flows.tasks import On, stage

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
