"""What runs in a query's process, here in the tests' own: what a query may do and how much it may bring."""

import io
import pickle
import signal
import sqlite3
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from components.scorers import sql_inside
from components.scorers.sql_inside import LARGEST_RESULT, Duck, Refused, Sqlite, answered, fetched, read, write

SCRIPT = "CREATE TABLE t (a INTEGER, b TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z')"
ENGINES: dict[str, type[Any]] = {"sqlite": Sqlite, "duckdb": Duck}
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT {} FROM n"
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT {} FROM n"


@pytest.fixture(scope="module", params=ENGINES)
def database(request: pytest.FixtureRequest) -> Any:
    return ENGINES[request.param](("script", SCRIPT))


def refusal(database: Any, query: str, seconds: float = 60.0, most: int = 500) -> str:
    with pytest.raises(Refused) as refused:
        database.rows(query, seconds, most)
    return str(refused.value)


def test_a_query_reads_what_the_script_wrote(database: Any) -> None:
    assert database.rows("SELECT a, b FROM t ORDER BY a DESC", 60.0, 3) == [(3, "z"), (2, "y"), (1, "x")]
    assert database.rows("SELECT a FROM t WHERE a > 5", 60.0, 3) == []
    assert refusal(database, "SELECT a FROM t", most=2) == "more than 2 rows"


@pytest.mark.parametrize("count", [1, 99, 100, 101, 200, 250])
def test_any_number_of_rows_comes_whole(database: Any, count: int) -> None:
    assert database.rows(NUMBERS.format(count, "i"), 60.0, count) == [(number,) for number in range(1, count + 1)]


def test_a_query_ends_by_itself_or_when_its_time_is_up(database: Any) -> None:
    assert refusal(database, ENDLESS.format("count(*)"), seconds=0.2) == "no result within 0.2 s"
    assert database.rows(NUMBERS.format(20_000, "count(*)"), 60.0, 1) == [(20_000,)]


@pytest.mark.parametrize(
    "query", ["SELEC 1", "SELECT missing FROM t", "DELETE FROM t", "SELECT 1; SELECT 2", "", "BEGIN"]
)
def test_a_query_that_does_not_only_read_is_refused_in_one_line(database: Any, query: str) -> None:
    reason = refusal(database, query)
    assert len(reason) > 5
    assert "\n" not in reason
    if "missing" in query:
        assert reason.startswith(("no such column: missing", "Binder Error: "))
    assert database.rows("SELECT count(*) FROM t", 60.0, 1) == [(3,)]


def test_what_an_engine_takes_and_python_does_not_is_refused() -> None:
    for query, reason in (("SELECT 1\0", "null character"), ("SELECT '\ud800'", "surrogates")):
        assert reason in refusal(Sqlite(("script", SCRIPT)), query)
    assert "too large" in refusal(Duck(("script", SCRIPT)), "SELECT INTERVAL 100000000 YEAR")


def test_sqlite_has_its_limits() -> None:
    database = Sqlite(("script", SCRIPT))
    assert refusal(database, "-- nothing") == "no query"
    limits = {
        sqlite3.SQLITE_LIMIT_LENGTH: 100_000, sqlite3.SQLITE_LIMIT_SQL_LENGTH: 20_000, sqlite3.SQLITE_LIMIT_COLUMN: 100,
        sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 50, sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    }  # fmt: skip
    assert {limit: database._connection.getlimit(limit) for limit in limits} == limits
    plain = sqlite3.connect(":memory:")
    assert plain.execute("PRAGMA hard_heap_limit").fetchone() == (268_435_456,)  # the process's
    plain.close()


def test_a_file_is_opened_as_it_is(tmp_path: Path) -> None:
    import duckdb

    path, kind = tmp_path / "shop.db", "".join(["fi", "le"])  # another object, as it comes through a pipe
    made = sqlite3.connect(path)
    made.executescript(SCRIPT)
    made.close()
    assert Sqlite((kind, path.as_uri())).rows("SELECT max(a) FROM t", 60.0, 1) == [(3,)]
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as stored:
        stored.execute(SCRIPT)
    assert Duck((kind, str(tmp_path / "shop.duckdb"))).rows("SELECT max(a) FROM t", 60.0, 1) == [(3,)]


