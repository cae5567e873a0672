"""The script of a separate process, which opens a few databases and runs untrusted queries, one after another.

It runs as a script (`python -I`) with the standard library, and DuckDB if the dialect needs it; only tests import it.
The engine itself decides what may run, because no other parser reads a query exactly as it does: SQLite asks its
authorizer before each action; DuckDB reports the kind of statement and runs it in a read-only transaction without
access to files or the network. A query that the engine cannot stop is killed with its process by the kernel's timer,
whatever the engine is doing. DuckDB's functions are not listed one by one, because none of them reaches outside.
"""

import pickle
import resource
import signal
import sqlite3
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from datetime import time as dt_time
from decimal import Decimal
from typing import Any
from uuid import UUID

Row = tuple[Any, ...]
CELLS = (type(None), bool, int, float, str, bytes, Decimal, date, datetime, dt_time, timedelta, UUID)
LONGEST_VALUE = 100_000  # bytes of a text or a blob
LONGEST_QUERY = 20_000  # bytes
LARGEST_RESULT = 10_000_000  # characters of all rows together
MOST_COLUMNS = 100
LIKE_PATTERN = 50  # bytes; matching time is the text's length times the pattern's
ROWS_AT_ONCE = 100  # so that a result is refused before it fills the memory
STEPS_BETWEEN_LOOKS = 5_000  # of SQLite's virtual machine, a fraction of a millisecond
HEAP = 256 << 20  # bytes of SQLite's own memory
ADDRESS_SPACE = {"sqlite": 1 << 30, "duckdb": 3 << 30}  # bytes of the process
LATER = 0.25  # seconds after the time limit at which a process that did not stop is killed

READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
# SQLite's functions without side effects: core, aggregate, window, date and time, mathematics, JSON.
_NAMES = (
    "abs char coalesce concat concat_ws format glob hex ifnull iif if instr length like likelihood likely lower ltrim "
    "max min nullif octet_length printf quote random replace round rtrim sign soundex substr substring trim typeof "
    "unhex unicode unistr unistr_quote unlikely upper "
    "avg count group_concat string_agg sum total median percentile percentile_cont percentile_disc "
    "row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value "
    "date time datetime julianday unixepoch strftime timediff current_date current_time current_timestamp "
    "acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10 log2 mod pi pow power "
    "radians sin sinh sqrt tan tanh trunc "
    "json json_array json_array_length json_error_position json_extract json_insert json_object json_patch json_pretty "
    "json_quote json_remove json_replace json_set json_type json_valid json_group_array json_group_object json_each "
    "json_tree -> ->> match regexp"
)
FUNCTIONS = frozenset(_NAMES.split())
DUCKDB: dict[str, Any] = {
    "enable_external_access": "false", "autoinstall_known_extensions": "false", "autoload_known_extensions": "false",
    "python_enable_replacements": "false", "threads": "1", "memory_limit": "256MB", "max_temp_directory_size": "0MB",
}  # fmt: skip


class Refused(Exception):
    """A query returned no rows within its limits; the message says why."""


def main() -> None:
    """Open the databases described in the first message, then answer a query per message until the pipe closes."""
    inlet, outlet = sys.stdin.buffer, sys.stdout.buffer
    settings = read(inlet)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # kills the process, whatever handler was inherited
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if sys.platform == "linux":  # macOS cannot limit address space
        space = ADDRESS_SPACE[settings["dialect"]]
        resource.setrlimit(resource.RLIMIT_AS, (space, space))
    opened, problems = list[Any](), list[str]()
    try:
        opened += [OPENERS[settings["dialect"]](source) for source in settings["sources"]]
    except Refused as error:
        problems.append(str(error))
    write(outlet, problems)
    while (query := read(inlet)) is not None:
        write(outlet, list(answered(opened, query, settings["time_limit_s"], settings["max_rows"])))


def answered(databases: list[Any], query: str, time_limit_s: float, max_rows: int) -> Iterator[list[Row] | str]:
    """The rows from each database, up to the first that fails, for which there is a reason instead.

    The process is killed if the query cannot be stopped in time.
    """
    for database in databases:
        signal.setitimer(signal.ITIMER_REAL, time_limit_s + LATER)
        try:
            yield database.rows(query, time_limit_s, max_rows)
        except Refused as error:
            yield str(error)[:500]
            return
        except MemoryError:
            yield "more memory than a query may take"
            return
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


