"""Assembles a workload's server: the registry's versions, and the spools with their destinations."""

import logging
import os
from collections.abc import Mapping
from functools import partial

from fastapi import FastAPI

from components.registry import registered, registered_if_any, store_traces
from components.serving import (
    Corrections,
    Follower,
    Journal,
    Keys,
    Outlet,
    Owners,
    Server,
    create_app,
    open_fallback,
    salt,
    sparing,
)
from components.serving.owners import SALT_VARIABLE
from components.stages.run import STATE, Run
from components.stages.storage import LAKE
from flows.upstream import open_upstream
from monitoring.lake import Lake

log = logging.getLogger(__name__)
IN_A_POD = "KUBERNETES_SERVICE_HOST"  # Kubernetes sets it in every pod
SALT, FORGOTTEN = STATE / "serving" / "salt", STATE / "serving" / "forgotten"


def application(run: Run, keys: Keys, host: str = "127.0.0.1") -> FastAPI:
    """The HTTP application that serves a run's workload at an address; it loads its champion on startup.

    Raises:
        EngineError: The API key of the second model is missing.
        ConfigError: GRADUS_SALT_FILE names a file that is not there.
        DataError: The salt is no salt.
    """
    warn_of_a_pods_folder(os.environ)
    name, settings, routing = run.workload.name, run.workload.serving, run.workload.serving.routing
    opened = partial(open_upstream, workload=run.workload, profile=run.profile)

    def follow(alias: str) -> Follower:
        lookup = registered if alias == "champion" else registered_if_any
        return Follower(partial(lookup, name, alias), opened, settings.follow_s)

    spools, every_s = STATE / "spool" / name, settings.store_s
    lake = Outlet(spools / "lake", sparing(Lake.of(STATE / "lake").store, FORGOTTEN), every_s)
    record = Outlet(spools / "mlflow", sparing(store_traces, FORGOTTEN), every_s, settings.traces.mlflow_share)
    second = routing.fallback
    server = Server(
        name,
        follow("champion"),
        settings,
        keys,
        Journal(name, run.workload.output, lake, record, owners=Owners(keys, salt(SALT), settings.feedback)),
        canary=follow("canary") if routing.canary_share else None,
        shadow=follow("shadow") if routing.shadow_share else None,
        corrections=Corrections(run.workload.output),
        host=host,
        fallback=open_fallback(run.workload, run.prompt(second.prompt), run.prices) if second else None,
    )
    return create_app(server)


def warn_of_a_pods_folder(environment: Mapping[str, str]) -> None:
    """Warn a server in a pod of what lies in the pod's folder, which no other pod sees and which may end with it."""
    if IN_A_POD not in environment:
        return
    if not environment.get(LAKE):
        log.warning(
            "The lake is a folder in this pod (%s): lake in params/storage.yaml names a bucket.", STATE / "lake"
        )
    if not environment.get(SALT_VARIABLE):
        log.warning("The salt is this pod's own (%s): %s names one that all servers share.", SALT, SALT_VARIABLE)