@pytest.mark.parametrize("engine", ENGINES.values())
def test_a_file_that_is_not_a_database_is_refused(engine: type[Any], tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"no database" * 100)
    broken = (tmp_path / "broken").as_uri() if engine is Sqlite else str(tmp_path / "broken")
    for source in (("script", "CREATE TABEL t"), ("file", broken)):
        with pytest.raises(Refused, match=r"^expected a database for (SQLite|DuckDB), found "):
            engine(source)


def test_a_script_with_a_null_character_is_refused() -> None:
    with pytest.raises(Refused, match="expected a database for SQLite, found embedded null"):
        Sqlite(("script", "SELECT 1\0"))


def test_the_characters_of_a_result_are_counted_over_all_rows() -> None:
    plain, half = sqlite3.connect(":memory:"), LARGEST_RESULT // 2
    both = f"SELECT zeroblob({half}), 7 UNION ALL SELECT printf('%.*c', {half}, 'x'), 8"
    assert [len(first) for first, _ in fetched(plain.execute(both), 2)] == [half, half]
    with pytest.raises(Refused, match=r"^more than 10,000,000 characters$"):
        fetched(plain.execute(f"{both} UNION ALL SELECT 'x', 9"), 3)
    plain.close()


def test_a_result_is_refused_before_it_is_whole() -> None:
    plain = sqlite3.connect(":memory:")
    with pytest.raises(Refused, match=r"^more than 150 rows$"):
        fetched(plain.execute(ENDLESS.format("i")), 150)
    plain.close()


class Engine:
    """A database that returns or raises what it is given."""

    def __init__(self, result: Any) -> None:
        self.result = result

    def rows(self, *_: object) -> Any:
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


def test_databases_answer_up_to_the_first_that_fails_each_with_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    timers = list[tuple[int, float]]()
    monkeypatch.setattr(signal, "setitimer", lambda which, seconds: timers.append((which, seconds)))
    rows, timer = [(1,)], [(signal.ITIMER_REAL, 2.25), (signal.ITIMER_REAL, 0)]

    def answers(*results: Any) -> list[Any]:
        return list(answered([Engine(result) for result in results], "SELECT 1", 2.0, 5))

    assert answers(rows, [], rows) == [rows, [], rows]
    assert timers == timer * 3
    assert answers(rows, Refused("x" * 900), rows) == [rows, "x" * 500]
    assert answers(MemoryError(), rows) == ["more memory than a query may take"]
    assert timers == timer * 6


def test_cells_are_plain_values_and_all_others_text() -> None:
    plain = [
        None, True, 1, 2.5, "x", b"x", Decimal("1.5"), date(2020, 1, 2), datetime(2020, 1, 2, 3), time(4), timedelta(1),
        UUID(int=7),
    ]  # fmt: skip
    assert [sql_inside._plain(cell) for cell in plain] == plain
    assert sql_inside._plain(datetime(2020, 1, 2, tzinfo=UTC)) == "2020-01-02 00:00:00+00:00"
    assert sql_inside._plain(time(4, tzinfo=UTC)) == "04:00:00+00:00"
    assert [sql_inside._plain(cell) for cell in ([1], {"a": 1}, (2,))] == ["[1]", "{'a': 1}", "(2,)"]


def test_messages_are_framed_by_their_length() -> None:
    pipe = io.BytesIO()
    for message in ([(1, "é")], "SELECT 1", None):
        write(pipe, message)
    length = int.from_bytes(pipe.getvalue()[:4], "big")
    assert pickle.loads(pipe.getvalue()[4 : 4 + length]) == [(1, "é")]
    pipe.seek(0)
    assert [read(pipe), read(pipe), read(pipe), read(pipe)] == [[(1, "é")], "SELECT 1", None, None]
    assert read(io.BytesIO(b"\0\0")) is None
