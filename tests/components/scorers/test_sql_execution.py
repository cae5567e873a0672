"""Known-right and known-wrong queries, and queries that want more than to read, on both engines."""

import math
import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest

from components.errors import ConfigError, ScorerError
from components.params import ScorerParams, SqlExecutionParams
from components.params.answers import FIELD, enveloped
from components.records import Completion, Example, Score, Usage, to_json
from components.scorers import Scorer, build
from components.scorers.sql_results import Expected

SCHEMA = {"type": "object", "properties": {"sql": {"type": "string"}}}
SCRIPT = """
CREATE TABLE goods (id INTEGER, name TEXT, price DOUBLE PRECISION, kind TEXT);
INSERT INTO goods VALUES (1, 'lamp', 10.0, 'light'), (2, 'chair', 40.5, 'seat'), (3, 'stool', 40.5, 'seat');
CREATE TABLE sales (good INTEGER, pieces INTEGER);
INSERT INTO sales VALUES (1, 3), (2, 1), (2, 2), (3, 3);
"""
OTHER = SCRIPT.replace("'lamp', 10.0", "'bulb', 90.0").replace("(3, 3)", "(3, 5)")
Dialect = Literal["sqlite", "duckdb"]
DIALECTS: tuple[Dialect, ...] = ("sqlite", "duckdb")


def databases() -> Sequence[str]:
    return [SCRIPT, OTHER]


def scorer(dialect: Dialect, **changes: Any) -> Scorer:
    settings: dict[str, Any] = {"databases": f"{__name__}:databases", "dialect": dialect, **changes}
    params = SqlExecutionParams(**settings)
    return build(ScorerParams(weighted={"sql_execution": 1}, sql_execution=params), SCHEMA)


BOTH = {dialect: scorer(dialect) for dialect in DIALECTS}


def judged(by: Scorer, query: str, reference: str) -> Score:
    text = to_json({"sql": reference})
    example = Example(id="e", input={}, demonstration=text, reference=text, group="g")
    usage = Usage(input_tokens=0, output_tokens=0)
    return by.score(example, Completion(example_id="e", text=to_json({"sql": query}), usage=usage, latency_ms=0))


def test_an_answer_that_is_the_query_alone_runs() -> None:
    params = SqlExecutionParams(databases=f"{__name__}:databases", field=FIELD)
    alone = build(ScorerParams(weighted={"sql_execution": 1}, sql_execution=params), enveloped({"type": "string"}))
    example = Example(id="e", input={}, demonstration="", reference="SELECT name FROM goods", group="g")
    assert alone.score(example, Completion.of_text("e", "SELECT name AS n FROM goods")).passed
    assert not alone.score(example, Completion.of_text("e", "SELECT id FROM goods")).passed


