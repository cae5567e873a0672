"""Where folders, disks and descriptors fail, a spool loses nothing and writes into nobody else's file."""

import errno
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from components.serving import Journal, Outlet
from components.serving.spool import Spool
from tests.components.serving.test_segment import files_of_at_most
from tests.components.serving.test_spool import ROOT, WHOLE, Kept, feedback, written
from tests.components.serving.test_streaming import Pauses
from tests.flows.conftest import wait_until

LIMITED = """
import os, resource, signal, sys
from pathlib import Path
from components.records import Feedback
from components.serving.spool import Spool
if sys.argv[2] == "no way back":
    def refuse(*_):
        raise OSError(5, "Input/output error")
    os.ftruncate = refuse
spool, number = Spool(Path(sys.argv[1])), 0
for most in (1_000, resource.RLIM_INFINITY):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    for number in range(number, number + 30):
        try:
            spool.append(Feedback(trace_id=str(number), at=0.0, workload="w"))
            print(number)
        except OSError as error:
            print("refused", error, spool.health(), file=sys.stderr)
print("health", repr(spool.health()), file=sys.stderr)
"""


@contextmanager
def idle_connections(number: int = 20) -> Generator[list[socket.socket]]:
    """The far ends of connections: whatever a process writes to a number that is not its own comes out of one."""
    with ExitStack() as held:
        pairs = [socket.socketpair() for _ in range(number)]
        for side in (end for pair in pairs for end in pair):
            held.enter_context(side)
            side.setblocking(False)
        yield [far for _, far in pairs]
        for near, far in pairs:  # nobody has closed them either
            near.send(b"still there")
            assert far.recv(100) == b"still there"


def heard(connections: list[socket.socket]) -> list[bytes]:
    """What arrived on connections that nobody wrote to."""
    words: list[bytes] = []
    for connection in connections:
        try:
            words.append(connection.recv(1000))
        except BlockingIOError:
            continue
    return words


def no_more_files(*_: object) -> Any:
    raise OSError(errno.EMFILE, "Too many open files")


def test_a_rotation_that_fails_writes_to_nobody_else_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, kept = Spool(tmp_path), Kept()
    spool.append(feedback("a"))
    with monkeypatch.context() as patch:
        patch.setattr(spool, "_open", no_more_files)
        for _ in range(3):
            with pytest.raises(OSError, match="Too many open files"):
                spool.drain(kept)
        assert "Too many open files" in spool.health()
        with idle_connections() as connections:
            spool.append(feedback("b"))
            with pytest.raises(OSError, match="Too many open files"):
                spool.drain(kept)
            assert heard(connections) == []
    assert spool.drain(kept) == 2
    assert kept.ids == ["a", "b"]
    assert spool.health() == ""


