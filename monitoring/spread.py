"""Work on the lake's files: one after the other, or many at a time on a Ray cluster if a window has many rows.

Decides when a cluster is worth its overhead. The order of results is that of the files, so that both ways give the
same. A task whose worker is lost is run again, by Ray.
"""

import os
import pickle
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from components.errors import ConfigError, ServiceError
from monitoring.parquet import rows_of

CLUSTER, LEAST = "GRADUS_RAY", "GRADUS_RAY_ROWS"  # the cluster's address, and the fewest rows that it is used for
TOLD_TO_NODES = ("AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION")  # keys are not, as Ray shows them to its users
LEAST_ROWS = 1_000_000
TASK_ROWS = 250_000  # of a task, so that starting it costs little
AHEAD = 2  # tasks for each core that are handed out before their results are wanted
ANSWER_S = 5
RETRIES = 5  # of a task whose worker is lost
Task = TypeVar("Task")
Result = TypeVar("Result")


def spread(files: Sequence[Path], work: Callable[[Path], Result]) -> Iterator[Result]:
    """What `work` makes of each file, in order; `work` must be picklable if a cluster may do it.

    Raises:
        ConfigError: A cluster is named, and the package is missing or the fewest rows are no number.
        ServiceError: The cluster does not answer, or lost the same task too often.
    """
    rows = [rows_of(path) for path in files] if os.environ.get(CLUSTER) else []
    if address := _cluster_for(sum(rows)):
        for results in _on_ray(address, groups(files, rows), lambda paths: [work(path) for path in paths]):
            yield from results
    else:
        yield from map(work, files)


def share_out(tasks: Iterable[Task], work: Callable[[Task], Result], rows: int) -> Iterator[Result]:
    """What `work` makes of each task, in order: on the cluster if they come from as many rows as it is used for.

    Raises as `spread` does.
    """
    address = _cluster_for(rows)
    yield from _on_ray(address, tasks, work) if address else map(work, tasks)


def _cluster_for(rows: int) -> str | None:
    """The cluster's address, if one is named and so many rows are worth its overhead."""
    address = os.environ.get(CLUSTER)
    return address if address and rows >= _least_rows() else None


def _least_rows() -> int:
    text = os.environ.get(LEAST) or str(LEAST_ROWS)
    if not text.isdecimal():
        raise ConfigError(f"expected a number of rows in {LEAST}, found {text!r}")
    return int(text)


def groups(files: Sequence[Path], rows: Sequence[int]) -> Iterator[list[Path]]:
    """Neighbouring files that have about `TASK_ROWS` rows together, or more if a file has."""
    group, held = list[Path](), 0
    for path, many in zip(files, rows, strict=True):
        if group and held + many > TASK_ROWS:
            yield group
            group, held = [], 0
        group, held = [*group, path], held + many
    if group:
        yield group


def _on_ray(address: str, tasks: Iterable[Task], work: Callable[[Task], Result]) -> Iterator[Result]:
    ray = connected(address)

    def do(what: Callable[[Task], Result], task: Task) -> bytes:
        return import_module("ray").cloudpickle.dumps(what(task))  # Ray would pickle each tuple of a list by itself

    remote, shared = ray.remote(max_retries=RETRIES)(do), ray.put(work)
    most = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
    waiting: deque[Any] = deque()
    try:
        for task in tasks:
            waiting.append(remote.remote(shared, task))
            if len(waiting) == most:
                yield pickle.loads(ray.get(waiting.popleft()))
        while waiting:
            yield pickle.loads(ray.get(waiting.popleft()))
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise ServiceError(f"expected an answer of the Ray cluster {address}, found {error}") from error
    finally:
        for each in waiting:
            ray.cancel(each)


def connected(address: str) -> Any:
    """The package ray, connected to a cluster; "local" starts one on this machine.

    Raises:
        ConfigError: The package is missing.
        ServiceError: There is no such cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray: Any = import_module("ray")
    except ImportError as error:
        raise ConfigError("expected the package ray for storage.ray, found none: pip install 'gradus[ray]'") from error
    if not ray.is_initialized():
        try:
            if ":" in address:  # Ray itself would try for minutes
                host, _, port = address.removeprefix("ray://").rpartition(":")
                socket.create_connection((host, int(port)), timeout=ANSWER_S).close()
            sent = {name: os.environ[name] for name in TOLD_TO_NODES if name in os.environ}
            ray.init(
                address=address, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
                runtime_env={"env_vars": sent},
            )  # fmt: skip
        except (ConnectionError, ValueError, OSError, RuntimeError) as error:
            raise ServiceError(f"expected a Ray cluster at {address}, found {error}") from error
    return ray