SUM = "SELECT kind, SUM(price) FROM goods GROUP BY kind"
RIGHT = [
    ("SELECT name FROM goods WHERE price > 20", "SELECT g.name FROM goods AS g WHERE NOT g.price <= 20.0"),
    ("SELECT name FROM goods", "SELECT name AS title FROM goods ORDER BY id DESC"),
    (SUM, "SELECT kind, 2 * AVG(price) * COUNT(*) / 2.0000000001 FROM goods GROUP BY kind"),
    ("SELECT COUNT(*) FROM goods", "SELECT COUNT(id) * 1.0 FROM goods"),
    ("SELECT name FROM goods WHERE price > 999", "SELECT 'nothing' FROM goods WHERE 1 = 0"),
    ("SELECT MAX(price) FROM goods WHERE id = 99", "SELECT NULL"),
    # The chair and the stool cost the same, so that either may come first.
    ("SELECT name FROM goods ORDER BY price", "SELECT name FROM goods ORDER BY price, id DESC"),
    ("SELECT name, price FROM goods ORDER BY 2 DESC", "SELECT name, price FROM goods ORDER BY price DESC, name"),
    *[(f"{tied} ORDER BY {key}", "SELECT price, name FROM goods ORDER BY 1, name DESC")
      for tied in ("SELECT DISTINCT goods.price, name FROM goods", "SELECT price, name FROM goods GROUP BY price, name",
                   "SELECT Price, name FROM goods WHERE id < 3 UNION SELECT price, name FROM goods WHERE id = 3")
      for key in ("price", "1")],
    ("SELECT id FROM goods LEFT JOIN (SELECT 1 AS id) AS first USING (id) ORDER BY first.id NULLS FIRST",
     "SELECT id FROM goods ORDER BY id = 1, id DESC"),
    ("SELECT DISTINCT price * 2 AS name, id FROM goods ORDER BY NAME",
     "SELECT price * 2, id FROM goods ORDER BY 1, id DESC"),
    (
        "SELECT g.kind, SUM(s.pieces) AS n FROM goods g JOIN sales s ON s.good = g.id GROUP BY g.kind ORDER BY n DESC",
        "SELECT kind, (SELECT SUM(pieces) FROM sales, goods h WHERE good = h.id AND h.kind = goods.kind) "
        "FROM goods GROUP BY kind ORDER BY 2 DESC",
    ),
    ("WITH dear AS (SELECT * FROM goods WHERE price > 20) SELECT name FROM dear",
     "SELECT name FROM goods WHERE price > 20;"),
]  # fmt: skip
WRONG = [
    ("SELECT name FROM goods WHERE price > 20", "SELECT name FROM goods", "other rows"),
    ("SELECT name FROM goods WHERE price > 20", "SELECT name FROM goods WHERE kind = 'seat'", "database 2"),
    ("SELECT name FROM goods WHERE price > 20", "SELECT 'chair' UNION SELECT 'stool'", "database 2"),
    ("SELECT name FROM goods", "SELECT name, id FROM goods", "other rows"),
    ("SELECT name, kind FROM goods", "SELECT kind, name FROM goods", "other rows"),
    ("SELECT kind FROM goods", "SELECT DISTINCT kind FROM goods", "other rows"),
    ("SELECT name FROM goods ORDER BY price", "SELECT name FROM goods ORDER BY price DESC", "other rows"),
    ("SELECT name FROM goods ORDER BY price, id", "SELECT name FROM goods ORDER BY price, id DESC", "other rows"),
    (SUM, "SELECT kind, SUM(price) + 0.01 FROM goods GROUP BY kind", "other rows"),
    (
        "SELECT DISTINCT price, name FROM goods ORDER BY price",
        "SELECT price, name FROM goods ORDER BY name",
        "other rows",
    ),
    ("SELECT DISTINCT id AS name FROM goods ORDER BY goods.id", "SELECT id FROM goods ORDER BY id DESC", "other rows"),
    ("SELECT 1 AS one", "SELECT '1'", "other rows"),
    ("SELECT name FROM goods WHERE id = 99", "SELECT NULL", "other rows"),
    ("SELECT name FROM goods", "SELEC name FROM goods", "syntax error"),
    ("SELECT name FROM goods", "SELECT nam FROM goods", "nam"),
    ("SELECT name FROM goods", " ", "expected a query"),
]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("reference", "query"), RIGHT)
def test_a_query_that_returns_the_same_is_right(dialect: Dialect, reference: str, query: str) -> None:
    assert judged(BOTH[dialect], query, reference).passed


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("reference", "query", "reason"), WRONG)
def test_a_query_that_returns_anything_else_is_wrong(dialect: Dialect, reference: str, query: str, reason: str) -> None:
    score = judged(BOTH[dialect], query, reference)
    assert (score.value, score.passed) == (0.0, False)
    assert reason in score.reason


HARM = [
    "DROP TABLE goods",
    "DELETE FROM goods",
    "UPDATE goods SET price = 0",
    "INSERT INTO goods VALUES (9, 'x', 1, 'y') RETURNING name",
    "CREATE TABLE more (x INTEGER)",
    "CREATE TEMP TABLE more (x INTEGER)",
    "SELECT name FROM goods; DROP TABLE goods",
    "ATTACH '{folder}/stolen.db' AS stolen",
    "PRAGMA query_only = OFF",
    "PRAGMA database_list",
    "VACUUM INTO '{folder}/stolen.db'",
    "COPY goods TO '{folder}/stolen.csv'",
    "SELECT * FROM read_text('{folder}/secret.txt')",
    "SELECT * FROM '{folder}/secret.txt'",
    "SELECT load_extension('{folder}/secret.txt')",
    "INSTALL httpfs",
    "SET threads = 8",
    "SET enable_external_access = true",
    "BEGIN",
    "SAVEPOINT s",
    "WITH gone AS (DELETE FROM goods RETURNING name) SELECT name FROM gone",
    "SELECT * FROM query('DROP TABLE goods')",
    "EXPLAIN SELECT name FROM goods",
]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_query_that_does_more_than_read_earns_nothing_and_changes_nothing(dialect: Dialect, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("name\n")
    for harm in HARM:
        score = judged(BOTH[dialect], harm.format(folder=tmp_path), "SELECT name FROM goods")
        assert (score.value, score.passed) == (0.0, False), harm
        assert judged(BOTH[dialect], "SELECT name FROM goods", "SELECT name FROM goods").passed, harm
    assert [path.name for path in tmp_path.iterdir()] == ["secret.txt"]


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_query_without_end_is_stopped_and_the_next_one_runs(dialect: Dialect) -> None:
    short = scorer(dialect, time_limit_s=0.2)
    started = time.monotonic()
    assert "within 0.2 s" in judged(short, ENDLESS, "SELECT 1").reason
    assert time.monotonic() - started < 5
    assert judged(short, "SELECT name FROM goods", "SELECT name FROM goods").passed


@pytest.mark.parametrize("dialect", DIALECTS)
def test_more_rows_than_the_limit_are_wrong_and_huge_values_refused(dialect: Dialect) -> None:
    few = scorer(dialect, max_rows=3)
    assert judged(few, "SELECT id FROM goods", "SELECT id FROM goods").passed
    assert "more than 3 rows" in judged(few, "SELECT 1 FROM goods, goods AS g", "SELECT id FROM goods").reason
    wide = f"SELECT {', '.join(['1'] * 500)} FROM goods"
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) SELECT '{}' FROM n"
    whole = scorer(dialect)
    assert "10,000,000 characters" in judged(whole, many.format("x" * 9000), "SELECT id FROM goods").reason
    if dialect == "sqlite":
        long = f"SELECT '{'x' * 9000}' || {' || '.join(['name'] * 3)} FROM goods"
        assert "other rows" in judged(few, long, "SELECT id FROM goods").reason
        assert "too many" in judged(few, wide, "SELECT id FROM goods").reason


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("reference", ["SELECT nam FROM goods", "DELETE FROM goods", "", ENDLESS])
def test_a_reference_that_does_not_run_is_the_scorers_failure_not_a_zero(dialect: Dialect, reference: str) -> None:
    with pytest.raises(ScorerError, match=r"expected a reference whose query runs, found .* \(example e\)"):
        judged(scorer(dialect, time_limit_s=0.2), "SELECT name FROM goods", reference)


