"""Databases for read-only queries with limits on time, memory and rows, on SQLite or DuckDB.

A query runs in a process that is killed when its time is up, whatever the engine is doing; `sql_inside`, which runs
there, decides what it may do. Processes are reused. Their output is potentially hostile: its size, its shape and the
type of each cell are checked.
"""

import importlib
import io
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import time
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from components.errors import ConfigError, ScorerError
from components.params import SqlExecutionParams, read_text
from components.scorers.sql_inside import CELLS, LATER, LONGEST_QUERY, Row, timeout_message, write

START_SECONDS = 60.0  # starting takes a tenth of a second; the machine may be busy
GRACE_SECONDS = 5.0  # beyond the moment at which the kernel kills the process
LARGEST_MESSAGE = 128 << 20  # bytes
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "PYTHONUTF8": "1"}
_NAMES = {(kind.__module__, kind.__name__): kind for kind in CELLS if kind.__module__ != "builtins"}


class QueryFailed(Exception):
    """A query returned no rows within its limits; the message says why."""


class Lost(Exception):
    """The process ended, is silent, or sent something unexpected."""


class Databases:
    """A workload's databases; thread-safe, with a process to itself for each query."""

    def __init__(self, params: SqlExecutionParams) -> None:
        """Locate the databases and open them in a first process.

        Raises:
            ConfigError: There are none, a file is missing, or a script fails.
        """
        given = params.databases
        sources = _named(given) if isinstance(given, str) else [Path(path) for path in given]
        if not sources:
            raise ConfigError(f"sql_execution.databases: expected at least one, found none ({given})")
        self._params, self._sources = params, [_source(item, params.dialect) for item in sources]
        self._idle: deque[Process] = deque()
        weakref.finalize(self, _close, self._idle)
        self._idle.append(self._started())

    def rows(self, query: str) -> Iterator[list[Row]]:
        """A query's rows from each database, in order.

        Raises:
            QueryFailed: It is not a single reading statement, the engine refuses it, or it exceeds a limit.
            ScorerError: No process can be started.
        """
        for rows in self._answer(query):
            if isinstance(rows, str):
                raise QueryFailed(rows)
            yield rows

    def _answer(self, query: str) -> list[list[Row] | str]:
        try:
            size = len(query.encode())
        except UnicodeEncodeError:
            return ["a query with half of a character"]
        if size > LONGEST_QUERY:
            return [f"a query of more than {LONGEST_QUERY:,} bytes"]
        process = self._ready()
        seconds = len(self._sources) * (self._params.time_limit_s + LATER) + GRACE_SECONDS
        try:
            answer = _checked(process.ask(query, seconds), len(self._sources))
        except Lost as error:
            late = process.end() == -signal.SIGALRM
            return [timeout_message(self._params.time_limit_s) if late else str(error)]
        self._idle.append(process)
        return answer

    def _ready(self) -> "Process":
        """An idle process that still runs, or a new one: the system may have killed an idle one."""
        with suppress(IndexError):  # none is idle
            while True:
                process = self._idle.pop()
                if process.runs:
                    return process
                process.end()
        return self._started()

    def _started(self) -> "Process":
        """A new process with the databases open.

        Raises:
            ConfigError: A database does not open.
            ScorerError: The process does not start.
        """
        params = self._params
        settings = {
            "dialect": params.dialect, "sources": self._sources, "time_limit_s": params.time_limit_s,
            "max_rows": params.max_rows,
        }  # fmt: skip
        process = Process()
        try:
            problems = process.ask(settings, START_SECONDS)
        except Lost as error:
            process.end()
            raise ScorerError(f"expected a process for {params.dialect}, found {error}") from error
        if problems:
            process.end()
            raise ConfigError(f"sql_execution.databases: {problems[0]}")
        return process


class Process:
    """The parent's side of a process."""

    def __init__(self) -> None:
        """Start it; it then waits for its first message."""
        script = str(Path(__file__).with_name("sql_inside.py"))
        self._process = subprocess.Popen(
            [sys.executable, "-I", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=ENVIRONMENT, cwd="/", start_new_session=True,
        )  # fmt: skip

    def ask(self, message: object, seconds: float) -> Any:
        """The response to a message: values of the types that a cell may have, in lists and tuples.

        Raises:
            Lost: There is no response in time, or not a valid one.
        """
        deadline = time.monotonic() + seconds
        try:
            write(self._process.stdin, message)
        except OSError as error:
            raise Lost("its process ended") from error
        size = struct.unpack("!I", self._read(4, deadline))[0]
        if size > LARGEST_MESSAGE:
            raise Lost(f"its process answered with {size:,} bytes")
        try:
            return _Plain(io.BytesIO(self._read(size, deadline))).load()
        except (pickle.UnpicklingError, ValueError, TypeError, EOFError, LookupError, AttributeError, ArithmeticError):
            raise Lost("its process answered with something other than rows") from None

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def end(self) -> int:
        """End it if it is still running; return its exit code."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        return self._process.wait()

    def _read(self, size: int, deadline: float) -> bytes:
        assert self._process.stdout is not None
        number, content = self._process.stdout.fileno(), bytearray()
        poll = select.poll()
        poll.register(number, select.POLLIN)
        while len(content) < size:
            if not poll.poll(max(deadline - time.monotonic(), 0) * 1000):
                raise Lost("its process fell silent")
            part = os.read(number, min(size - len(content), 1 << 20))
            if not part:
                raise Lost("its process ended")
            content += part
        return bytes(content)


class _Plain(pickle.Unpickler):
    """Unpickles only values of the types that a cell may have."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"{module}.{name} is no type of a cell")
        return _NAMES[module, name]


def _checked(answer: Any, databases: int) -> list[list[Row] | str]:
    """A validated response to a query.

    Raises:
        Lost: It is invalid.
    """
    shaped = isinstance(answer, list) and all(isinstance(rows, str) or _are_rows(rows) for rows in answer)
    whole = shaped and (len(answer) == databases or (answer and isinstance(answer[-1], str)))
    if not whole or any(isinstance(rows, str) for rows in answer[:-1]):
        raise Lost("its process answered with something other than rows")
    return answer


def _are_rows(rows: Any) -> bool:
    return isinstance(rows, list) and all(
        type(row) is tuple and all(type(cell) in CELLS for cell in row) for row in rows
    )


def _named(name: str) -> Sequence[str]:
    """The scripts returned by a function, given by name."""
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"sql_execution.databases: expected a function without arguments that returns SQL scripts, found {error}"
        ) from error


def _source(item: str | Path, dialect: str) -> tuple[str, str]:
    """A script's text, or a database file's name in the engine's form."""
    if isinstance(item, str):
        return "script", item
    if not item.is_file():
        raise ConfigError(f"sql_execution.databases: expected a file, found none at {item}")
    if item.suffix == ".sql":
        return "script", read_text(item, "SQL")
    return "file", item.resolve().as_uri() if dialect == "sqlite" else str(item.resolve())


def _close(idle: deque[Process]) -> None:
    while idle:
        idle.pop().end()
