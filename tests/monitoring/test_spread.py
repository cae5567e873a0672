"""The lake's files read on a Ray cluster of two nodes on this machine."""

import os
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from components.errors import ConfigError, DataError, ScorerError, ServiceError
from components.records import Completion, Example, Feedback, Score, Scored, Trace
from monitoring import scoring
from monitoring import spread as module
from monitoring.bucket import place
from monitoring.lake import Lake
from monitoring.scoring import Scoring, score_window
from monitoring.spread import CLUSTER, LEAST, groups, spread
from tests.monitoring.test_lake import lines, trace
from tests.shared_storage import KEYS, needs_s3, s3_service

WINDOW = (0.0, 1e9)
FILES, ROWS = 6, 40


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes with a core each, started as processes of their own; the second one may be killed."""
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    nodes: Any = import_module("ray.cluster_utils")
    node = {"num_cpus": 1, "env_vars": KEYS}
    there = nodes.Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    there.second = there.add_node(**node)
    there.wait_for_nodes()
    yield there
    ray.shutdown()
    there.shutdown()


@pytest.fixture
def on_cluster(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CLUSTER, cluster.address)
    monkeypatch.setenv(LEAST, "1")
    monkeypatch.setattr(module, "TASK_ROWS", ROWS)  # a task for each file


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return filled(Lake(tmp_path))


def filled(lake: Lake) -> Lake:
    for file in range(FILES):
        made = [trace(f"r{file}-{row}", file * 1e5 + row) for row in range(ROWS)]
        made = [each.model_copy(update={"customer": f"c{row % 7}"}) for row, each in enumerate(made)]
        words = [Feedback(trace_id=made[0].id, at=made[0].at + 1, workload="triage", score=1.0)]
        lake.store(f"s{file}", lines(*made, *words))
    return lake


def everything(lake: Lake) -> list[Any]:
    requests = {"r0-1", "r3-2", "r5-39"}
    return [
        lake.read(Trace, "triage"), lake.read(Feedback, "triage", since=1.0), lake.sample("triage", 3, WINDOW, 25),
        lake.sample("triage", 4, WINDOW, 25), lake.share("triage", 0.3, WINDOW), lake.with_tools("triage", WINDOW),
        lake.chosen("triage", lambda name: name.endswith("7"), (1e5, 3e5)), lake.about("triage", requests, WINDOW),
        lake.outcomes("triage", 3, WINDOW),
    ]  # fmt: skip


@pytest.mark.usefixtures("on_cluster")
def test_a_cluster_reads_what_one_process_reads(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    there = everything(lake)
    assert import_module("ray").is_initialized()
    monkeypatch.delenv(CLUSTER)
    here = everything(lake)
    assert there == here
    assert len(here[0]) == FILES * ROWS
    assert len(here[2][0]) == 25


class ByProcess:
    """A scorer that cannot decide a tenth of the answers, and says which process looked."""

    def score(self, example: Example, completion: Completion) -> Score:
        if completion.text.endswith("7"):
            raise ScorerError(f"expected another answer ({example.id})")
        return Score(value=1, passed=True, reason=f"process {os.getpid()}")


@pytest.mark.usefixtures("on_cluster")
def test_a_cluster_scores_as_one_process_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "BATCH", ROWS)
    made = [trace(f"r{row}", float(row)) for row in range(4 * ROWS)]
    made = [each.model_copy(update={"text": str(row)}) for row, each in enumerate(made)]
    words = [Feedback(trace_id=each.id, at=each.at, workload="triage", corrected="{}") for each in made]
    results = list[tuple[Any, Any, Any]]()
    for name in ("there", "here"):
        lake = Lake(tmp_path / name)
        lake.store("all", lines(*made, *words))
        counts = score_window(lake, "triage", ByProcess, *WINDOW)
        scores = lake.read(Scored, "triage")
        results.append((counts, [each.trace_id for each in scores], {each.reason for each in scores}))
        monkeypatch.delenv(CLUSTER, raising=False)
    (there, ids, workers), (here, same, own) = results
    assert there == here == Scoring(scorer=4 * ROWS * 9 // 10, failed=4 * ROWS // 10)
    assert ids == same
    assert own == {f"process {os.getpid()}"} and not own & workers


@pytest.mark.slow
@needs_s3
@pytest.mark.usefixtures("on_cluster")
def test_the_nodes_read_a_bucket_with_keys_of_their_own(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = import_module("ray")
    here = everything(lake)
    ray.shutdown()  # the next reading tells the nodes where the bucket is
    with s3_service() as service:
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        there = Lake(place(f"s3://{service.name}/lake"))
        filled(there)
        assert everything(there) == here
        files = list(there.folder.glob("traces/*/*/*.parquet"))
        assert os.getpid() not in {number for _, number in spread(files, process)}
    ray.shutdown()


def process(path: Path) -> tuple[str, int]:
    """Slow work, and the process that did it."""
    time.sleep(0.4)
    return path.name, os.getpid()


@pytest.mark.usefixtures("on_cluster")
def test_a_node_that_is_killed_loses_nothing(cluster: Any, lake: Lake) -> None:
    files = sorted(lake.folder.rglob("traces/**/*.parquet")) * 8
    going, results = spread(files, process), list[tuple[str, int]]()
    while len({number for _, number in results}) < 2:  # both nodes work
        results.append(next(going))
    cluster.remove_node(cluster.second, allow_graceful=False)
    results += going
    assert [name for name, _ in results] == [path.name for path in files]
    assert os.getpid() not in {number for _, number in results}


@pytest.mark.usefixtures("on_cluster")
def test_an_error_of_the_work_is_what_is_raised(lake: Lake) -> None:
    def fail(path: Path) -> None:
        raise DataError(f"expected rows, found none ({path.name})")

    with pytest.raises(DataError, match=r"expected rows, found none \(s0.parquet\)"):
        list(spread(sorted(lake.folder.rglob("traces/**/*.parquet")), fail))


def test_few_rows_are_read_here_though_there_is_a_cluster(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: str) -> Any:
        raise AssertionError(address)

    monkeypatch.setattr(module, "connected", refuse)
    monkeypatch.setenv(CLUSTER, "127.0.0.1:1")
    assert len(lake.read(Trace, "triage")) == FILES * ROWS
    monkeypatch.setenv(LEAST, str(FILES * ROWS))
    with pytest.raises(AssertionError, match=r"127\.0\.0\.1:1"):
        lake.read(Trace, "triage")
    monkeypatch.setenv(LEAST, "many")
    with pytest.raises(ConfigError, match=r"number of rows in GRADUS_RAY_ROWS, found 'many'"):
        lake.read(Trace, "triage")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:port", "nowhere"])
def test_a_cluster_that_does_not_answer_is_named(address: str, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    ray.shutdown()
    monkeypatch.setenv(CLUSTER, address)
    monkeypatch.setenv(LEAST, "1")
    with pytest.raises(ServiceError, match=f"expected a Ray cluster at {address}, found"):
        lake.read(Trace, "triage")


def test_without_the_package_it_is_named(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setenv(CLUSTER, "local")
    monkeypatch.setenv(LEAST, "1")
    with pytest.raises(ConfigError, match=r"expected the package ray .* pip install 'gradus\[ray\]'"):
        lake.read(Trace, "triage")


def test_neighbouring_files_make_a_task() -> None:
    paths = [Path(str(number)) for number in range(5)]

    def named(rows: list[int]) -> list[str]:
        tasks = groups(paths, [module.TASK_ROWS * each // 10 for each in rows])
        return ["".join(map(str, task)) for task in tasks]

    assert named([4, 4, 4, 20, 1]) == ["01", "2", "3", "4"]
    assert named([0, 0, 0, 0, 0]) == ["01234"]
