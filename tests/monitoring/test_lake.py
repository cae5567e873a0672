from pathlib import Path

import pytest

from components.errors import DataError
from components.records import Feedback, Message, Trace, Usage
from monitoring.lake import Lake

DAY = 86_400.0


def trace(name: str, at: float, workload: str = "triage") -> Trace:
    return Trace(
        id=name, at=at, workload=workload, version=3, method="grpo", messages=(Message(role="user", content="Hi"),),
        text='{"a": 1}', finish_reason="stop", usage=Usage(input_tokens=5, output_tokens=4), latency_ms=12.5,
        valid=name != "free",
    )  # fmt: skip


def lines(*records: Trace | Feedback) -> list[str]:
    return [record.model_dump_json() for record in records]


def test_records_come_back_whole_by_kind_workload_and_window(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    first, second, free = trace("a", 10.0), trace("b", DAY + 5), trace("free", 2 * DAY)
    other, told = trace("c", 10.0, "other"), Feedback(trace_id="a", at=20.0, workload="triage", score=0.5)
    lake.store("1", lines(second, first, other, told))
    lake.store("2", lines(free))
    assert lake.read(Trace, "triage") == [first, second, free]
    assert lake.read(Trace, "triage", since=10.5, until=2 * DAY) == [second]
    assert lake.read(Trace, "other") == [other]
    assert lake.read(Feedback, "triage") == [told]
    assert lake.read(Trace, "nobody") == []


def test_of_a_version_count_the_answers_that_a_second_models_replaced_and_no_unseen_ones(tmp_path: Path) -> None:
    replaced = {"returned": False, "valid": False, "route": "canary", "customer": "b"}
    answers = [
        trace("a", 1.0).model_copy(update={"customer": "a"}),
        trace("b~canary", 1.0).model_copy(update=replaced),
        trace("b", 1.0).model_copy(update={"version": 0, "route": "fallback", "customer": "b"}),
        trace("c~shadow", 1.0).model_copy(update={"returned": False, "route": "shadow"}),
    ]
    lake = Lake(tmp_path)
    lake.store("1", lines(*answers))
    assert sorted(lake.outcomes("triage", 3, (0.0, 9.0))) == [("a", True), ("b", False)]


def test_a_segment_that_is_stored_twice_is_there_once(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for _ in range(2):
        lake.store("1", lines(trace("a", 1.0)))
    assert len(lake.read(Trace, "triage")) == 1


def test_files_are_plain_parquet_in_folders_by_workload_and_day(tmp_path: Path) -> None:
    import pandas as pd

    Lake(tmp_path).store("1", lines(trace("a", DAY)))
    table = pd.read_parquet(tmp_path / "traces" / "workload=triage" / "day=1970-01-02" / "1.parquet")
    assert table.loc[0, "text"] == '{"a": 1}' and table.loc[0, "usage"] == {"input_tokens": 5, "output_tokens": 4}


def test_what_is_no_record_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a trace, a feedback or a score, found '\{\"x\": 1\}' \(segment 1\)"):
        Lake(tmp_path).store("1", [*lines(trace("a", 1.0)), '{"x": 1}'])
    assert not list(tmp_path.iterdir())
