"""Faults in every Python process with this folder on its path: system calls fail now and then.

Configured by the environment: GRADUS_FAULTS = "seed:calls", with the mean number of a process's calls on files of the
project until one fails; GRADUS_FAULTS_FOLDER, the project; GRADUS_FAULTS_LOG, where faults are logged. A process may
also get a clock that is days off, or be killed with SIGKILL in the middle of a write.
"""

import builtins
import errno
import io
import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any

ERRORS = (errno.EMFILE, errno.ENOSPC, errno.EROFS, errno.EIO)
DAY = 86_400.0


class Faults:
    """The faults of a process: none, a failing call, half a write and a kill, or a wrong clock."""

    def __init__(self, words: str, folder: str, log: str) -> None:
        seed, calls = words.split(":")
        self._rng = random.Random(f"{seed}/{os.getpid()}/{time.time_ns()}")
        self._calls = float(calls)
        self._left = self._drawn()
        self._folder, self._log = os.path.realpath(folder) + os.sep, log

    def install(self) -> None:
        """Wrap the calls that write."""
        self._real_open, self._write = builtins.open, os.write
        builtins.open = io.open = self._open  # type: ignore[assignment]
        for name in ("replace", "rename", "mkdir", "link", "unlink"):
            setattr(os, name, self._failing(name, getattr(os, name)))
        os.fsync = self._failing("fsync", os.fsync, everywhere=True)
        if self._rng.random() < 0.1:
            jump = self._rng.choice((-1, 1)) * self._rng.uniform(1, 400) * DAY
            real, real_ns = time.time, time.time_ns
            time.time = lambda: real() + jump
            time.time_ns = lambda: real_ns() + int(jump * 1e9)
            self._note("the clock is days off")

    def _drawn(self) -> int:
        return 1 + int(self._rng.expovariate(1 / self._calls))

    def _note(self, what: str) -> None:
        number = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._write(number, f"{what}\n".encode())
        os.close(number)

    def _due(self, path: object) -> bool:
        if isinstance(path, bytes | str | os.PathLike):
            if not os.path.abspath(os.fsdecode(path)).startswith(self._folder):
                return False
            self._left -= 1
            if self._left == 0:
                self._left = self._drawn()
                return True
        return False

    def _fail(self, what: str) -> None:
        number = self._rng.choice(ERRORS)
        self._note(f"{what}: {errno.errorcode[number]}")
        raise OSError(number, os.strerror(number))

    def _failing(self, name: str, real: Callable[..., Any], *, everywhere: bool = False) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if self._due(self._folder + "x" if everywhere else arguments[0]):
                self._fail(name)
            return real(*arguments, **named)

        return call

    def _open(self, file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        """Opening a file for writing may fail, or the process may die after writing part of the content."""
        opened = self._real_open
        if not set("wax+") & set(str(mode)) or not self._due(file):
            return opened(file, mode, *arguments, **named)
        if self._rng.random() < 0.5:
            self._fail("open")
        self._note("half-written file, kill -9")
        with opened(file, "ab") as half:
            half.write(b'{"half": ')
        os.kill(os.getpid(), signal.SIGKILL)
        return None


if words := os.environ.get("GRADUS_FAULTS"):
    Faults(words, os.environ["GRADUS_FAULTS_FOLDER"], os.environ["GRADUS_FAULTS_LOG"]).install()