def test_order_can_be_asked_for_or_waived() -> None:
    query, reference = "SELECT name FROM goods ORDER BY id DESC", "SELECT name FROM goods ORDER BY id"
    assert judged(scorer("sqlite", order="never"), query, reference).passed
    assert not judged(scorer("sqlite", order="always"), query, "SELECT name FROM goods").passed


def test_a_database_in_a_file_is_opened_for_reading(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as made:
        made.executescript(SCRIPT)
    made.close()
    before = (tmp_path / "shop.db").read_bytes()
    script = tmp_path / "shop.sql"
    script.write_text(OTHER)
    params = SqlExecutionParams(databases=(str(tmp_path / "shop.db"), str(script)))
    own = build(ScorerParams(weighted={"sql_execution": 1}, sql_execution=params), SCHEMA)
    assert judged(own, "SELECT name FROM goods", "SELECT name FROM goods").passed
    assert not judged(own, "DELETE FROM goods", "SELECT name FROM goods").passed
    assert (tmp_path / "shop.db").read_bytes() == before


@pytest.mark.parametrize("dialect", DIALECTS)
def test_threads_score_at_the_same_time(dialect: Dialect) -> None:
    with ThreadPoolExecutor(4) as threads:
        passed = list(threads.map(lambda i: judged(BOTH[dialect], f"SELECT {i % 2}", "SELECT 1").passed, range(40)))
    assert passed == [i % 2 == 1 for i in range(40)]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"databases": "no_such_module:databases"}, "no_such_module"),
        ({"databases": ("no/such/file.db",)}, "no/such/file.db"),
        ({"databases": f"{__name__}:SCHEMA"}, "not callable"),
        ({"field": "query"}, "expected one of sql, found query"),
    ],
)
def test_databases_that_cannot_be_opened_are_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        scorer("sqlite", **changes)


@pytest.mark.parametrize(
    ("number", "other", "tolerance", "same"),
    [
        (10_000_001, 10_000_002, 1e-6, False),
        (10_000_001, 10_000_002.0, 1e-6, False),
        (10_000_001.0, 10_000_002.0, 1e-6, False),
        (Decimal("10000001.00"), 10_000_002, 1e-6, False),
        (1234567890123456789, 1234567890123456788, 0.0, False),
        (10_000_001, 10_000_001.25, 1e-6, True),
        (3, 3.0, 0.0, True),
        (Decimal("3.00"), 3, 0.0, True),
        (2**60 + 1, float(2**60), 1e-6, True),  # floats of this size are rounded
        (10**400, 0.5, 1e-6, False),
        (math.nan, float("nan"), 0.0, True),
    ],
)
def test_whole_numbers_are_equal_only_where_they_are_and_others_within_the_tolerance(
    number: Any, other: Any, tolerance: float, *, same: bool
) -> None:
    assert Expected.unordered([(number, "x")]).equals([(other, "x")], tolerance) is same
    assert Expected.unordered([(number,), (7,)]).equals([(7,), (other,)], tolerance) is same


def test_rows_that_are_equal_within_the_tolerance_are_matched_in_any_order_and_in_bounded_time() -> None:
    rows = [(float(i % 2), i * 1e-9, "x") for i in range(400)]
    # By their numbers the second columns of both sides come in opposite orders: only each with each finds the pairs.
    other = [(first + second, -second, "x") for first, second, _ in rows]
    assert Expected.unordered(rows).equals(other, 1e-6)
    assert not Expected.unordered(rows).equals([(first + 0.1, second, text) for first, second, text in other], 1e-6)
    many = [(float(i), float(-i), "x") for i in range(10_000)]
    started = time.process_time()
    assert not Expected.unordered(many).equals([(a + 0.4, b, text) for a, b, text in many], 1e-6)
    assert time.process_time() - started < 2
