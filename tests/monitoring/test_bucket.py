"""The lake in a bucket: the same records as in a folder, while several processes merge and forget."""

import errno
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, cast

import pytest

from components.errors import ConfigError
from components.records import Trace
from monitoring import bucket, parquet, upkeep
from monitoring.lake import LOCK, Lake
from monitoring.upkeep import compact, forget, old_days, remove_day
from tests.monitoring.test_candidates import answered
from tests.monitoring.test_upkeep import DAY, contents, filled
from tests.shared_storage import Bucket, needs_s3, s3_service

pytestmark = [needs_s3, pytest.mark.slow]


@pytest.fixture(scope="module")
def service() -> Generator[Bucket]:
    with s3_service() as result:
        yield result


@pytest.fixture
def lake(service: Bucket, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Lake:
    for name, value in service.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GRADUS_LAKE", f"s3://{service.name}/{request.node.name.partition('[')[0]}")
    return Lake.of(Path("nowhere"))


def put(lake: Lake, files: int = 4) -> Lake:
    """What `filled` puts into a folder."""
    filled(lake.folder, files)
    return lake


def test_a_lake_in_a_bucket_reads_as_one_in_a_folder(lake: Lake, tmp_path: Path) -> None:
    here = filled(tmp_path)
    put(lake)
    assert not Path("nowhere").exists()
    assert contents(lake) == contents(here) and lake.workloads == here.workloads == ["shop"]
    assert lake.read(Trace, "shop") == here.read(Trace, "shop")
    assert lake.sample("shop", 1, (0, DAY), 5) == here.sample("shop", 1, (0, DAY), 5)
    assert lake.share("shop", 0.5, (0, DAY)) == here.share("shop", 0.5, (0, DAY))
    assert lake.read(Trace, "shop", 200.0) == [] == lake.read(Trace, "nobody")


def test_without_the_variable_the_lake_is_the_folder(tmp_path: Path) -> None:
    assert Lake.of(tmp_path, {}).folder == tmp_path


def test_merged_files_count_once_and_are_removed_when_unread(
    lake: Lake, service: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(lake)
    before, named = contents(lake), service.name
    assert compact(lake, 3 * DAY) == 0  # nothing goes yet
    root = str(lake.folder).removeprefix(f"s3://{named}/")
    assert len([key for key in service.keys(root) if "merged-" in key]) == 2
    assert len(service.keys(root)) == 10 and contents(lake) == before
    put(lake)  # a spool that was killed stores its segments once more
    assert contents(lake) == before
    lake.store("later", [answered("later").model_dump_json()])
    monkeypatch.setattr(bucket, "READ_S", -1.0)
    assert compact(lake, 3 * DAY) == 8 + 2  # and, of traces, the first merged file and the later one
    assert contents(lake)[0] == before[0] + type(before[0])(["later"])
    assert len(service.keys(root)) == 2


def test_a_request_is_forgotten_though_its_merged_files_are_still_there(lake: Lake, service: Bucket) -> None:
    put(lake)
    compact(lake, 3 * DAY)
    assert forget(lake, ["0-0"]) == {"0-0"}
    assert sorted(each.id for each in lake.read(Trace, "shop"))[0] == "0-1"
    import pyarrow.parquet as pq

    for path in lake.folder.rglob("*.parquet"):
        with path.open("rb") as file:
            table = pq.read_table(file)
        assert "0-0" not in table[("id" if "id" in table.column_names else "trace_id")].to_pylist(), path


def test_days_beyond_their_term_are_removed(lake: Lake) -> None:
    put(lake)
    lake.store("new", [answered("new", at=5 * DAY).model_dump_json()])
    for folder in old_days(lake, 2 * DAY, "shop"):
        remove_day(lake, folder)
    assert [each.id for each in lake.read(Trace, "shop")] == ["new"]


def test_an_object_that_is_not_parquet_is_passed_over_and_stays(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    put(lake)
    strange = lake.folder / "traces" / "workload=shop" / "day=1970-01-01" / "x.parquet"
    strange.write_bytes(b"a letter")
    assert len(lake.read(Trace, "shop")) == 12 and "passed over" in caplog.text
    compact(lake, 3 * DAY)
    assert len(lake.read(Trace, "shop")) == 12 and strange.exists() and lake.broken == []


def test_an_unreachable_service_is_a_system_error_and_never_an_empty_lake() -> None:
    from upath import UPath

    reached = {"endpoint_url": "http://127.0.0.1:9"}
    away = Lake(cast(Path, UPath("s3://team/lake", key="a", secret="b", client_kwargs=reached)))
    for call in (lambda: away.store("1", [answered("a").model_dump_json()]), lambda: away.read(Trace, "shop")):
        with pytest.raises(OSError, match="Could not connect"):
            call()


def test_one_merges_while_another_waits(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "LOOK_S", 0.05)
    put(lake)
    path, merged = lake.folder / LOCK, threading.Event()

    def second() -> None:
        compact(lake, 3 * DAY)
        merged.set()

    other = threading.Thread(target=second, daemon=True)
    with bucket.lease(path):
        other.start()
        assert not merged.wait(5.0) and not list(lake.folder.rglob("merged-*"))
    assert merged.wait(30) and list(lake.folder.rglob("merged-*"))
    other.join(30)
    assert not path.exists()


def standing_still(lake: Lake, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], object]) -> None:
    """Make the next merge stand still once it has read a file, until its lease is lost and something else is done."""
    read = upkeep.batches

    def stopped(*words: Any, **named: Any) -> Any:
        monkeypatch.setattr(upkeep, "batches", read)
        rows = list(read(*words, **named))
        (lake.folder / LOCK).unlink()
        meanwhile()
        return rows

    monkeypatch.setattr(upkeep, "batches", stopped)


def test_of_two_merges_at_once_one_counts(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    put(lake)
    before = contents(lake)

    def merged_by_another() -> None:
        lake.store("later", [answered("later").model_dump_json()])
        compact(lake, 3 * DAY)

    standing_still(lake, monkeypatch, merged_by_another)
    assert compact(lake, 3 * DAY) == 0
    assert contents(lake) == (before[0] + Counter(["later"]), before[1])


def test_a_merge_that_lost_its_lease_brings_back_nothing_that_is_forgotten(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(lake)
    before = contents(lake)
    standing_still(lake, monkeypatch, lambda: forget(lake, ["0-0"]))
    compact(lake, 3 * DAY)
    assert contents(lake) == tuple(names - Counter(["0-0"]) for names in before)


def test_forgetting_begins_again_where_another_process_merged(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    put(lake)
    before, beside = contents(lake), parquet.beside

    def stopped(path: Path) -> Any:
        monkeypatch.setattr(parquet, "beside", beside)
        (lake.folder / LOCK).unlink()
        compact(lake, 3 * DAY)
        return beside(path)

    monkeypatch.setattr(parquet, "beside", stopped)
    assert forget(lake, ["0-0"]) == {"0-0"}
    assert contents(lake) == tuple(names - Counter(["0-0"]) for names in before)


def test_temporary_files_of_killed_processes_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name, at in (("gradus-lake-dead", 0.0), ("gradus-lake-running", time.time()), ("somebody-elses", 0.0)):
        file = tmp_path / name / "merged-0000000001.parquet"
        file.parent.mkdir()
        file.write_bytes(b"PAR1")
        for path in (file, file.parent):
            os.utime(path, (at, at))
    bucket.sweep()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gradus-lake-running", "somebody-elses"]


def test_objects_that_may_not_be_read_are_an_error_and_not_passed_over(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(lake)

    def refused(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Access Denied", str(path))  # as s3fs says it

    monkeypatch.setattr(parquet, "_schema", refused)
    with pytest.raises(PermissionError):
        lake.read(Trace, "shop")


def test_a_dead_holders_lock_is_taken_over_and_a_living_ones_is_not(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "LOOK_S", 0.05)
    monkeypatch.setattr(bucket, "LEASE_S", 1.0)
    path, entered = lake.folder / LOCK, threading.Event()
    path.write_bytes(b"somebody-dead 1")
    started = time.monotonic()

    def second() -> None:
        with bucket.lease(path):
            entered.set()

    other = threading.Thread(target=second, daemon=True)
    with bucket.lease(path):
        assert time.monotonic() - started >= 1.0
        other.start()
        assert not entered.wait(2.5)  # it is renewed six times a second
    assert entered.wait(30)
    other.join(30)


def test_a_missing_bucket_is_an_error_without_waiting(service: Bucket, lake: Lake) -> None:
    with pytest.raises(FileNotFoundError), bucket.lease(bucket.place("s3://nowhere/lake") / LOCK):
        pass


def answered_by_s3(status: int, number: int) -> OSError:
    """An answer of S3's as s3fs raises it."""
    from botocore.exceptions import ClientError

    error = OSError(number, "an answer")
    error.__cause__ = ClientError({"ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")  # pyright: ignore[reportArgumentType]
    return error


def test_a_service_without_conditional_writes_is_an_error_without_waiting(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise answered_by_s3(400, errno.EINVAL)

    monkeypatch.setattr(cast(Any, lake.folder).fs, "pipe_file", refused)
    with pytest.raises(OSError, match="an answer"), bucket.lease(lake.folder / LOCK):
        pass


def test_writers_at_the_same_moment_try_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "LOOK_S", 0.05)
    remote, conflicts = cast(Any, lake.folder).fs, [answered_by_s3(409, errno.EIO)]
    write = remote.pipe_file

    def once_refused(*words: Any, **named: Any) -> None:
        if conflicts:
            raise conflicts.pop()
        write(*words, **named)

    monkeypatch.setattr(remote, "pipe_file", once_refused)
    with bucket.lease(lake.folder / LOCK):
        assert not conflicts and (lake.folder / LOCK).exists()


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(ConfigError, match=r"pip install 'gradus\[s3\]'"):
        bucket.place("s3://team/lake")
