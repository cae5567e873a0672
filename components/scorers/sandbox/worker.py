"""The parent's side of a worker. Everything from inside is treated as data, and silence as a lost worker."""

import json
import os
import select
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from io import BufferedWriter, FileIO
from pathlib import Path

from components.errors import ScorerError
from components.params.sandbox import SandboxParams
from components.scorers.sandbox.isolation import ENVIRONMENT, Isolation, isolated_command, missing
from components.scorers.sandbox.programs import End, Execution, Program, read_execution
from components.scorers.sandbox.system_calls import system_call_filter

_START_SECONDS = 30.0  # starting takes a tenth of a second; the machine may be busy
_GRACE_SECONDS = 30.0  # beyond a program's own time limit
_WORKERS_OWN = 8  # a worker's processes, which count against the limit on threads


class WorkerLost(Exception):
    """The worker is gone or silent, for whatever reason."""


class Worker:
    """A warm, isolated interpreter that runs one program at a time."""

    def __init__(self, params: SandboxParams, isolation: Isolation) -> None:
        """Start it and wait until it is ready.

        Raises:
            ScorerError: It does not start; the message has the tool's output.
        """
        self._params = params
        reason = missing(isolation)
        if reason is not None:
            raise ScorerError(reason)
        self._control, inside = socket.socketpair()
        source = Path(__file__).with_name("inside.py").read_text(encoding="utf-8")
        with inside:
            self._process = subprocess.Popen(
                isolated_command(isolation, ["-c", source, json.dumps(_settings(params, isolation))]),
                stdin=inside.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT, cwd="/",
                start_new_session=True,
            )  # fmt: skip
        self._deadline = time.monotonic() + _START_SECONDS
        try:
            self._read_line()
        except WorkerLost as lost:
            raise ScorerError(f"{isolation} did not start: {self._last_words()}") from lost

    def run(self, program: Program) -> Execution:
        """Run a program in a fresh process.

        Raises:
            WorkerLost: The worker ended or stopped responding.
            ScorerError: The program's process could not be started.
        """
        self._deadline = time.monotonic() + self._params.wall_seconds + _GRACE_SECONDS
        with ExitStack() as stack:
            task, to_task = _pipe(stack)  # owned by files, so that none is left open if the next one fails
            answered, answers = _pipe(stack)
            with task, answers:  # the worker's ends, closed here once it has received them
                self._send(task.fileno(), answers.fileno())
            # A broken pipe means that the process ended before it had read its whole task; the worker reports how.
            with suppress(BrokenPipeError), to_task:
                to_task.write(program.model_dump_json().encode())
            written = output(answered, self._control, self._params.answer_kb * 1024, self._deadline)
        end = End.model_validate_json(self._read_line())
        if end.broken is not None:
            raise ScorerError(f"expected a fresh process for a program, found {end.broken}")
        return read_execution(program, end, written, self._params)

    def close(self) -> None:
        """End it and everything in it."""
        self._control.close()
        self._process.kill()
        self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()

    def _send(self, task: int, answers: int) -> None:
        try:
            socket.send_fds(self._control, [b"."], [task, answers])
        except OSError as error:
            raise WorkerLost from error

    def _read_line(self) -> bytes:
        """A line from the worker.

        Raises:
            WorkerLost: It ended, or the deadline has passed.
        """
        received = b""
        while not received.endswith(b"\n"):
            self._control.settimeout(max(self._deadline - time.monotonic(), 0.01))
            try:
                piece = self._control.recv(4096)
            except OSError as error:
                raise WorkerLost from error
            if not piece:
                raise WorkerLost
            received += piece
        return received

    def _last_words(self) -> str:
        """The tool's last output."""
        self._process.kill()
        _, output = self._process.communicate()
        self._control.close()
        return " ".join(output.decode(errors="replace").split())[-200:] or "no output"


def output(answered: FileIO, control: socket.socket, most: int, deadline: float) -> bytes:
    """A program's output until it ended, as `control` tells, or the deadline; at most one byte more than allowed."""
    written = bytearray()
    poll = select.poll()
    for file in (answered, control):
        poll.register(file, select.POLLIN)
    while len(written) <= most:
        ready = dict(poll.poll(max(deadline - time.monotonic(), 0) * 1000))
        if answered.fileno() not in ready:  # it ended, or the time is up, and the pipe is empty
            break
        piece = answered.read(most + 1 - len(written))
        if not piece:
            break
        written += piece
    return bytes(written)


def _pipe(stack: ExitStack) -> tuple[FileIO, BufferedWriter]:
    """The reading and the writing end of a pipe, closed with `stack` at the latest."""
    reading, writing = os.pipe()
    return stack.enter_context(FileIO(reading, "rb")), stack.enter_context(open(writing, "wb"))


def _settings(params: SandboxParams, isolation: Isolation) -> dict[str, object]:
    """Settings for the script inside, with sizes in bytes."""
    isolated = isolation != "none_i_trust_the_code"
    scratch = params.scratch_mb * 2**20
    limits = {
        "RLIMIT_CPU": params.cpu_seconds,
        "RLIMIT_FSIZE": scratch,
        "RLIMIT_NOFILE": params.open_files,
        "RLIMIT_CORE": 0,
    }
    if sys.platform == "linux":  # macOS cannot limit address space
        limits["RLIMIT_AS"] = params.memory_mb * 2**20
    if isolated:  # without isolation, all of the user's processes would count
        limits["RLIMIT_NPROC"] = params.threads + _WORKERS_OWN
    return {
        "isolated": isolated,
        "wall_seconds": params.wall_seconds,
        "scratch": scratch,
        "limits": limits,
        "filter": system_call_filter().hex() if sys.platform == "linux" else "",
    }
