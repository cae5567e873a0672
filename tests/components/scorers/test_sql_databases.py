"""A query's process: what ends it, what it may reach, and what its parent believes of it."""

import gc
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import psutil
import pytest

from components.errors import ConfigError, ScorerError
from components.params import SqlExecutionParams
from components.scorers import sql_databases
from components.scorers.sql_databases import Databases, Lost, Process, QueryFailed
from components.scorers.sql_inside import FUNCTIONS, LARGEST_RESULT, LONGEST_QUERY, LONGEST_VALUE, may_only_read

SCRIPTS = ["CREATE TABLE t (a INTEGER, b TEXT); INSERT INTO t VALUES (1, 'x')", "CREATE TABLE t (a INTEGER, b TEXT)"]
Dialect = Literal["sqlite", "duckdb"]
DIALECTS: tuple[Dialect, ...] = ("sqlite", "duckdb")


def scripts() -> list[str]:
    return SCRIPTS


def opened(dialect: Dialect, time_limit_s: float = 5.0) -> Databases:
    return Databases(
        SqlExecutionParams(databases=f"{__name__}:scripts", dialect=dialect, time_limit_s=time_limit_s, max_rows=500)
    )


@pytest.fixture(scope="module")
def sqlite() -> Databases:
    return opened("sqlite")


@pytest.fixture(scope="module")
def duckdb() -> Databases:
    return opened("duckdb")


def children() -> list[psutil.Process]:
    gc.collect()  # those of scorers that nobody holds any more end with them
    return [
        process for process in psutil.Process().children() if any("sql_inside" in part for part in process.cmdline())
    ]


def reason(databases: Databases, query: str) -> str:
    """Why a query has no rows."""
    with pytest.raises(QueryFailed) as failed:
        list(databases.rows(query))
    return str(failed.value)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_database_answers_in_order(dialect: Dialect) -> None:
    assert list(opened(dialect).rows("SELECT a, b FROM t")) == [[(1, "x")], []]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_rows_before_a_failure_are_returned(dialect: Dialect) -> None:
    query = "SELECT abs(CASE WHEN count(*) = 0 THEN -9223372036854775807 - 1 ELSE 5 END) FROM t"
    rows = opened(dialect).rows(query)
    assert next(rows) == [(5,)]
    with pytest.raises(QueryFailed, match=r"overflow|Overflow"):
        next(rows)


def test_a_function_that_no_engine_can_interrupt_ends_with_its_process() -> None:
    duck = opened("duckdb", time_limit_s=0.2)
    before = children()
    started = time.monotonic()
    assert reason(duck, "SELECT levenshtein(repeat('ab', 150000), repeat('ba', 150000))") == "no result within 0.2 s"
    assert time.monotonic() - started < 5
    assert len(children()) == len(before) - 1
    assert list(duck.rows("SELECT 7")) == [[(7,)], [(7,)]]  # in a new one


def test_a_process_that_falls_silent_is_not_waited_for(sqlite: Databases) -> None:
    process = sqlite._started()
    (spawned,) = [child for child in children() if child.pid == process._process.pid]
    os.kill(spawned.pid, signal.SIGSTOP)
    with pytest.raises(Lost, match="fell silent"):
        process.ask("SELECT 1", 0.2)
    assert process.end() == -signal.SIGKILL


def test_a_process_that_died_while_it_waited_is_replaced() -> None:
    databases = opened("sqlite")
    kept = databases._idle[0]._process
    kept.kill()
    kept.wait()
    assert list(databases.rows("SELECT 1")) == [[(1,)], [(1,)]]


def test_a_query_whose_process_dies_is_wrong_and_says_so() -> None:
    databases = opened("sqlite")
    kept = databases._idle[0]._process
    os.kill(kept.pid, signal.SIGSTOP)
    end = threading.Timer(0.2, kept.kill)
    end.start()
    assert reason(databases, "SELECT 1") == "its process ended"
    assert list(databases.rows("SELECT 1")) == [[(1,)], [(1,)]]


def test_processes_end_with_their_owner() -> None:
    before = len(children())
    databases = opened("sqlite")
    list(databases.rows("SELECT 1"))
    assert len(children()) == before + 1
    del databases
    assert len(children()) == before


