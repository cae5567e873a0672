"""Databases that queries can only read, within limits of time and rows, on SQLite or DuckDB.

What may run, the engine itself decides, because no other parser reads a query as it does: SQLite asks its authorizer
before each action, DuckDB is asked for the kind of statement and runs it in a read-only transaction without access to
files or the network. Left out: memory is limited only as far as the engine can be told to.
"""

import importlib
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from components.errors import ConfigError
from components.params import SqlExecutionParams

Row = tuple[Any, ...]
READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
LONGEST_VALUE = 1_000_000  # bytes of a text, a blob or a query
LARGEST_RESULT = 10_000_000  # characters of all rows together
MOST_COLUMNS = 100
ROWS_AT_ONCE = 100  # so that no result fills the memory before it is found to be too large
STEPS_BETWEEN_LOOKS = 5_000  # of SQLite's machine, a fraction of a millisecond
DUCKDB: dict[str, Any] = {
    "enable_external_access": "false", "python_enable_replacements": "false", "threads": "1",
    "memory_limit": "256MB", "max_temp_directory_size": "0MB",
}  # fmt: skip


class QueryFailed(Exception):
    """A query that does not return rows within its limits; the message says why."""


class Database(Protocol):
    """One connection, for one thread."""

    def rows(self, query: str) -> list[Row]:
        """What a query returns.

        Raises:
            QueryFailed: It is not one statement that reads, the engine refuses it, or it goes beyond a limit.
        """
        ...


Opener = Callable[[], Database]


def openers(params: SqlExecutionParams) -> list[Opener]:
    """How each database is opened, by any thread.

    Raises:
        ConfigError: There is none, a file is missing, or a script does not run.
    """
    found = _named(params.databases) if isinstance(params.databases, str) else [Path(one) for one in params.databases]
    if not found:
        raise ConfigError(f"sql_execution.databases: expected at least one, found none ({params.databases})")
    opener = _sqlite if params.dialect == "sqlite" else _duckdb
    return [opener(_content(one), params) for one in found]


def _named(name: str) -> Sequence[str]:
    """The scripts that a function returns."""
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"sql_execution.databases: expected a function without arguments that returns SQL scripts, found {error}"
        ) from error


def _content(source: str | Path) -> str | Path:
    """A script's text, or the file of a database."""
    if isinstance(source, str):
        return source
    if not source.is_file():
        raise ConfigError(f"sql_execution.databases: expected a file, found none at {source}")
    return source.read_text(encoding="utf-8") if source.suffix == ".sql" else source


def _sqlite(content: str | Path, params: SqlExecutionParams) -> Opener:
    if isinstance(content, Path):
        address = f"{content.resolve().as_uri()}?mode=ro&immutable=1"
        return lambda: SqliteDatabase(sqlite3.connect(address, uri=True), params)
    with closing(sqlite3.connect(":memory:")) as built:
        try:
            built.executescript(content)
        except sqlite3.Error as error:
            raise ConfigError(f"sql_execution.databases: expected a script for SQLite, found {error}") from error
        image = built.serialize()

    def copied() -> Database:
        connection = sqlite3.connect(":memory:")
        connection.deserialize(image)
        return SqliteDatabase(connection, params)

    return copied


class SqliteDatabase:
    """A connection that may only read."""

    def __init__(self, connection: sqlite3.Connection, params: SqlExecutionParams) -> None:
        self._connection, self._params, self._until = connection, params, 0.0
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
        connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, LONGEST_VALUE)
        connection.setlimit(sqlite3.SQLITE_LIMIT_COLUMN, MOST_COLUMNS)
        connection.execute("PRAGMA query_only = ON")
        connection.set_authorizer(_may_only_read)
        connection.set_progress_handler(lambda: time.monotonic() > self._until, STEPS_BETWEEN_LOOKS)

    def rows(self, query: str) -> list[Row]:
        self._until = time.monotonic() + self._params.time_limit_s
        try:
            cursor = self._connection.execute(query)
            found = _fetched(cursor, self._params)
        except (sqlite3.Error, sqlite3.Warning, ValueError, UnicodeError) as error:
            late = isinstance(error, sqlite3.OperationalError) and str(error) == "interrupted"
            raise QueryFailed(_late(self._params) if late else str(error)) from error
        if cursor.description is None:
            raise QueryFailed("no query")
        return found


def _may_only_read(action: int, _: object, function: str | None, *__: object) -> int:
    """SQLite's question before each action of a statement; for functions the second name is the function's."""
    allowed = action in READING and (function or "").lower() != "load_extension"
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _duckdb(content: str | Path, params: SqlExecutionParams) -> Opener:
    import duckdb

    try:
        if isinstance(content, Path):
            opened = duckdb.connect(str(content), read_only=True, config=DUCKDB)
        else:
            opened = duckdb.connect(":memory:", config=DUCKDB)
            opened.execute(content)
        opened.execute("SET lock_configuration = true")
    except duckdb.Error as error:
        raise ConfigError(f"sql_execution.databases: expected a database for DuckDB, found {error}") from error
    return lambda: DuckDatabase(opened.cursor(), params)


class DuckDatabase:
    """A cursor whose queries run in read-only transactions."""

    def __init__(self, cursor: Any, params: SqlExecutionParams) -> None:
        self._cursor, self._params = cursor, params

    def rows(self, query: str) -> list[Row]:
        import duckdb

        watch = threading.Timer(self._params.time_limit_s, self._cursor.interrupt)
        watch.start()
        try:
            statements = self._cursor.extract_statements(query)
            if [one.type for one in statements] != [duckdb.StatementType.SELECT]:
                raise QueryFailed("not exactly one SELECT statement")
            self._cursor.execute("BEGIN TRANSACTION READ ONLY")
            found = _fetched(self._cursor.execute(statements[0]), self._params)
            return [tuple(map(_hashable, row)) for row in found]
        except duckdb.InterruptException:
            raise QueryFailed(_late(self._params)) from None
        except (duckdb.Error, RuntimeError, ValueError) as error:
            raise QueryFailed(str(error).splitlines()[0]) from error
        finally:
            watch.cancel()
            watch.join()  # so that it interrupts nothing else
            self._end()

    def _end(self) -> None:
        import duckdb

        try:
            self._cursor.execute("ROLLBACK")
        except duckdb.Error:  # nothing had begun
            return


def _hashable(cell: Any) -> Any:
    """A cell; arrays and structures as they are written."""
    return str(cell) if isinstance(cell, list | dict) else cell


def _fetched(cursor: Any, params: SqlExecutionParams) -> list[Row]:
    """All rows, unless there are too many of them or too much is in them."""
    found, size = list[Row](), 0
    while True:
        rows = cursor.fetchmany(ROWS_AT_ONCE)
        found += rows
        size += sum(len(cell) for row in rows for cell in row if isinstance(cell, str | bytes))
        if len(found) > params.max_rows:
            raise QueryFailed(f"more than {params.max_rows:,} rows")
        if size > LARGEST_RESULT:
            raise QueryFailed(f"more than {LARGEST_RESULT:,} characters")
        if len(rows) < ROWS_AT_ONCE:
            return found


def _late(params: SqlExecutionParams) -> str:
    return f"no result within {params.time_limit_s:g} s"
