"""The script inside the isolation: a warm interpreter, and a warden and a fresh process for each program.

It runs as a script (`python -c`) with only the standard library; the product never imports it. The warm interpreter
never sees a program: each comes through a pipe that only its own process reads, so it leaves no trace for the next. The
warden, a process that the program can neither see nor reach, creates the namespaces, enforces the time limit and
reports how the program ended. Answers leave through a second pipe, straight to the parent; a program may write anything
there, because it can only claim what its own functions returned.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import random
import resource
import shutil
import signal
import socket
import struct
import sys
import tempfile
import types
from typing import Any, NoReturn

# Imported once, so that programs import them at no cost.
_WARM = (
    "abc", "array", "base64", "bisect", "calendar", "collections", "contextlib", "copy", "csv", "dataclasses",
    "datetime", "decimal", "enum", "fractions", "functools", "hashlib", "heapq", "html", "inspect", "io", "itertools",
    "math", "numbers", "operator", "re", "statistics", "string", "textwrap", "threading", "typing", "unicodedata",
    "urllib.parse", "uuid",
)  # fmt: skip
_CLONE_NEWNS, _CLONE_NEWPID = 0x00020000, 0x20000000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 2, 4, 8, 0x4000, 0x40000
_MNT_DETACH = 2
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 4, 22, 38, 2
_CAPABILITY_VERSION_3 = 0x20080522
_LIBC: Any = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Run programs from the control socket, which is standard input, until it is closed."""
    settings = json.loads(sys.argv[1])
    control = socket.socket(fileno=os.dup(0))
    if sys.platform == "linux":
        _ask(_LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "be no one's to trace")
    for name in _WARM:
        importlib.import_module(name)
    if settings["isolated"]:
        _ask(_LIBC.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None), "keep mounts private")
        if os.path.isdir("/old"):  # the system's root, moved there by the shell; umount(8) does not work without /proc
            _ask(_LIBC.umount2(b"/old", _MNT_DETACH), "take the system's root away")
        socket.sethostname("sandbox")
    gc.collect()
    gc.freeze()
    control.sendall(b"{}\n")
    while True:
        message, pipes, _, _ = socket.recv_fds(control, 1, 2)
        if not message:
            return
        control.sendall(json.dumps(_guard(settings, *pipes)).encode() + b"\n")


def _guard(settings: dict[str, Any], task: int, answers: int) -> dict[str, Any]:
    """Run a program under a warden, and return the warden's report."""
    report, reporter = os.pipe()
    warden = os.fork()
    if warden == 0:
        os.close(report)
        try:
            end = _watch(settings, task, answers)
        except BaseException as error:
            end = {"broken": str(error)[:300]}
        os.write(reporter, json.dumps(end).encode())
        os._exit(0)
    for pipe in (task, answers, reporter):
        os.close(pipe)
    written = os.read(report, 4096)
    os.close(report)
    os.waitpid(warden, 0)
    return json.loads(written) if written else {"broken": "a warden that ended silently"}


def _watch(settings: dict[str, Any], task: int, answers: int) -> dict[str, Any]:
    """The warden: start the program in its own namespaces, kill it after its time limit, report how it ended."""
    folder = None if settings["isolated"] else tempfile.mkdtemp()
    if folder is None:
        _fresh_namespaces(settings["scratch"])
    os.chdir(folder or "/tmp")
    ready, say_ready = os.pipe()
    program = os.fork()
    if program == 0:
        _become_program(settings, task, answers, say_ready)
    for pipe in (task, answers, say_ready):
        os.close(pipe)
    message = os.read(ready, 300)
    end = _wait(program, settings["wall_seconds"])
    if folder is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(program, signal.SIGKILL)  # with namespaces, the kernel has already done so
        shutil.rmtree(folder, ignore_errors=True)
    return end if message == b"ready" else {"broken": message.decode() or "a program that never began"}


