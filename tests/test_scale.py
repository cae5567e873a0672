"""The simulation of queues behind docs/scale.md, against what queueing theory says."""

import json
import math

import pytest

from benchmarks.scale import MEASURED, RECORD, Server, measured, most_a_second, p95


def test_between_measured_numbers_the_rate_is_a_line_and_beyond_them_it_stays() -> None:
    server = Server(((1, 4.0), (8, 18.0)))
    assert [server.rate(n) for n in (0, 1, 2, 8, 9)] == [0.0, 4.0, 6.0, 18.0, 18.0]


def test_a_server_of_one_at_a_time_waits_as_the_formula_says() -> None:
    # M/M/1: the time in the system is exponential with rate 10 - 5, so that its 95th percentile is ln 20 / 5.
    assert p95(Server(((1, 10.0),)), 5.0, 40_000, seed=3) == pytest.approx(math.log(20) / 5, rel=0.08)


def test_more_than_a_server_can_do_waits_without_end() -> None:
    assert p95(Server(((1, 10.0),)), 12.0, 5_000, seed=3) == math.inf


def test_the_highest_rate_keeps_the_bound_and_the_next_one_does_not() -> None:
    # M/M/1 with 10 a second keeps ln 20 / (10 - rate) <= 2 up to 8.5; the steps are of 0.5.
    assert most_a_second(Server(((1, 10.0),)), 40_000, seed=3) == pytest.approx(8.5, abs=0.5)


def test_the_record_is_of_the_measured_server() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    server = measured(json.loads(MEASURED.read_text(encoding="utf-8")))
    assert record["simulated"] is True and record["service"] == {str(n): rate for n, rate in server.rates}
    for row in record["calls_per_day"].values():
        assert row["p95_s"] <= record["p95_bound_s"]
        assert row["servers"] * record["calls_per_second_of_a_server"] >= row["peak_calls_per_second"]
