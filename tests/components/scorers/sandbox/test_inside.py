"""Inside the isolation: how a program is run, what it finds there, and what of it comes out."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.params.sandbox import SandboxParams
from components.scorers.sandbox import Answer, Call, Execution, Program, Sandbox, inside
from tests.components.scorers.sandbox_here import require


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    params = SandboxParams(workers=1, cpu_seconds=5, wall_seconds=60, memory_mb=256, scratch_mb=3, open_files=40)
    require()
    with Sandbox(params) as opened:
        assert opened.isolation
        yield opened


def run(sandbox: Sandbox, code: str, *calls: str) -> Execution:
    program = Program(code=code, calls=tuple(Call(call=name) for name in calls or ("f",)))
    (execution,) = sandbox.run_many([program])
    assert isinstance(execution, Execution), execution
    return execution


def value(sandbox: Sandbox, body: str) -> object:
    """What a function with this body returns."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    (answer,) = run(sandbox, f"import os, resource, signal, socket, sys\ndef f():\n{lines}\n").answers
    assert answer.reason is None, answer
    return answer.value


def test_each_call_has_its_answer(sandbox: Sandbox) -> None:
    code = "def f(): return 1\ndef g(): raise LookupError('x' * 500)\nh = 5\n"
    f, g, h, missing, again = run(sandbox, code, "f", "g", "h", "missing", "f").answers
    assert f == again == Answer(value=1)
    assert g == Answer(raised="LookupError", reason=f"LookupError: {'x' * 137}")  # 150 characters
    assert h == Answer(raised="TypeError", reason="TypeError: 'int' object is not callable")
    assert missing == Answer(reason="no function missing")


def test_code_that_fails_is_every_calls_reason(sandbox: Sandbox) -> None:
    for code, reason in (("1 / 0", "ZeroDivisionError: division by zero"), ("def", "SyntaxError: invalid syntax")):
        answers = run(sandbox, code, "f", "g").answers
        assert [answer.raised for answer in answers] == [None, None]
        assert all(answer.reason is not None and answer.reason.startswith(reason) for answer in answers)


def test_a_returned_value_that_is_not_json_is_refused(sandbox: Sandbox) -> None:
    for text in ("float('nan')", "float('inf')", "{1, 2}", "{(1, 2): 3}"):
        (answer,) = run(sandbox, f"def f(): return {text}").answers
        assert answer.reason is not None
        assert answer.reason.startswith("returned a value that is not JSON: ")


def test_an_exception_is_its_nearest_built_in_class(sandbox: Sandbox) -> None:
    code = "class aaa(OSError): pass\nclass zzz(aaa): pass\ndef f(): raise aaa\ndef g(): raise zzz\n"
    assert [answer.raised for answer in run(sandbox, code, "f", "g").answers] == ["OSError", "OSError"]
    mute = "class Mute(Exception):\n    def __str__(self): raise ValueError\ndef f(): raise Mute\n"
    (answer,) = run(sandbox, mute).answers
    assert answer == Answer(raised="Exception", reason="an exception that cannot be described")


def test_a_long_answer_comes_out_whole(sandbox: Sandbox) -> None:
    assert value(sandbox, "return 'é' * 100_000") == "é" * 100_000


def test_a_program_starts_in_an_empty_folder_whose_files_do_nothing(sandbox: Sandbox) -> None:
    assert value(sandbox, "return [os.getcwd(), os.listdir()]") == ["/tmp", []]
    flags = "os.ST_NOSUID, os.ST_NODEV, os.ST_NOEXEC"
    assert value(sandbox, f"return [bool(os.statvfs('/tmp').f_flag & flag) for flag in ({flags})]") == [True] * 3
    # A few megabytes, in pages of four kilobytes, and some four thousand files.
    room = "room = os.statvfs('/tmp')\nreturn [room.f_blocks * room.f_frsize, room.f_files]"
    assert value(sandbox, room) == [3 << 20, 4096]


def test_a_program_has_two_pipes_and_no_more(sandbox: Sandbox) -> None:
    # Standard input, output and error, and the pipe for answers; that of the task has been read and closed.
    body = """
open_ones = []
for number in range(40):
    try:
        os.fstat(number)
        open_ones.append(number)
    except OSError:
        pass
return [len(open_ones), open_ones[:3], os.path.sameopenfile(0, 1), os.path.sameopenfile(1, 2), os.read(0, 1) == b""]
"""
    assert value(sandbox, body) == [4, [0, 1, 2], True, True, True]