def _wait(program: int, wall_seconds: float) -> dict[str, Any]:
    """Wait for a process and report how it ended, by itself or at its time limit."""
    timed_out = list[bool]()

    def end_it(*_: object) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(program, signal.SIGKILL)
            timed_out.append(True)

    signal.signal(signal.SIGALRM, end_it)
    signal.setitimer(signal.ITIMER_REAL, wall_seconds)
    _, status, used = os.wait4(program, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return {
        "status": os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
        "timed_out": bool(timed_out),
        "cpu_seconds": used.ru_utime + used.ru_stime,
    }


def _fresh_namespaces(scratch: int) -> None:
    """Make the next child the first process of a new pid namespace, with an empty /tmp of `scratch` bytes."""
    _ask(_LIBC.unshare(_CLONE_NEWPID | _CLONE_NEWNS), "make namespaces")
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    options = f"size={scratch},nr_inodes=4096,mode=700".encode()
    _ask(_LIBC.mount(b"scratch", b"/tmp", b"tmpfs", flags, options), "mount an empty /tmp")


def _become_program(settings: dict[str, Any], task: int, answers: int, say_ready: int) -> NoReturn:
    """Give up everything except two pipes, then run the program."""
    leave = os._exit
    try:
        os.setsid()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        os.dup2(1, 0)  # /dev/null: there is no input, and printed output is discarded
        os.dup2(1, 2)
        inherited = sorted((task, answers, say_ready))
        for before, after in zip([2, *inherited], [*inherited, 256], strict=True):
            os.closerange(before + 1, after)
        for name, limit in settings["limits"].items():
            resource.setrlimit(getattr(resource, name), (limit, limit))
        if settings["filter"]:
            _put_on_filter(bytes.fromhex(settings["filter"]))
        random.seed(0)
        os.write(say_ready, b"ready")
        os.close(say_ready)
    except BaseException as error:
        os.write(say_ready, str(error).encode()[:300])
        leave(1)
    try:
        _run(task, answers)
        leave(0)
    finally:  # whatever a program did to the interpreter, it ends here
        leave(1)


def _put_on_filter(steps: bytes) -> None:
    """Irrevocably give up capabilities, new privileges and the system calls that the filter refuses."""
    header, nothing = struct.pack("Ii", _CAPABILITY_VERSION_3, 0), bytes(24)
    _ask(_LIBC.capset(header, nothing), "give up capabilities")
    _ask(_LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "give up new privileges")
    array = ctypes.create_string_buffer(steps, len(steps))
    program = struct.pack("HP", len(steps) // 8, ctypes.addressof(array))
    _ask(_LIBC.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program, 0, 0), "put on the filter of system calls")


def _ask(result: int, what: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"could not {what}: {os.strerror(error)}")


def _run(task: int, answers: int) -> None:
    """Define the program's functions, make the calls, and write an answer per line."""
    write = os.write
    with os.fdopen(task, "rb") as pipe:
        program = json.load(pipe)
    module = types.ModuleType("program")
    sys.modules["program"] = module  # dataclasses look up their module
    failed = None
    try:
        exec(compile(program["code"], "program.py", "exec"), module.__dict__)
    except BaseException as error:
        failed = _described(error)
    for call in program["calls"]:
        line = json.dumps({"reason": failed}) if failed else _answer(module.__dict__, call)
        left = memoryview(line.encode() + b"\n")
        while left:
            left = left[write(answers, left) :]


def _answer(names: dict[str, Any], call: dict[str, Any]) -> str:
    """The answer to a call, as JSON."""
    function = names.get(call["call"])
    if function is None:
        return json.dumps({"reason": f"no function {call['call']}"})
    try:
        value = function(*call["args"])
    except BaseException as error:
        return json.dumps({"raised": _built_in(error), "reason": _described(error)})
    try:
        return json.dumps({"value": value}, allow_nan=False)
    except BaseException as error:
        return json.dumps({"reason": f"returned a value that is not JSON: {_described(error)}"})


def _built_in(error: BaseException) -> str:
    """The nearest built-in class of an exception."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins")


def _described(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:150]
    except BaseException:
        return "an exception that cannot be described"


if __name__ == "__main__":
    main()
