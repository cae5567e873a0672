"""What the record need not keep: traces by age or by request, and versions that no alias needs.

Decides what is found and how it is removed; how long is long enough is the caller's decision.
"""

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.registry.models import COPIES, local_folder
from components.registry.store import connect, told
from components.registry.traces import mlflow_trace_id

_PAGE = 500
_PIECE = 100  # trace ids of one call


@dataclass(frozen=True)
class Idle:
    """A registered version that no alias points to, and the folder of its files if it lies on this machine."""

    workload: str
    number: int
    folder: Path | None


def old_traces(workload: str, before: float) -> int:
    """How many traces of a workload are older than a time, in seconds since 1970.

    Raises:
        RegistryError: The record is away.
    """
    client, token, count = connect(), None, 0
    experiment = _experiment(client, workload)
    with told(f"the traces of {workload}"):
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
    """Remove them; how many went."""
    client, gone = connect(), 0
    experiment = _experiment(client, workload)
    with told(f"old traces of {workload} to be removed"):
        while experiment is not None:
            went = client.delete_traces(experiment, max_timestamp_millis=int(before * 1000), max_traces=_PAGE)
            gone += went
            if went < _PAGE:
                break
    return gone


def forget_traces(workload: str, names: Collection[str]) -> int:
    """Remove traces by their names, with all that was said of them; how many went.

    Raises:
        RegistryError: The record is away, or refuses.
    """
    client = connect()
    experiment, wanted = _experiment(client, workload), [mlflow_trace_id(name) for name in sorted(names)]
    with told(f"traces of {workload} to be removed"):
        if experiment is None:
            return 0
        pieces = [wanted[start : start + _PIECE] for start in range(0, len(wanted), _PIECE)]
        return sum(client.delete_traces(experiment, trace_ids=piece) for piece in pieces)


def idle_versions(workload: str, newest: int) -> list[Idle]:
    """Versions that no alias points to, but for the newest so many of them.

    Raises:
        RegistryError: The record is away.
    """
    client = connect()
    with told(f"the versions of {workload}"):
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
    """The commit that each registered version was made from.

    Raises:
        RegistryError: The record is away.
    """
    with told(f"the versions of {workload}"):
        versions = connect().search_model_versions(f"name = '{workload}'")
    return {int(version.version): version.tags.get("git_commit", "").removesuffix("-dirty") for version in versions}


def remove_version(version: Idle) -> None:
    """Remove a version, and its files where they lie on this machine.

    Raises:
        RegistryError: The record refuses, for example because an alias points to it now.
    """
    with told(f"version {version.number} of {version.workload} to be removed"):
        connect().delete_model_version(version.workload, str(version.number))
    shutil.rmtree(COPIES / version.workload / str(version.number), ignore_errors=True)
    if version.folder is not None:
        shutil.rmtree(version.folder, ignore_errors=True)


def _idle(workload: str, version: Any, needed: Collection[str]) -> Idle:
    folder = None if str(version.source) in needed else local_folder(str(version.source))
    return Idle(workload, int(version.version), folder)


def _experiment(client: Any, workload: str) -> str | None:
    with told(f"the experiment {workload}"):
        experiment = client.get_experiment_by_name(workload)
    return None if experiment is None else str(experiment.experiment_id)