def test_a_program_has_its_limits(sandbox: Sandbox) -> None:
    names = ["RLIMIT_CPU", "RLIMIT_AS", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_NPROC"]
    limits = [5, 256 << 20, 3 << 20, 40, 0, 16 + 8]
    body = f"return [resource.getrlimit(getattr(resource, name)) for name in {names}]"
    assert value(sandbox, body) == [[limit, limit] for limit in limits]


def test_a_program_is_alone_and_without_power(sandbox: Sandbox) -> None:
    # In its own session, the first process of its namespace, on a machine of another name.
    assert value(sandbox, "return [os.getpid(), os.getsid(0), socket.gethostname()]") == [1, 1, "sandbox"]
    assert value(sandbox, "return os.path.isdir('/old') and os.listdir('/old')") in (False, [])
    assert value(sandbox, "return [os.path.exists(path) for path in ('/proc/1', '/home', '/etc')]") == [False] * 3
    refused = """
reasons = []
for attempt in (os.fork, socket.socket, lambda: socket.sethostname("mine"), lambda: os.execv("/bin/true", ["true"])):
    try:
        attempt()
        reasons.append("")
    except OSError as error:
        reasons.append(type(error).__name__)
return reasons
"""
    assert value(sandbox, refused) == ["PermissionError"] * 4


def test_every_program_draws_the_same_numbers(sandbox: Sandbox) -> None:
    code = "import random\ndef f(): return random.random()\n"
    first, second = (run(sandbox, code).answers for _ in range(2))
    assert first == second == (Answer(value=0.8444218515250481),)  # random.seed(0)


def test_the_end_of_a_program_is_reported(sandbox: Sandbox) -> None:
    for code, failure in (
        ("import os\nos._exit(7)", "left with status 7"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\nos._exit(3)", "left with status 3"),
        ("import ctypes\nctypes.string_at(0)", "was ended by SIGSEGV"),
        ("import sys\nsys.exit(4)\ndef f(): return 1", None),
    ):
        execution = run(sandbox, code)
        assert execution.failure == failure
        assert 0 <= execution.cpu_seconds < 5


def test_time_that_a_program_computes_is_reported(sandbox: Sandbox) -> None:
    code = "import time\ndef f():\n    while time.process_time() < 0.1: pass\n    return 1\n"
    assert 0.1 <= run(sandbox, code).cpu_seconds < 2


def end_of(code: str, **changed: Any) -> dict[str, Any]:
    """What the script itself says of a program's end, started with changed settings and without isolation."""
    settings: dict[str, Any] = {"isolated": False, "wall_seconds": 30, "limits": {}, "filter": ""}
    settings = {name: value for name, value in (settings | changed).items() if value is not None}
    control, theirs = socket.socketpair()
    (task, to_task), (answered, answers) = os.pipe(), os.pipe()
    script = Path(inside.__file__).read_text(encoding="utf-8")
    with (
        control,
        theirs,
        subprocess.Popen(
            [sys.executable, "-c", script, json.dumps(settings)], stdin=theirs.fileno(), stdout=subprocess.DEVNULL
        ) as process,
    ):
        assert control.recv(3) == b"{}\n"
        socket.send_fds(control, [b"."], [task, answers])
        os.write(to_task, json.dumps({"code": code, "calls": []}).encode())
        for pipe in (to_task, task, answers, answered):
            os.close(pipe)
        said = json.loads(control.recv(4096))
        control.shutdown(socket.SHUT_RDWR)
        process.wait(30)
    return said


def test_the_reason_that_a_program_does_not_start_is_reported() -> None:
    assert end_of("", limits={"RLIMIT_NONE": 1}) == {"broken": "module 'resource' has no attribute 'RLIMIT_NONE'"}
    assert end_of("", wall_seconds=None) == {"broken": "'wall_seconds'"}  # the warden itself fails


def test_a_killed_program_has_a_signal_and_no_status() -> None:
    end = end_of("import os\nos.kill(os.getpid(), 9)")
    assert (end["status"], end["signal"], end["timed_out"]) == (0, 9, False)
    end = end_of("import os\nos._exit(7)")
    assert (end["status"], end["signal"]) == (7, None)
