"""One worker as the parent sees it: started, asked, closed. What comes from inside is data, silence is a loss."""

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
from components.scorers.sandbox.isolation import ENVIRONMENT, Wall, missing, shut_in
from components.scorers.sandbox.programs import End, Execution, Program, read_execution
from components.scorers.sandbox.system_calls import system_call_filter

_START_SECONDS = 30.0  # a start takes a tenth of a second; a machine may be busy
_GRACE_SECONDS = 30.0  # beyond a program's own time
_WORKERS_OWN = 8  # processes of a worker that count against the limit on threads


class WorkerLost(Exception):
    """The worker is gone or says nothing, whoever's fault that is."""


class Worker:
    """A warm interpreter behind a wall, which runs one program at a time."""

    def __init__(self, params: SandboxParams, wall: Wall) -> None:
        """Start it and wait until it answers.

        Raises:
            ScorerError: It does not come up; the message says what the tool said.
        """
        self._params = params
        reason = missing(wall)
        if reason is not None:
            raise ScorerError(reason)
        self._control, inside = socket.socketpair()
        source = Path(__file__).with_name("inside.py").read_text(encoding="utf-8")
        with inside:
            self._process = subprocess.Popen(
                shut_in(wall, ["-c", source, json.dumps(_settings(params, wall))]),
                stdin=inside.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT, cwd="/",
                start_new_session=True,
            )  # fmt: skip
        self._deadline = time.monotonic() + _START_SECONDS
        try:
            self._hear()
        except WorkerLost as lost:
            raise ScorerError(f"{wall} did not start: {self._last_words()}") from lost

    def run(self, program: Program) -> Execution:
        """Run a program in a fresh process.

        Raises:
            WorkerLost: The worker ended or fell silent.
            ScorerError: The program's process could not be made.
        """
        self._deadline = time.monotonic() + self._params.wall_seconds + _GRACE_SECONDS
        with ExitStack() as held:
            task, to_task = _pipe(held)  # owned by files from here on: where the next one fails, none is left open
            answered, answers = _pipe(held)
            with task, answers:  # the worker's ends, closed here once it has them
                self._send(task.fileno(), answers.fileno())
            # A broken pipe: the process ended before it read all of its task; how, the worker tells.
            with suppress(BrokenPipeError), to_task:
                to_task.write(program.model_dump_json().encode())
            written = self._read(answered)
        end = End.model_validate_json(self._hear())
        if end.broken is not None:
            raise ScorerError(f"expected a fresh process for a program, found {end.broken}")
        return read_execution(program, end, written, self._params)

    def close(self) -> None:
        """End it, and whatever runs in it."""
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

    def _read(self, answered: FileIO) -> bytes:
        """What the program wrote until it ended, one byte more than allowed at most."""
        most = self._params.answer_kb * 1024
        written = bytearray()
        poll = select.poll()
        for file in (answered, self._control):
            poll.register(file, select.POLLIN)
        while len(written) <= most:
            ready = dict(poll.poll(max(self._deadline - time.monotonic(), 0) * 1000))
            if answered.fileno() in ready:
                found = answered.read(most + 1 - len(written))
                if not found:
                    break
                written += found
            else:  # it ended, or the time is over, and the pipe is empty
                break
        return bytes(written)

    def _hear(self) -> bytes:
        """One line of the worker.

        Raises:
            WorkerLost: It ended, or the deadline passed.
        """
        heard = b""
        while not heard.endswith(b"\n"):
            self._control.settimeout(max(self._deadline - time.monotonic(), 0.01))
            try:
                found = self._control.recv(4096)
            except OSError as error:
                raise WorkerLost from error
            if not found:
                raise WorkerLost
            heard += found
        return heard

    def _last_words(self) -> str:
        """What the tool said on its way out."""
        self._process.kill()
        _, said = self._process.communicate()
        self._control.close()
        return " ".join(said.decode(errors="replace").split())[-200:] or "it said nothing"


def _pipe(held: ExitStack) -> tuple[FileIO, BufferedWriter]:
    """The two ends of a pipe, for reading and for writing, closed with `held` at the latest."""
    reading, writing = os.pipe()
    return held.enter_context(FileIO(reading, "rb")), held.enter_context(open(writing, "wb"))


def _settings(params: SandboxParams, wall: Wall) -> dict[str, object]:
    """What the script inside needs to know; sizes in bytes."""
    isolated = wall != "none_i_trust_the_code"
    scratch = params.scratch_mb * 2**20
    limits = {
        "RLIMIT_CPU": params.cpu_seconds,
        "RLIMIT_FSIZE": scratch,
        "RLIMIT_NOFILE": params.open_files,
        "RLIMIT_CORE": 0,
    }
    if sys.platform == "linux":  # macOS refuses to limit address space
        limits["RLIMIT_AS"] = params.memory_mb * 2**20
    if isolated:  # without, all of the user's processes would count
        limits["RLIMIT_NPROC"] = params.threads + _WORKERS_OWN
    return {
        "isolated": isolated,
        "wall_seconds": params.wall_seconds,
        "scratch": scratch,
        "limits": limits,
        "filter": system_call_filter().hex() if sys.platform == "linux" else "",
    }
