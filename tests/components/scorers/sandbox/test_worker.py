"""The parent's side of a worker: what it reads, how long it waits, and which limits it sets."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest

from components.errors import ScorerError
from components.params.sandbox import SandboxParams
from components.scorers.sandbox import worker as sides
from components.scorers.sandbox.programs import Answer, Call, Program
from components.scorers.sandbox.worker import Worker, WorkerLost, output

TRUSTING = SandboxParams(isolation="none_i_trust_the_code", wall_seconds=20, answer_kb=1)
SOON = 20.0  # seconds within which everything here happens, on a busy machine too


def program(code: str) -> Program:
    return Program(code=code, calls=(Call(call="f"),))


@pytest.fixture
def worker() -> Iterator[Worker]:
    started = Worker(TRUSTING, "none_i_trust_the_code")
    yield started
    started.close()


class Outlet:
    """A program's pipe and a worker's control socket, in this process."""

    def __init__(self) -> None:
        reading, self.writing = os.pipe()
        self.answered = FileIO(reading, "rb")
        self.control, self.inside = socket.socketpair()

    def read(self, most: int, seconds: float = SOON) -> bytes:
        return output(self.answered, self.control, most, time.monotonic() + seconds)

    def close(self) -> None:
        for end in (self.answered, self.control, self.inside):
            end.close()
        os.close(self.writing)


@pytest.fixture
def outlet() -> Iterator[Outlet]:
    opened = Outlet()
    yield opened
    opened.close()


def test_output_is_read_up_to_one_byte_more_than_allowed(outlet: Outlet) -> None:
    os.write(outlet.writing, b"0123456789")
    assert outlet.read(4) == b"01234"
    assert outlet.read(3) == b"5678"
    assert outlet.read(0) == b"9"


def test_output_that_comes_in_pieces_is_put_together_up_to_the_limit(outlet: Outlet) -> None:
    os.write(outlet.writing, b"012")
    later = threading.Timer(0.1, os.write, (outlet.writing, b"3456789"))
    later.start()
    assert outlet.read(4) == b"01234"
    later.join()
    assert os.read(outlet.answered.fileno(), 99) == b"56789"


def test_output_ends_when_the_program_does_or_its_time_is_up(outlet: Outlet) -> None:
    os.write(outlet.writing, b"012")
    assert outlet.read(99, seconds=0.1) == b"012"
    assert outlet.read(99, seconds=-9.0) == b""
    os.write(outlet.writing, b"345")
    outlet.inside.send(b"{}")
    assert outlet.read(99) == b"345"  # all that is in the pipe, though the program has ended


def test_output_that_comes_late_is_waited_for(outlet: Outlet) -> None:
    threading.Timer(1.5, os.write, (outlet.writing, b"late")).start()
    assert outlet.read(3) == b"late"


def test_the_end_of_a_program_that_closes_its_pipe_is_waited_for(worker: Worker) -> None:
    code = "import os, time\nos.closerange(3, 256)\ntime.sleep(1.2)\ndef f(): return 1\n"
    assert worker.run(program(code)).failure == "left with status 1"
    assert worker.run(program("def f(): return 1")).answers == (Answer(value=1),)


def test_a_program_may_return_all_that_is_allowed_and_no_more(worker: Worker) -> None:
    line = len('{"value": ""}\n')
    assert worker.run(program(f"def f(): return 'x' * {1024 - line}")).failure is None
    assert worker.run(program(f"def f(): return 'x' * {1025 - line}")).failure == "returned more than 1 KB"


def test_a_worker_that_falls_silent_is_lost_after_its_grace(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "_GRACE_SECONDS", 0.1)
    monkeypatch.setattr(worker, "_params", TRUSTING.model_copy(update={"wall_seconds": 0.2}))
    os.kill(worker._process.pid, signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(WorkerLost):
        worker.run(program("def f(): return 1"))
    assert 0.3 <= time.monotonic() - started < SOON


def test_a_worker_that_has_ended_is_lost(worker: Worker) -> None:
    worker._process.kill()
    worker._process.wait()
    with pytest.raises(WorkerLost):
        worker.run(program("def f(): return 1"))


def test_what_hinders_a_fresh_process_is_the_sandboxs_failure() -> None:
    limited = Worker(TRUSTING.model_copy(update={"open_files": 1 << 40}), "none_i_trust_the_code")
    with pytest.raises(ScorerError, match=r"^expected a fresh process for a program, found .*limit"):
        limited.run(program("def f(): return 1"))
    limited.close()


@pytest.mark.parametrize(
    ("words", "last"), [("printf '%0300d' 7", f"{'0' * 199}7"), ("echo ' no\n\tway '", "no way"), ("true", "no output")]
)
def test_a_tool_that_does_not_start_a_worker_has_the_last_word(
    words: str, last: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bwrap").write_text(f"#!/bin/sh\n({words}) >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setitem(sides.ENVIRONMENT, "PATH", str(tmp_path))
    with pytest.raises(ScorerError) as refused:
        Worker(TRUSTING, "bubblewrap")
    assert str(refused.value) == f"bubblewrap did not start: {last}"


def test_limits_are_those_of_the_settings_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    params = SandboxParams(
        cpu_seconds=3, wall_seconds=7, memory_mb=100, scratch_mb=5, open_files=30, threads=20, answer_kb=1
    )
    limits = {"RLIMIT_CPU": 3, "RLIMIT_FSIZE": 5_242_880, "RLIMIT_NOFILE": 30, "RLIMIT_CORE": 0}
    shared = {"wall_seconds": 7.0, "scratch": 5_242_880}
    monkeypatch.setattr(sides, "system_call_filter", lambda: b"\x01\xff")
    monkeypatch.setattr(sys, "platform", "linux")
    memory = {"RLIMIT_AS": 104_857_600}
    for isolation in ("bubblewrap", "unshare"):
        assert sides._settings(params, isolation) == shared | {
            "isolated": True, "filter": "01ff", "limits": limits | memory | {"RLIMIT_NPROC": 28},
        }  # fmt: skip
    trusting = {"isolated": False, "filter": "01ff", "limits": limits | memory}
    assert sides._settings(params, "none_i_trust_the_code") == shared | trusting
    for platform in ("darwin", "win32"):
        monkeypatch.setattr(sys, "platform", platform)
        other = {"isolated": False, "filter": "", "limits": limits}
        assert sides._settings(params, "none_i_trust_the_code") == shared | other