def test_a_process_ends_when_its_parent_was_killed() -> None:
    code = (
        "import os, signal\nfrom components.scorers.sql_databases import Databases\n"
        "from components.params import SqlExecutionParams\n"
        f"d = Databases(SqlExecutionParams(databases='{__name__}:scripts'))\n"
        "print(d._idle[0]._process.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    root = str(Path(__file__).resolve().parents[3])
    environment = os.environ | {"PYTHONPATH": root}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=root, env=environment, check=False)
    psutil.wait_procs([psutil.Process(int(done.stdout))] if psutil.pid_exists(int(done.stdout)) else [], timeout=10)
    assert not psutil.pid_exists(int(done.stdout))


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_text('{file}')",
        "SELECT * FROM read_blob('{file}')",
        "SELECT * FROM read_csv('{file}')",
        "SELECT * FROM glob('{file}*')",
        "SELECT * FROM sniff_csv('{file}')",
    ],
)
def test_duckdb_reads_no_file(duckdb: Databases, tmp_path: Path, query: str) -> None:
    (tmp_path / "secret.txt").write_text("name\nsecret\n")
    assert "file system operations are disabled" in reason(duckdb, query.format(file=tmp_path / "secret.txt"))


@pytest.mark.parametrize("setting", ["enable_external_access = true", "memory_limit = '9GB'", "threads = 8"])
def test_no_query_changes_a_setting(duckdb: Databases, setting: str) -> None:
    assert "not exactly one SELECT" in reason(duckdb, f"SET {setting}")
    assert next(duckdb.rows("SELECT current_setting('enable_external_access'), current_setting('threads')")) == [
        (False, 1)
    ]


@pytest.mark.parametrize("function", ["load_extension('x')", "zeroblob(9)", "randomblob(9)", "sqlite_version()"])
def test_sqlite_calls_listed_functions_alone(sqlite: Databases, function: str) -> None:
    name = function.partition("(")[0]
    assert reason(sqlite, f"SELECT {function}") == f"not authorized to use function: {name}"


def test_the_authorizer_refuses_what_it_does_not_know() -> None:
    assert may_only_read(sqlite3.SQLITE_FUNCTION, None, "LOAD_EXTENSION") == sqlite3.SQLITE_DENY
    assert may_only_read(sqlite3.SQLITE_FUNCTION, None, None) == sqlite3.SQLITE_DENY
    assert may_only_read(sqlite3.SQLITE_FUNCTION, None, "Lower", "main", None) == sqlite3.SQLITE_OK
    reading = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE}
    allowed = {action for action in range(40) if may_only_read(action, "t", "abs") == sqlite3.SQLITE_OK}
    assert allowed == reading | {sqlite3.SQLITE_FUNCTION}


def test_every_function_that_is_listed_and_there_reads_only(sqlite: Databases) -> None:
    with sqlite3.connect(":memory:") as plain:
        there = {name for (name,) in plain.execute("SELECT name FROM pragma_function_list")}
    assert not {name for name in there & FUNCTIONS if name.startswith(("sqlite_", "load", "fts", "rtree", "zero"))}
    assert {"count", "strftime", "lower", "row_number", "coalesce", "json_extract", "round"} <= there & FUNCTIONS
    assert next(sqlite.rows("SELECT upper(b), strftime('%Y', '2020-01-02'), row_number() OVER () FROM t")) == [
        ("X", "2020", 1)
    ]


