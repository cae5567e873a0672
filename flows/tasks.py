"""Prefect's task: one stage of a run, reproduced by DVC."""

from typing import Literal

from prefect import task
from prefect.cache_policies import NO_CACHE

from components.stages.graph import nodes
from components.stages.run import Run
from flows.reproduce import reproduce

On = Literal["local", "k8s"]  # where stages run: as processes here, or as Jobs of Kubernetes


@task(name="stage", task_run_name="{name}", cache_policy=NO_CACHE)
def stage(run: Run, name: str, on: On = "local") -> None:
    """Reproduce one stage here or on the cluster, unless nothing changed.

    Raises:
        StageFailedError: The stage failed; it has written why to standard error.
        ConfigError: DVC cannot start it: a file that it needs is missing, or another process is running here.
        ServiceError: The cluster refuses it.
    """
    if on == "local":
        reproduce(run, name)
    else:
        from flows.cluster import Cluster, on_the_cluster

        on_the_cluster(run, next(node for node in nodes(run) if node.name == name), Cluster.reached())