class Sqlite:
    """A read-only connection."""

    def __init__(self, source: tuple[str, str]) -> None:
        """Open a database from a script, run in memory, or a file: ("script", its text) or ("file", its name)."""
        kind, content = source
        address = f"{content}?mode=ro&immutable=1" if kind == "file" else ":memory:"
        try:
            self._connection = connection = sqlite3.connect(address, uri=True)
            if kind == "script":
                connection.executescript(content)
            connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
        except (sqlite3.Error, ValueError) as error:
            raise Refused(f"expected a database for SQLite, found {error}") from error
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
        connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, LONGEST_QUERY)
        connection.setlimit(sqlite3.SQLITE_LIMIT_COLUMN, MOST_COLUMNS)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, LIKE_PATTERN)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.execute(f"PRAGMA hard_heap_limit = {HEAP}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA query_only = ON")
        connection.set_authorizer(may_only_read)
        self._until = 0.0
        connection.set_progress_handler(lambda: time.monotonic() > self._until, STEPS_BETWEEN_LOOKS)

    def rows(self, query: str, time_limit_s: float, max_rows: int) -> list[Row]:
        """A query's rows.

        Raises:
            Refused: It is not a single reading statement, the engine refuses it, or it exceeds a limit.
        """
        self._until = time.monotonic() + time_limit_s
        try:
            cursor = self._connection.execute(query)
            rows_found = fetched(cursor, max_rows)
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            late = isinstance(error, sqlite3.OperationalError) and str(error) == "interrupted"
            raise Refused(timeout_message(time_limit_s) if late else str(error)) from error
        if cursor.description is None:
            raise Refused("no query")
        return rows_found


def may_only_read(action: int, _: object, function: str | None, *__: object) -> int:
    """SQLite's authorizer for each action of a statement; for functions, the second name is the function's."""
    if action == sqlite3.SQLITE_FUNCTION:
        return sqlite3.SQLITE_OK if (function or "").lower() in FUNCTIONS else sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in READING else sqlite3.SQLITE_DENY


class Duck:
    """A database that runs queries in read-only transactions."""

    def __init__(self, source: tuple[str, str]) -> None:
        """Open a database from a script, run in memory, or a file: ("script", its text) or ("file", its name)."""
        import duckdb

        kind, content = source
        try:
            if kind == "file":
                self._connection = duckdb.connect(content, read_only=True, config=DUCKDB)
            else:
                self._connection = duckdb.connect(":memory:", config=DUCKDB)
                self._connection.execute(content)
            self._connection.execute("SET lock_configuration = true")
        except duckdb.Error as error:
            raise Refused(f"expected a database for DuckDB, found {error}") from error

    def rows(self, query: str, time_limit_s: float, max_rows: int) -> list[Row]:
        """A query's rows.

        Raises:
            Refused: It is not a single reading statement, the engine refuses it, or it exceeds a limit.
        """
        import duckdb

        watch = threading.Timer(time_limit_s, self._connection.interrupt)
        watch.start()
        try:
            statements = self._connection.extract_statements(query)
            if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
                raise Refused("not exactly one SELECT statement")
            self._connection.execute("BEGIN TRANSACTION READ ONLY")
            rows_found = fetched(self._connection.execute(statements[0]), max_rows)
            return [tuple(map(_plain, row)) for row in rows_found]
        except duckdb.InterruptException:
            raise Refused(timeout_message(time_limit_s)) from None
        except (duckdb.Error, RuntimeError, OverflowError) as error:  # the last for an interval that Python cannot hold
            raise Refused(str(error).splitlines()[0]) from error
        finally:
            watch.cancel()
            watch.join()  # so that it cannot interrupt anything else
            self._end()

    def _end(self) -> None:
        import duckdb

        try:
            self._connection.execute("ROLLBACK")
        except duckdb.Error:  # no transaction had begun
            return


OPENERS: dict[str, Callable[[tuple[str, str]], Any]] = {"sqlite": Sqlite, "duckdb": Duck}


def fetched(cursor: Any, max_rows: int) -> list[Row]:
    """All rows, unless they are too many or too large."""
    fetched_rows, size = list[Row](), 0
    while True:
        rows = cursor.fetchmany(ROWS_AT_ONCE)
        fetched_rows += rows
        size += sum(len(cell) for row in rows for cell in row if isinstance(cell, str | bytes))
        if len(fetched_rows) > max_rows:
            raise Refused(f"more than {max_rows:,} rows")
        if size > LARGEST_RESULT:
            raise Refused(f"more than {LARGEST_RESULT:,} characters")
        if len(rows) < ROWS_AT_ONCE:
            return fetched_rows


def timeout_message(time_limit_s: float) -> str:
    """The message for a query that took too long."""
    return f"no result within {time_limit_s:g} s"


def read(pipe: Any) -> Any:
    """The next message (its length in 4 bytes, then its content); None at the end."""
    head = pipe.read(4)
    return pickle.loads(pipe.read(struct.unpack("!I", head)[0])) if len(head) == 4 else None


def write(pipe: Any, message: object) -> None:
    """Send a message."""
    content = pickle.dumps(message, protocol=5)
    pipe.write(struct.pack("!I", len(content)) + content)
    pipe.flush()


def _plain(cell: Any) -> Any:
    """A cell; arrays, structures and other complex values as text."""
    zoned = isinstance(cell, datetime | dt_time) and cell.tzinfo is not None
    return str(cell) if type(cell) not in CELLS or zoned else cell


if __name__ == "__main__":
    main()