def test_sqlite_keeps_its_limits(sqlite: Databases) -> None:
    row = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {LONGEST_VALUE // 10 + 1})"
    assert "too big" in reason(sqlite, f"{row} SELECT group_concat('1234567890', '') FROM n")
    assert "too complex" in reason(sqlite, f"SELECT 'x' LIKE '{'%x' * 26}'")
    assert next(sqlite.rows(f"SELECT 'x' LIKE '{'%' * 49}x'")) == [(1,)]
    assert "too many columns" in reason(sqlite, f"SELECT {', '.join(['1'] * 101)}")
    assert len(next(sqlite.rows(f"SELECT {', '.join(['1'] * 100)}"))[0]) == 100
    assert reason(sqlite, "SELECT 1; SELECT 2").startswith("You can only execute one statement")
    assert reason(sqlite, "-- nothing") == "no query"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_rows_characters_and_queries_have_limits(dialect: Dialect) -> None:
    databases = opened(dialect)
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
    assert len(next(databases.rows(f"{numbers.format(500)} SELECT i FROM n"))) == 500
    assert reason(databases, f"{numbers.format(501)} SELECT i FROM n") == "more than 500 rows"
    wide = f"SELECT '{'x' * 15_000}' || '{'y' * 4_000}'"
    many = f"{numbers.format(500)} SELECT b || b FROM n, ({wide} AS b)"  # 500 x 38,000 characters
    assert reason(databases, many) == f"more than {LARGEST_RESULT:,} characters"
    padded = "SELECT 1".ljust(LONGEST_QUERY)
    assert next(databases.rows(padded)) == [(1,)]
    assert reason(databases, f"{padded} ") == f"a query of more than {LONGEST_QUERY:,} bytes"
    assert next(databases.rows(f"SELECT '{'é' * 9_000}'")) == [("é" * 9_000,)]
    assert reason(databases, f"SELECT '{'é' * 10_000}'") == f"a query of more than {LONGEST_QUERY:,} bytes"
    assert reason(databases, "SELECT '\ud800'") == "a query with half of a character"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_memory_has_a_limit(dialect: Dialect) -> None:
    databases = opened(dialect, time_limit_s=60)
    if dialect == "sqlite":
        long = "printf('%90000c', 'x')"
        hungry = f"WITH RECURSIVE n(i, b) AS (SELECT 1, {long} UNION ALL SELECT i + 1, b || '' FROM n LIMIT 20000) "
        assert reason(databases, f"{hungry} SELECT i FROM (SELECT * FROM n ORDER BY b DESC)") == (
            "more memory than a query may take"
        )
    else:
        assert "Out of Memory" in reason(databases, "SELECT array_agg(i) FROM range(300000000) r(i)")
    assert list(databases.rows("SELECT count(*) FROM t")) == [[(1,)], [(0,)]]


def test_an_endless_query_stops_without_the_end_of_its_process() -> None:
    databases = opened("sqlite", time_limit_s=0.2)
    before = [process.pid for process in children()]
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    assert reason(databases, endless) == "no result within 0.2 s"
    assert [process.pid for process in children()] == before


def test_values_of_every_kind_come_through(duckdb: Databases) -> None:
    query = (
        "SELECT DATE '2020-01-02', TIMESTAMP '2020-01-02 03:04:05', INTERVAL 1 DAY, 1.50::DECIMAL(5, 2), NULL, true, "
        "2.5::DOUBLE, 'é', 'x'::BLOB, 170141183460469231731687303715884105727::HUGEINT, [1, 2], {'a': 1}, "
        "TIMESTAMPTZ '2020-01-02 03:04:05+00', '6ccd780c-baba-1026-9564-5b8c656024db'::UUID::TEXT"
    )
    (row,) = next(duckdb.rows(query))
    assert row[:5] == (date(2020, 1, 2), datetime(2020, 1, 2, 3, 4, 5), timedelta(days=1), Decimal("1.50"), None)
    assert row[5:12] == (True, 2.5, "é", b"x", 2**127 - 1, "[1, 2]", "{'a': 1}")
    assert row[12].startswith("2020-01-02")
    assert len(next(duckdb.rows("SELECT uuid(), TIME '10:00'"))[0]) == 2
    assert next(duckdb.rows("SELECT TIMETZ '10:00:00+02:30'")) == [("10:00:00+02:30",)]


def running(code: str) -> Process:
    """A process with other code."""
    process = Process()
    process.end()
    run = [sys.executable, "-c", f"import sys, time\n{code}"]
    process._process = subprocess.Popen(run, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    return process


def speaking(message: bytes) -> Process:
    """A process that answers with these bytes, whatever it is asked."""
    return running(f"sys.stdin.buffer.read(1); sys.stdout.buffer.write({message!r}); sys.stdout.flush()")


class Call:
    """Pickled, it is a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def sized(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content


def framed(message: object) -> bytes:
    return sized(pickle.dumps(message))


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (b"", "ended"),
        (b"\xff\xff\xff\xff", "4,294,967,295 bytes"),
        (b"\0\0\0\x09short", "ended"),
        (b"\0\0\0\x04abcd", "other than rows"),
        (b"\0\0\0\0", "other than rows"),  # nothing to unpickle
        (sized(b"\x80\x04cuuid\nUUID\n)\x81}b."), "other than rows"),  # a UUID without a number
        (sized(b"\x80\x04cdecimal\nDecimal\n)\x81}\x8c\x01xK\x01sb."), "other than rows"),  # a number with an attribute
        (framed(Call(date, "x")), "other than rows"),
        (framed(Call(os.remove, "/nowhere")), "other than rows"),
        (framed(Call(eval, "1")), "other than rows"),
        (framed(Call(Decimal, "x")), "other than rows"),
        (framed(Call(date, 0, 0, 0)), "other than rows"),
        (framed([[(1,)]]), "other than rows"),  # one database of two
        (framed([[(1,)], [(1,)], [(1,)]]), "other than rows"),
        (framed(["late", [(1,)]]), "other than rows"),
        (framed([[(1,)], [[1]]]), "other than rows"),
        (framed([[(1,)], [((1,),)]]), "other than rows"),
        (framed([[(1,)], {}]), "other than rows"),
        (framed([]), "other than rows"),
        (framed(5), "other than rows"),
    ],
)
def test_the_output_of_a_process_is_not_believed(message: bytes, problem: str) -> None:
    databases = opened("sqlite")
    databases._idle.pop().end()
    databases._idle.append(speaking(message))
    assert problem in reason(databases, "SELECT 1")
    assert list(databases.rows("SELECT 1")) == [[(1,)], [(1,)]]


def test_a_message_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    content = pickle.dumps([[(1,)], []])
    for most, read in ((len(content), True), (len(content) - 1, False)):
        monkeypatch.setattr(sql_databases, "LARGEST_MESSAGE", most)
        process = speaking(sized(content))
        if read:
            assert process.ask("SELECT 1", 20.0) == [[(1,)], []]
        else:
            with pytest.raises(Lost, match=f"answered with {len(content)} bytes"):
                process.ask("SELECT 1", 20.0)
        process.end()


def test_an_answer_that_comes_late_and_in_pieces_is_waited_for() -> None:
    before, after = framed([[("x" * 300_000,)]]).split(b"x" * 300_000)
    process = running(
        f"parts = [{before[:2]!r}, {before[2:]!r}, b'x' * 300_000, {after!r}]\nsys.stdin.buffer.read(1)\n"
        "for part in parts:\n    time.sleep(0.4)\n    sys.stdout.buffer.write(part)\n    sys.stdout.flush()"
    )
    assert process.ask("SELECT 1", 20.0) == [[("x" * 300_000,)]]
    process.end()


def test_a_query_is_waited_for_as_long_as_all_databases_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    databases, waited = opened("sqlite", time_limit_s=3.0), list[float]()
    ask = Process.ask

    def noting(process: Process, message: object, seconds: float) -> Any:
        waited.append(seconds)
        return ask(process, message, seconds)

    monkeypatch.setattr(Process, "ask", noting)
    assert list(databases.rows("SELECT 1")) == [[(1,)], [(1,)]]
    assert waited == [2 * (3.0 + 0.25) + 5.0]  # two databases, each with the time at which it is killed; the grace


@pytest.mark.parametrize(("dialect", "space"), [("sqlite", 1 << 30), ("duckdb", 3 << 30)])
def test_a_process_has_limits_before_it_opens_anything(dialect: Dialect, space: int) -> None:
    databases = opened(dialect)
    process = psutil.Process(databases._idle[0]._process.pid)
    assert process.rlimit(psutil.RLIMIT_AS) == (space, space)
    assert process.rlimit(psutil.RLIMIT_CORE) == process.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
    assert process.environ() == {"PATH": "/usr/bin:/bin", "PYTHONUTF8": "1"}


def test_a_process_that_does_not_start_is_the_scorers_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/true")
    with pytest.raises(ScorerError, match="expected a process for sqlite, found its process ended"):
        opened("sqlite")


def test_databases_that_a_name_does_not_give_are_refused() -> None:
    for name, why in (
        ("no_such:name", "no_such"),
        (f"{__name__}:nothing", "nothing"),
        (f"{__name__}:reason", "missing"),
    ):
        with pytest.raises(ConfigError, match=rf"expected a function without arguments .*{why}"):
            Databases(SqlExecutionParams(databases=name))
    with pytest.raises(ConfigError, match="expected at least one, found none"):
        Databases(SqlExecutionParams(databases="builtins:list"))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_script_that_does_not_run_is_refused(dialect: Dialect, tmp_path: Path) -> None:
    (tmp_path / "broken.sql").write_text("CREATE TABEL t (a INTEGER)")
    (tmp_path / "broken.db").write_bytes(b"no database" * 100)
    for name in ("broken.sql", "broken.db"):
        params = SqlExecutionParams(databases=(str(tmp_path / name),), dialect=dialect)
        before = len(children())
        with pytest.raises(ConfigError, match=r"sql_execution.databases: expected a database for (SQLite|DuckDB)"):
            Databases(params)
        assert len(children()) == before


def test_a_script_is_run_and_a_database_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "shop.sql").write_text(SCRIPTS[0])
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.executescript(SCRIPTS[0])
    for name in ("shop.sql", "shop.db"):
        databases = Databases(SqlExecutionParams(databases=(str(tmp_path / name),)))
        assert list(databases.rows("SELECT a, b FROM t")) == [[(1, "x")]]
