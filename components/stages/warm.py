"""Runs the stages of a climb in forks of one process that has imported what they need.

A stage is a process of its own, and most have little to do beside importing torch, transformers and MLflow: some ten
seconds of a core, twenty times a climb. The command that climbs starts a process that imports them once (`begin`);
`python -m components.stages` has it fork (`fork`), gives the fork its arguments, folder, environment and standard
streams, and ends as that ends. A fork drops what it has of this project, so that it imports today's code. A stage that
comes while the process still imports waits for it; where there is none, it does everything itself.
"""

import atexit
import contextlib
import gc
import glob
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from components.stages.environment import DEFAULTS

STARTER = "GRADUS_STARTER"  # id of the process without which a stage has to end
SOCKET = "GRADUS_WARM_SOCKET"  # abstract name of the socket at which a process listens that forks
# In the order in which a climb needs them.
LIBRARIES = ("mlflow.store.tracking.sqlalchemy_store", "torch", "transformers.models.lfm2.modeling_lfm2", "skops.io")
HELLO, STREAMS = b"stage", (0, 1, 2)
MOST_BYTES = 4_000_000  # of a request: arguments and environment
LOOK_S = 1.0  # between two looks at whether the starter still runs


_started = list[subprocess.Popen[bytes]]()  # the process that this one has started, if any
_code = list[int]()  # with which this process ends, if it is a fork


def begin() -> None:
    """Start the process that imports, unless this process has one; it ends with this process, or with `end`."""
    if _started or not is_safe():
        return
    os.environ[SOCKET] = name = f"gradus-{uuid4().hex}"
    # Its standard input is never written to: it closes when this process ends, however that ends.
    _started.append(subprocess.Popen(
        [sys.executable, "-m", __name__, name],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**DEFAULTS, **os.environ},
    ))  # fmt: skip


def end() -> None:
    """End the process that `begin` started."""
    while _started:
        process = _started.pop()
        process.kill()
        process.communicate()
        os.environ.pop(SOCKET, None)


def is_safe() -> bool:
    """Whether forks may use what was imported before: not where a library may have opened a GPU, and not on macOS."""
    return sys.platform == "linux" and not glob.glob("/dev/nvidia[0-9]*") and not Path("/dev/kfd").exists()


def end_with_parent(process: int = 0) -> None:
    """End a process (0: this one) when this one's parent is gone: an abandoned stage must not hold locks and cores.

    The parent may have ended before this looks at it first, so that the process which names itself counts too.
    """
    parent, starter = os.getppid(), os.environ.get(STARTER)

    def watch() -> None:
        while os.getppid() == parent and (starter is None or _is_running(int(starter))):
            time.sleep(LOOK_S)
        _signal(process or os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def fork(arguments: list[str]) -> int | None:
    """Have a stage run in a fork, and wait; its exit code, or None where nobody forks for this process.

    Ends as the fork does where a signal ended that.
    """
    if not (name := os.environ.pop(SOCKET, "")):
        return None
    asked = {
        "python": sys.executable,
        "arguments": arguments,
        "folder": os.getcwd(),
        "path": sys.path,
        # A fork ends when this process does, which ends when the one does that it was started by.
        "environment": {**os.environ, STARTER: str(os.getpid())},
    }
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(f"\0{name}")
            socket.send_fds(connection, [HELLO], STREAMS)
            connection.sendall(json.dumps(asked, ensure_ascii=True).encode() + b"\n")
            answers = connection.makefile("rb")
            child = int(answers.readline() or 0)
        except (OSError, ValueError):
            return None
        if not child:  # it refuses: it is another Python, say
            return None
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the fork, too, which is in the same group
        signal.signal(signal.SIGTERM, lambda number, _: _signal(child, number))
        end_with_parent(child)
        code = int(answers.readline() or -signal.SIGKILL)
    if code < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no other
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _signal(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def serve(name: str) -> socket.socket:
    """Import the libraries, then fork for this user's stages, until standard input closes; returns in forks only.

    It listens from the beginning, so that stages wait for what it imports.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    atexit.register(_leave)  # the first, so that it is called last
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"\0{name}")
    listening.listen()
    for library in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    gc.freeze()  # else the first collection of each fork would copy all of it
    signal.signal(signal.SIGCHLD, lambda *_: None)  # so that it is written to the pipe
    ended, noted = os.pipe()
    os.set_blocking(noted, False)
    signal.set_wakeup_fd(noted, warn_on_full_buffer=False)
    forks: dict[int, socket.socket] = {}
    with listening, selectors.DefaultSelector() as selector:
        for source in (sys.stdin.fileno(), listening.fileno(), ended):
            selector.register(source, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if sys.stdin.fileno() in ready:
                os._exit(0)
            if ended in ready:
                os.read(ended, 4096)
                _tell(forks)
            if listening.fileno() in ready:
                connection, _ = listening.accept()
                if _user(connection) != os.getuid():
                    connection.close()
                    continue
                if child := os.fork():
                    forks[child] = connection
                    continue
                for other in forks.values():
                    other.close()
                return connection


def _user(connection: socket.socket) -> int:
    """Whose process is at the other end; the name of a socket keeps nobody out."""
    credentials = struct.Struct("3i")  # process, user, group
    return credentials.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size))[1]


def _tell(forks: dict[int, socket.socket]) -> None:
    """Send the exit codes of the forks that ended to those who asked for them."""
    for child in [*forks]:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            with forks.pop(child) as connection, contextlib.suppress(OSError):
                connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def become(connection: socket.socket) -> None:
    """Read what is asked for and do it in this process, a fork, as if it had been started for that."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with connection:
        connection.settimeout(10)
        _, streams, _, _ = socket.recv_fds(connection, len(HELLO), len(STREAMS))
        asked: dict[str, Any] = json.loads(connection.makefile("rb").readline(MOST_BYTES))
        if asked["python"] != sys.executable or len(streams) != len(STREAMS):
            connection.sendall(b"0\n")
            return
        try:
            connection.sendall(b"%d\n" % os.getpid())
        except OSError:  # who asked was stopped
            return
        for stream, own in zip(streams, STREAMS, strict=True):
            os.dup2(stream, own)
            os.close(stream)
    sys.stdout.reconfigure(line_buffering=os.isatty(1))  # pyright: ignore[reportAttributeAccessIssue] — a text stream
    for name in [name for name in sys.modules if name.partition(".")[0] == "components"]:
        del sys.modules[name]
    for name in ("random", "numpy.random"):  # forks would all draw the same
        importlib.import_module(name).seed()
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.path[:], sys.argv[1:] = asked["path"], asked["arguments"]
    try:
        runpy.run_module("components.stages", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        _code.append(ended.code if isinstance(ended.code, int) else int(ended.code is not None))
        raise
    except BaseException:
        _code.append(1)
        raise


def _leave() -> None:
    """End at once: to free all that was imported, which a fork copies for that, takes as long as a short stage."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit((_code or [0])[-1])


if __name__ == "__main__":
    become(serve(sys.argv[1]))
