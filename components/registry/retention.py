"""What can be removed from the record: traces by age or on request, and versions without an alias.

Decides what is removed and how, and gives the files that stay; the caller decides the age, and what to look for.
"""

import shutil
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.records import choices_id, request_id
from components.registry.models import ARTIFACT, COPIES, copy_folder
from components.registry.moved import local_folder
from components.registry.store import connect, expecting
from components.registry.traces import EXAMPLE_TAG, PAGE, mlflow_trace_id, remove_traces, traces_that


@dataclass(frozen=True)
class Idle:
    """A registered version without an alias, and the folder of its files on this machine; None if others need it."""

    workload: str
    number: int
    folder: Path | None


def old_traces(workload: str, before: float) -> int:
    """The number of a workload's traces from before a time, in seconds since 1970.

    Raises:
        RegistryError: The record is unavailable.
    """
    client = connect()
    experiment = _experiment(client, workload)
    with expecting(f"the traces of {workload}"):
        if experiment is None:
            return 0
        return sum(1 for _ in traces_that(client, experiment, f"timestamp_ms < {int(before * 1000)}"))


def remove_old_traces(workload: str, before: float) -> int:
    """Remove them; return their number."""
    client, gone = connect(), 0
    experiment = _experiment(client, workload)
    with expecting(f"old traces of {workload} to be removed"):
        while experiment is not None:
            went = client.delete_traces(experiment, max_timestamp_millis=int(before * 1000), max_traces=PAGE)
            gone += went
            if went < PAGE:
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
        return 0 if experiment is None else remove_traces(client, experiment, trace_ids)


def forget_rows(workload: str, example: str) -> int:
    """Remove an example's rows from all evaluations, and those of its request's further completions.

    Returns how many were removed.

    Raises:
        RegistryError: The record is unavailable, or refuses.
    """
    client = connect()
    experiment, wanted = _experiment(client, workload), f"tags.`{EXAMPLE_TAG}` LIKE '{example}%'"
    with expecting(f"rows of evaluations of {workload} to be removed"):
        if experiment is None:
            return 0
        named = {trace.info.trace_id: trace.info.tags[EXAMPLE_TAG] for trace in traces_that(client, experiment, wanted)}
        gone = [trace_id for trace_id, name in named.items() if example in (request_id(name), choices_id(name))]
        return remove_traces(client, experiment, gone)


def run_files(workload: str) -> Iterator[tuple[str, Path]]:
    """The files of a workload's runs: each one's address, and where it can be read until the next is asked for.

    Those of registered versions are left out.

    Raises:
        RegistryError: The record is unavailable, or a file cannot be fetched.
    """
    client = connect()
    with expecting(f"the experiment {workload}"):
        experiment = client.get_experiment_by_name(workload)
    if experiment is None:
        return
    home = local_folder(str(experiment.artifact_location))
    if home is None:
        for run in _runs(client, str(experiment.experiment_id)):
            yield from _fetched(client, run)
        return
    for path in sorted(home.rglob("*")):
        if path.is_file() and path.relative_to(home).parts[1:3] != ("artifacts", ARTIFACT):  # RUN/artifacts/model/…
            yield str(path), path


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
    shutil.rmtree(COPIES / version.workload / str(version.number), ignore_errors=True)  # an earlier release's copy
    if version.folder is not None:
        shutil.rmtree(version.folder, ignore_errors=True)


def _idle(workload: str, version: Any, needed: Collection[str]) -> Idle:
    stored = local_folder(str(version.source))
    shared = stored is not None and str(version.source) in needed
    return Idle(workload, int(version.version), None if shared else stored or copy_folder(version))


def _runs(client: Any, experiment: str) -> Iterator[Any]:
    """All runs, those that somebody deleted in MLflow's pages too: their files are still there."""
    from mlflow.entities import ViewType

    token: str | None = None
    while True:
        with expecting(f"the runs of experiment {experiment}"):
            page = client.search_runs([experiment], run_view_type=ViewType.ALL, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _fetched(client: Any, run: Any) -> Iterator[tuple[str, Path]]:
    """The files of a run that lie elsewhere, one folder at a time."""
    run_id = str(run.info.run_id)
    with expecting(f"the files of run {run_id}"):
        tops = [item.path for item in client.list_artifacts(run_id) if item.path != ARTIFACT]
    for top in tops:
        with tempfile.TemporaryDirectory() as folder:
            with expecting(f"{top} of run {run_id}"):
                client.download_artifacts(run_id, top, folder)
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file():
                    yield f"{run.info.artifact_uri}/{path.relative_to(folder)}", path


def _experiment(client: Any, workload: str) -> str | None:
    with expecting(f"the experiment {workload}"):
        experiment = client.get_experiment_by_name(workload)
    return None if experiment is None else str(experiment.experiment_id)
