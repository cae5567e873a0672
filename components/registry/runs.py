"""Runs: the settings, metrics, data and files of a piece of work, recorded while it runs.

Decides how a run is written and closed; the caller decides its name and content.
"""

import hashlib
import json
import re
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.errors import RegistryError
from components.registry.redaction import redact, safe
from components.registry.store import absent, artifact_location, connect, expecting
from components.tracking import Dataset

FLUSH_SECONDS = 1.0  # metrics within this time are written together: a write takes 3 to 20 ms
MOST_METRICS = 1_000  # MLflow's limit per call
MOST_SETTINGS = 100
MOST_CHARACTERS = 6_000  # MLflow's limit per setting
MOST_NAME = 250  # MLflow's limit for the name of a setting or metric
# What MLflow refuses in names, because they may be paths: most signs, empty parts, `.` and `..`, two dots at the start.
_REFUSED = re.compile(r"[^\w.\- :/]|(?<![^/])(?:\.(?=\.?(?:/|\Z))|(?=/|\Z))|\A\.(?=\.)")
MADE_AS = "gradus.made_as"  # a tag of a run that stands in for one in another record: that one's id


class MlflowTracker:
    """An open run, a `components.tracking.Tracker`."""

    def __init__(self, client: Any, run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        self._waiting: list[Any] = []
        self._flushed = 0.0

    @property
    def run_id(self) -> str | None:
        """The run's id."""
        return self._run_id

    def params(self, values: dict[str, object]) -> None:
        """Record settings, with dotted names for nested ones and secrets hidden.

        Raises:
            RegistryError: A setting already has another value in this run, or the record refuses.
        """
        from mlflow.entities import Param

        settings = [Param(recorded_name(name), value[:MOST_CHARACTERS]) for name, value in safe(values).items()]
        with expecting("settings that the run can keep"):
            for start in range(0, len(settings), MOST_SETTINGS):
                self._client.log_batch(self._run_id, params=settings[start : start + MOST_SETTINGS])

    def complete(self, values: dict[str, object]) -> None:
        """Record settings that the run does not have yet; existing values are kept, even if they differ."""
        with expecting("settings that the run can keep"):
            recorded = self._client.get_run(self._run_id).data.params
        self.params({name: value for name, value in safe(values).items() if recorded_name(name) not in recorded})

    def metrics(self, values: dict[str, float], step: int | None = None) -> None:
        """Record metrics named `stage/metric`; those within a second are written together."""
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        self._waiting += [
            Metric(recorded_name(name), float(value), now_ms, step or 0) for name, value in values.items()
        ]
        if len(self._waiting) >= MOST_METRICS or time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the pending metrics."""
        waiting, self._waiting = self._waiting, []
        with expecting("numbers that the run can keep"):
            for start in range(0, len(waiting), MOST_METRICS):
                self._client.log_batch(self._run_id, metrics=waiting[start : start + MOST_METRICS])
        self._flushed = time.monotonic()

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Store a file, or a folder's content, under `folder` in the run's artifacts.

        Raises:
            RegistryError: There is no such file, or it cannot be stored.
        """
        if not path.exists():
            raise RegistryError(f"expected a file or folder to keep with run {self._run_id}, found none at {path}")
        keep = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
        with expecting(f"{path} to be stored"):
            keep(self._run_id, str(path), folder)

    def dataset(self, data: Dataset) -> None:
        """Record data that the run used, and their role."""
        from mlflow.entities import Dataset as Entity
        from mlflow.entities import DatasetInput, InputTag

        source, profile = json.dumps({"uri": str(data.source)}), json.dumps({"num_rows": data.rows})
        entity = Entity(data.name, data.digest[:36], "local", source, profile=profile)
        with expecting("data that the run can name"):
            self._client.log_inputs(self._run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", data.split)])])

    def tag(self, values: Mapping[str, str]) -> None:
        """Set tags, secrets hidden."""
        with expecting("tags that the run can keep"):
            for name, value in safe(values).items():
                self._client.set_tag(self._run_id, name, value)

    def close(self, status: str) -> None:
        """Write pending metrics and end the run as FINISHED, FAILED or KILLED."""
        self.flush()
        with expecting("a run that can be closed"):
            self._client.set_terminated(self._run_id, status)


def recorded_name(name: str) -> str:
    """The name of a setting or metric as MLflow takes it: `_` stands for what it refuses, as in `Total (EUR)`.

    A name that had to be changed or cut ends with eight digits of its hash, so that two names stay two.
    """
    taken = _REFUSED.sub("_", name)
    if taken == name and len(name) <= MOST_NAME:
        return name
    mark = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:8]
    return f"{taken[: MOST_NAME - len(mark) - 1]}-{mark}"


@contextmanager
def open_run(
    experiment: str, name: str, tags: Mapping[str, str], parent: str | None = None
) -> Generator[MlflowTracker]:
    """Open a run for the body; it ends as FINISHED, FAILED on an exception (in the tag `error`), KILLED on Ctrl-C.

    `tags` give the work's provenance: `git_commit`, `params_hash`, `data_hash`, and more. `parent` is the id of the run
    that this one belongs to.

    Raises:
        RegistryError: The record cannot be opened or written; exceptions from the body pass through.
    """
    client = connect()
    tracker = MlflowTracker(client, _create(client, experiment_id(client, experiment), name, _all_tags(tags, parent)))
    try:
        yield tracker
    except BaseException as error:
        _fail(tracker, error)
        raise
    tracker.close("FINISHED")


@contextmanager
def joined_run(run_id: str) -> Generator[MlflowTracker]:
    """Record in a run that another process opened and will close.

    Raises:
        RegistryError: The record cannot be opened or written; exceptions from the body pass through.
    """
    tracker = MlflowTracker(connect(), run_id)
    yield tracker
    tracker.flush()


@contextmanager
def closed_run(experiment: str, name: str, run_id: str) -> Generator[MlflowTracker]:
    """Record in a closed run; one from another record gets a stand-in here, the same each time.

    A rung that DVC has fetched from elsewhere names a run in the record where it was made.

    Raises:
        RegistryError: The record cannot be opened or written; exceptions from the body pass through.
    """
    client = connect()
    existing = _known(client, experiment_id(client, experiment), run_id)
    if existing is not None:
        with joined_run(existing) as tracker:
            yield tracker
    else:
        with open_run(experiment, name, {MADE_AS: run_id}) as tracker:
            yield tracker


def _known(client: Any, experiment: str, run_id: str) -> str | None:
    """The id of this run or of its stand-in, or None."""
    from mlflow.exceptions import MlflowException

    with expecting(f"the run {run_id}"):
        try:
            run = client.get_run(run_id)
        except MlflowException as error:
            if not absent(error):
                raise
        else:
            if run.info.lifecycle_stage == "active":
                return run_id
        stand_ins = client.search_runs([experiment], f"tags.`{MADE_AS}` = '{run_id}'", max_results=1)
    return str(stand_ins[0].info.run_id) if stand_ins else None


def _fail(tracker: MlflowTracker, error: BaseException) -> None:
    """Close a run as failed; if even that fails, the body's own exception is more useful."""
    status = "KILLED" if isinstance(error, KeyboardInterrupt | SystemExit) else "FAILED"
    try:
        tracker.tag({"error": f"{type(error).__name__}: {redact(str(error))}"[:2_000]})
        tracker.close(status)
    except RegistryError as refused:
        error.add_note(str(refused))


def _all_tags(tags: Mapping[str, str], parent: str | None) -> dict[str, str]:
    """The caller's tags, and those that MLflow's pages use."""
    cleaned = safe(tags)
    if commit := cleaned.get("git_commit"):
        cleaned["mlflow.source.git.commit"] = commit
    if parent is not None:
        cleaned["mlflow.parentRunId"] = parent
    return {"mlflow.source.name": "gradus", "mlflow.source.type": "PROJECT", **cleaned}


def _create(client: Any, experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
    with expecting(f"a run `{name}` to start"):
        return str(client.create_run(experiment_id, tags=dict(tags), run_name=name).info.run_id)


def experiment_id(client: Any, name: str) -> str:
    """The id of an experiment, which is created if it is missing, even if another process does so at the same time."""
    from mlflow.exceptions import MlflowException

    with expecting(f"the experiment `{name}`"):
        experiment = client.get_experiment_by_name(name)
        if experiment is None:
            try:
                return str(client.create_experiment(name, artifact_location=artifact_location(name)))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                experiment = client.get_experiment_by_name(name)
    if experiment.lifecycle_stage != "active":
        raise RegistryError(f"expected the experiment `{name}` to be active, found it {experiment.lifecycle_stage}")
    return str(experiment.experiment_id)
