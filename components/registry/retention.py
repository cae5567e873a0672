"""What can be removed from the record: traces by age or on request, and versions without an alias.

Decides what is removed and how; the caller decides the age.
"""

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.registry.models import COPIES, local_folder
from components.registry.store import connect, expecting
from components.registry.traces import mlflow_trace_id

_PAGE = 500
_PIECE = 100  # trace ids per call


@dataclass(frozen=True)
class Idle:
    """A registered version without an alias, and the folder of its files if it is on this machine."""

    workload: str
    number: int
    folder: Path | None


def old_traces(workload: str, before: float) -> int:
    """The number of a workload's traces from before a time, in seconds since 1970.

    Raises:
        RegistryError: The record is unavailable.
    """
    client, token, count = connect(), None, 0
    experiment = _experiment(client, workload)
    with expecting(f"the traces of {workload}"):
        while experiment is not None:
            page = client.search_traces(
                locations=[experiment], filter_string=f"timestamp_ms < {int(before * 1000)}", max_results=_PAGE,
                page_token=token, include_spans=False,
            )  # fmt: skip
            count, token = count + len(page), page.token
            if not token:
                break
    return count


def remove_old_traces(workload: str, before: float) -> int:
    """Remove them; return their number."""
    client, gone = connect(), 0
    experiment = _experiment(client, workload)
    with expecting(f"old traces of {workload} to be removed"):
        while experiment is not None:
            went = client.delete_traces(experiment, max_timestamp_millis=int(before * 1000), max_traces=_PAGE)
            gone += went
            if went < _PAGE:
                break
    return gone


def forget_traces(workload: str, names: Collection[str]) -> int:
    """Remove traces by name, with their assessments; return how many were removed.

    Raises:
        RegistryError: The record is unavailable, or refuses.
    """
    client = connect()
    experiment, trace_ids = _experiment(client, workload), [mlflow_trace_id(name) for name in sorted(names)]
    with expecting(f"traces of {workload} to be removed"):
        if experiment is None:
            return 0
        pieces = [trace_ids[start : start + _PIECE] for start in range(0, len(trace_ids), _PIECE)]
        return sum(client.delete_traces(experiment, trace_ids=piece) for piece in pieces)


def idle_versions(workload: str, newest: int) -> list[Idle]:
    """Versions without an alias, except the newest `newest` of them.

    Raises:
        RegistryError: The record is unavailable.
    """
    client = connect()
    with expecting(f"the versions of {workload}"):
        versions = list(client.search_model_versions(f"name = '{workload}'"))
        models = client.search_registered_models(f"name = '{workload}'")
        aliases = {int(number) for model in models for number in model.aliases.values()}
    needed = {str(version.source) for version in versions if int(version.version) in aliases}
    idle = sorted(
        (version for version in versions if int(version.version) not in aliases),
        key=lambda version: -int(version.version),
    )
    return [_idle(workload, version, needed) for version in idle[newest:]]


def commits(workload: str) -> dict[int, str]:
    """The commit from which each registered version was made.

    Raises:
        RegistryError: The record is unavailable.
    """
    with expecting(f"the versions of {workload}"):
        versions = connect().search_model_versions(f"name = '{workload}'")
    return {int(version.version): version.tags.get("git_commit", "").removesuffix("-dirty") for version in versions}


def remove_version(version: Idle) -> None:
    """Remove a version, and its files if they are on this machine.

    Raises:
        RegistryError: The record refuses, for example because the version has an alias by now.
    """
    with expecting(f"version {version.number} of {version.workload} to be removed"):
        connect().delete_model_version(version.workload, str(version.number))
    shutil.rmtree(COPIES / version.workload / str(version.number), ignore_errors=True)
    if version.folder is not None:
        shutil.rmtree(version.folder, ignore_errors=True)


def _idle(workload: str, version: Any, needed: Collection[str]) -> Idle:
    folder = None if str(version.source) in needed else local_folder(str(version.source))
    return Idle(workload, int(version.version), folder)


def _experiment(client: Any, workload: str) -> str | None:
    with expecting(f"the experiment {workload}"):
        experiment = client.get_experiment_by_name(workload)
    return None if experiment is None else str(experiment.experiment_id)