def test_a_spool_that_is_closed_writes_to_nobody_else(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.close()
    with idle_connections() as connections:
        with pytest.raises(OSError, match="closed"):
            spool.append(feedback("late"))
        spool.close()
        assert spool.drain(Kept()) == 0
        assert heard(connections) == []


def removed(folder: Path) -> None:
    shutil.rmtree(folder)


def moved(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


@pytest.mark.parametrize("drained_first", [True, False])
@pytest.mark.parametrize(("lose", "left"), [(removed, ["a", "b", "c"]), (moved, ["c"])])
def test_a_folder_that_goes_is_made_again_with_what_only_this_process_still_has(
    tmp_path: Path, lose: Callable[[Path], None], left: list[str], drained_first: bool
) -> None:
    """What was moved away is where it was moved to; what was removed is in the open file alone."""
    folder, kept = tmp_path / "spool", Kept()
    spool = Spool(folder)
    for name in "ab":
        spool.append(feedback(name))
    lose(folder)
    with idle_connections() as connections:
        if drained_first:
            spool.drain(kept)
        spool.append(feedback("c"))
        spool.drain(kept)
        assert heard(connections) == []
    assert kept.ids == left
    assert spool.health() == ""
    if lose is moved:
        Spool(tmp_path / "elsewhere").drain(kept)
        assert sorted(kept.ids) == ["a", "b", "c"]


def test_a_folder_that_cannot_be_made_again_is_reported_and_gets_everything_later(tmp_path: Path) -> None:
    folder, kept = tmp_path / "spool", Kept()
    spool = Spool(folder)
    spool.append(feedback("a"))
    removed(folder)
    folder.write_text("a file in its place")
    with idle_connections() as connections:
        for _ in range(2):
            with pytest.raises(OSError, match="spool"):
                spool.append(feedback("lost, and its caller knows"))
            with pytest.raises(OSError, match="spool"):
                spool.drain(kept)
        assert spool.health().startswith(f"expected to write to the spool {folder}, found")
        assert heard(connections) == []
    folder.unlink()
    spool.drain(kept)  # without a new record: who waits for health sends none
    assert spool.health() == ""
    spool.append(feedback("b"))
    spool.drain(kept)
    assert kept.ids == ["a", "b"]


@pytest.mark.parametrize(("way_back", "set_aside"), [("a way back", False), ("no way back", True)])
def test_a_full_disk_refuses_records_and_joins_none_to_half_of_another(
    tmp_path: Path, way_back: str, set_aside: bool
) -> None:
    """A limit on the size of files cuts a write as a full disk does; where half a line stays, a new file is begun."""
    command = [sys.executable, "-c", LIMITED, str(tmp_path), way_back]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True, timeout=60)
    acknowledged = finished.stdout.split()
    assert "refused" in finished.stderr
    assert "expected to write to the spool" in finished.stderr
    assert "health ''" in finished.stderr
    kept = Kept()
    spool = Spool(tmp_path)
    spool.drain(kept)
    assert kept.ids == acknowledged
    assert len(acknowledged) > 30
    assert bool(spool.corrupt) == set_aside


@pytest.mark.parametrize("before", [[], ["a"]])
def test_where_writing_failed_all_is_well_again_only_when_a_page_can_be_written(
    tmp_path: Path, before: list[str]
) -> None:
    spool, kept = Spool(tmp_path), Kept()
    for name in before:
        spool.append(feedback(name))
    with files_of_at_most(0):
        with pytest.raises(OSError, match="File too large"):
            spool.append(feedback("lost, and its caller knows"))
        for _ in range(2):
            with pytest.raises(OSError, match="File too large"):
                spool.drain(kept)
            assert "File too large" in spool.health()
        assert len(list(tmp_path.iterdir())) == 1  # what was tried out is gone
    assert spool.drain(kept) == len(before)
    assert (kept.ids, spool.health()) == (before, "")


def test_nobody_else_may_read_a_segment(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        spool = Spool(tmp_path)
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in spool.waiting] == [0o600]


def test_a_segment_that_cannot_be_read_holds_up_no_other(tmp_path: Path) -> None:
    (tmp_path / "1-1.jsonl").symlink_to(tmp_path / "1-1.jsonl")
    (tmp_path / "2-1.jsonl").mkdir()
    written(WHOLE[0], to=tmp_path / "3-1.jsonl")
    kept = Kept()
    with pytest.raises(OSError, match="symbolic links"):
        Spool(tmp_path).drain(kept)
    assert kept.ids == ["a"]


def asked(address: str) -> int:
    """The status of a request; 0 where the connection failed."""
    turns = [{"role": "user", "content": "a secret of the victim"}]
    try:
        return httpx.post(
            f"{address}/v1/chat/completions", json={"model": "triage", "max_tokens": 2, "messages": turns}, timeout=5
        ).status_code
    except (httpx.TransportError, OSError):
        return 0


def test_a_server_whose_spool_cannot_be_written_says_so_and_says_when_it_can_again(
    tmp_path: Path, run_server: Callable[..., Any]
) -> None:
    folder = tmp_path / "lake"
    journal = Journal("triage", {"type": "object"}, Outlet(folder, Kept(), 0.02))
    with run_server(journal=journal) as address:
        assert httpx.get(f"{address}/readyz").status_code == 200
        removed(folder)
        folder.write_text("a file in its place")
        wait_until(lambda: httpx.get(f"{address}/readyz").status_code == 503, most_s=10)
        assert "gradus_spool_unwritable 1.0" in httpx.get(f"{address}/metrics").text
        assert str(folder) not in httpx.get(f"{address}/readyz").text  # paths are the log's
        assert asked(address) == 500
        folder.unlink()
        wait_until(lambda: httpx.get(f"{address}/readyz").status_code == 200, most_s=10)
        assert "gradus_spool_unwritable 0.0" in httpx.get(f"{address}/metrics").text
        assert asked(address) == 200


def test_where_answers_cannot_be_written_down_no_text_of_a_stream_leaves(
    tmp_path: Path, run_server: Callable[..., Any], follow: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, engine = tmp_path / "lake", Pauses()
    engine.go.set()
    journal = Journal("triage", {"type": "object"}, Outlet(folder, Kept(), every_s=60))
    monkeypatch.setattr(journal, "start", lambda: None)  # so that nothing but requests tries to write
    body = {"model": "triage", "messages": [{"role": "user", "content": "hello"}], "stream": True}
    with run_server(follow(opened=lambda _: engine), journal=journal) as address:

        def streamed() -> httpx.Response:
            return httpx.post(f"{address}/v1/chat/completions", json=body, timeout=30)

        removed(folder)
        folder.write_text("a file in its place")
        first = streamed()  # nothing was known to be wrong: it has text, and an error in the place of its end
        assert first.status_code == 200 and "intent" in first.text and "[DONE]" not in first.text
        refused = streamed()
        assert refused.status_code == 500 and "intent" not in refused.text and len(engine.batches) == 1
        folder.unlink()
        again = streamed()  # at once, before anything else tries
        assert again.status_code == 200 and "[DONE]" in again.text and len(engine.batches) == 2


@pytest.mark.slow
def test_idle_clients_of_a_server_hear_nothing_while_its_spool_fails(
    tmp_path: Path, run_server: Callable[..., Any]
) -> None:
    """The server's own sockets, over loopback: the spool's folder goes, or files run out, and others are connected."""
    folder, kept = tmp_path / "lake", Kept()
    journal = Journal("triage", {"type": "object"}, Outlet(folder, kept, 0.02))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    with run_server(journal=journal) as address, ExitStack() as held:
        place = address.removeprefix("http://").split(":")
        for fault in (removed, moved, None):
            if fault is not None:
                fault(folder)
                folder.write_text("a file in its place")
                assert asked(address) == 500
            idle = [held.enter_context(socket.create_connection((place[0], int(place[1])))) for _ in range(8)]
            if fault is None:
                assert asked(address) == 200  # so that all before it were let in: a loop without files closes the rest
                resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 2, limit[1]))
            statuses = [asked(address) for _ in range(5)]
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            assert set(statuses) == {500} if fault is not None else 200 not in statuses or not journal.trouble
            for connection in idle:
                connection.settimeout(0.05)
                with pytest.raises(TimeoutError):
                    connection.recv(1000)
            if fault is not None:
                folder.unlink()
            wait_until(lambda: journal.trouble == "", most_s=10)
            before = len(kept.segments)
            assert asked(address) == 200
            wait_until(lambda before=before: len(kept.segments) > before, most_s=10)
