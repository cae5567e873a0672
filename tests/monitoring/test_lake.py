import errno
import fcntl
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from components.errors import DataError
from components.records import Feedback, Message, Tool, ToolCall, Trace, Usage
from monitoring.lake import LOCK, Lake

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
    other, feedback = trace("c", 10.0, "other"), Feedback(trace_id="a", at=20.0, workload="triage", score=0.5)
    lake.store("1", lines(second, first, other, feedback))
    lake.store("2", lines(free))
    assert lake.read(Trace, "triage") == [first, second, free]
    assert lake.read(Trace, "triage", since=10.5, until=2 * DAY) == [second]
    assert lake.read(Trace, "other") == [other]
    assert lake.read(Feedback, "triage") == [feedback]
    assert lake.read(Trace, "nobody") == []


def test_a_versions_replaced_answers_count_and_unseen_ones_do_not(tmp_path: Path) -> None:
    asked = {"input": {"text": "Hi"}}
    replaced = {"returned": False, "valid": False, "route": "canary", "customer": "b", **asked}
    answers = [
        trace("a", 1.0).model_copy(update={"customer": "a", **asked}),
        trace("b~canary", 1.0).model_copy(update=replaced),
        trace("b", 1.0).model_copy(update={"version": 0, "route": "fallback", "customer": "b", **asked}),
        trace("c~shadow", 1.0).model_copy(update={"returned": False, "route": "shadow", **asked}),
    ]
    lake = Lake(tmp_path)
    lake.store("1", lines(*answers))
    assert sorted(lake.outcomes("triage", 3, (0.0, 9.0))) == [("a", True), ("b", False)]


def test_answers_to_callers_own_prompts_or_forms_do_not_count_and_turns_with_tools_do(tmp_path: Path) -> None:
    free, turn = trace("free", 1.0), trace("turn", 2.0).model_copy(update={"tools": (Tool(name="f", parameters={}),)})
    called = Message(role="assistant", content="", tool_calls=(ToolCall(id="1", name="f", arguments="{}"),))
    later = trace("later", 3.0).model_copy(update={"messages": (called,)})
    lake = Lake(tmp_path)
    lake.store("1", lines(free, turn))
    lake.store("2", lines(free))
    lake.store("3", lines(later))
    assert lake.outcomes("triage", 3, (0.0, 9.0)) == [("", True), ("", True)]


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


def test_invalid_records_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a trace, a feedback or a score, found '\{\"x\": 1\}' \(segment 1\)"):
        Lake(tmp_path).store("1", [*lines(trace("a", 1.0)), '{"x": 1}'])
    assert not list(tmp_path.iterdir())


def ids(traces: list[Trace]) -> list[str]:
    return [stored.id for stored in traces]


def kept(folder: Path, *records: Trace | Feedback) -> Lake:
    """A lake with a file of each record."""
    lake = Lake(folder)
    for number, record in enumerate(records):
        lake.store(str(number), lines(record))
    return lake


def test_a_sample_is_of_the_least_hashes_of_what_a_version_answered_callers(tmp_path: Path) -> None:
    traces = [trace(f"t{number}", float(number)) for number in range(30)]
    traces[9] = traces[9].model_copy(update={"id": "t9~champion", "returned": False})  # a second model's replaced it
    unseen = trace("unseen", 3.0).model_copy(update={"returned": False, "route": "shadow"})
    lake = Lake(tmp_path)
    for part in range(3):
        lake.store(str(part), lines(*traces[part::3], unseen))
    least = sorted(ids(traces), key=lambda name: crc32(name.encode()))
    for most in (1, 7, 29, 30, 31):
        rows, total = lake.sample("triage", 3, (0.0, DAY), most)
        assert total == 30
        assert ids(rows) == [name for name in ids(traces) if name in least[:most]]
    assert lake.sample("triage", 2, (0.0, DAY), 7) == lake.sample("triage", 4, (0.0, DAY), 7) == ([], 0)


def test_a_sample_without_own_prompts_is_of_the_least_hashes_of_the_others(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    asked = [trace(f"t{number}", 1.0 + number).model_copy(update={"input": {"m": "Hi"}}) for number in range(20)]
    lake = Lake(tmp_path)
    lake.store("1", lines(*asked[:10], *(trace(f"own{number}", 1.0 + number) for number in range(30))))
    lake.store("2", lines(*asked[10:]))
    lake.store("earlier", lines(trace("unknown", 1.0)))
    (path,) = tmp_path.rglob("earlier.parquet")
    pq.write_table(pq.read_table(path).drop_columns(["input"]), path)  # null in each row
    least = sorted(ids(asked), key=lambda name: crc32(name.encode()))
    for most in (7, 20, 100):
        rows, total = lake.sample("triage", 3, (0.0, DAY), most, own=False)
        assert (sorted(ids(rows)), total) == (sorted(least[:most]), 20)
    assert lake.sample("triage", 3, (0.0, DAY), 100)[1] == 51


def test_a_version_s_first_answer_is_found_without_opening_later_days(tmp_path: Path) -> None:
    def answer(name: str, at: float, **more: Any) -> Trace:
        return trace(name, at).model_copy(update=more)

    lake = kept(tmp_path, answer("other", 5.0, version=2), answer("unseen", DAY, returned=False),
                answer("second", 2 * DAY + 9.0), answer("first", 2 * DAY + 3.0), answer("later", 3 * DAY))  # fmt: skip
    (tmp_path / "traces" / "workload=triage" / "day=1970-01-04" / "x.parquet").write_text("broken")
    assert lake.first_answer("triage", 3) == 2 * DAY + 3.0
    assert lake.broken == []
    assert lake.first_answer("triage", 2) == 5.0
    assert lake.first_answer("triage", 4) is None and lake.first_answer("nobody", 3) is None


def test_a_share_is_of_the_hashes_below_it_and_the_chosen_are_those_that_are_wanted(tmp_path: Path) -> None:
    traces = [trace(f"t{number}", float(number)) for number in range(20)]
    lake = Lake(tmp_path)
    lake.store("1", lines(*traces, trace("unseen", 3.0).model_copy(update={"returned": False})))
    below = [name for name in ids(traces) if crc32(name.encode()) < 2**30]
    assert 0 < len(below) < 20
    assert ids(lake.share("triage", 0.25, (0.0, DAY))) == below
    assert lake.share("triage", 0.0, (0.0, DAY)) == []
    assert lake.share("triage", 1.0, (0.0, DAY)) == traces
    assert ids(lake.chosen("triage", lambda name: name in ("t3", "t15", "unseen"), (3.0, 15.0))) == ["t3"]


def test_conversations_with_tools_are_those_that_offer_call_or_answer_any(tmp_path: Path) -> None:
    def turn(name: str, at: float, **more: Any) -> Trace:
        return trace(name, at).model_copy(update=more)

    tool, call = Tool(name="f", parameters={}), ToolCall(id="1", name="f", arguments="{}")
    history = (Message(role="user", content="Hi"), Message(role="assistant", content="", tool_calls=(call,)),
               Message(role="tool", content="3", tool_call_id="1"))  # fmt: skip
    both = turn("both", 1.0, tools=(tool,), calls=(call,), messages=history)
    offered, called = turn("offered", 2.0, tools=(tool,)), turn("called", 3.0, messages=history)
    unseen = turn("unseen", 2.0, tools=(tool,), returned=False)
    lake = kept(tmp_path, trace("text", 1.0), called, offered, unseen, both)
    assert lake.with_tools("triage", (0.0, DAY)) == [both, offered, called]
    assert lake.with_tools("triage", (2.0, 3.0)) == [offered]


def test_answers_to_requests_are_found_by_the_request_on_every_route_and_all_are_counted(tmp_path: Path) -> None:
    shadow = trace("a~shadow", 2.0).model_copy(update={"returned": False})
    lake = kept(tmp_path, trace("a", 1.0), shadow, trace("b", 1.0), trace("ab", 5.0))
    assert lake.about("triage", ["a"], (0.0, 3.0)) == ([trace("a", 1.0), shadow], 3)
    assert lake.about("triage", [], (0.0, DAY)) == ([], 4)


def test_a_window_opens_no_file_of_a_day_outside_it(tmp_path: Path) -> None:
    lake = kept(tmp_path, trace("a", 0.0), trace("b", DAY), trace("c", 2 * DAY))
    for day in ("01", "03"):
        (tmp_path / "traces" / "workload=triage" / f"day=1970-01-{day}" / "x.parquet").write_text("broken")
    assert ids(lake.read(Trace, "triage", DAY, 2 * DAY)) == ["b"]
    assert lake.broken == []
    assert ids(lake.read(Trace, "triage", DAY - 0.5, 2 * DAY + 0.5)) == ["b", "c"]
    assert len(lake.broken) == 2


def test_folders_that_are_not_days_hide_none(tmp_path: Path) -> None:
    lake = kept(tmp_path, trace("a", 1.0), trace("b", DAY))
    for name in ("day=", "day=0000", "day=1970-01-01x", "day=today"):
        (tmp_path / "traces" / "workload=triage" / name).mkdir()
    assert [day for day, _ in lake.days(Trace, "triage")] == [0.0, DAY]
    assert ids(lake.read(Trace, "triage")) == ["a", "b"]


def test_workloads_are_those_of_any_kind_of_record(tmp_path: Path) -> None:
    lake = kept(tmp_path, trace("a", 1.0, "shop"), trace("b", 1.0, "desk"),
                Feedback(trace_id="a", at=1.0, workload="told", score=1.0))  # fmt: skip
    assert lake.workloads == ["desk", "shop", "told"]
    assert Lake(tmp_path / "nowhere").workloads == []


def free(folder: Path, how: int) -> bool:
    """Whether another process could lock the lake so."""
    with (folder / LOCK).open("a") as file:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_readers_share_the_lake_and_whoever_changes_files_is_alone(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    with lake.unchanged():
        assert (free(tmp_path, fcntl.LOCK_SH), free(tmp_path, fcntl.LOCK_EX)) == (True, False)
    with lake.unchanged(alone=True):
        assert not free(tmp_path, fcntl.LOCK_SH)
    assert free(tmp_path, fcntl.LOCK_EX)
    with Lake(tmp_path / "nowhere").unchanged(alone=True):
        assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("number", "read"), [(errno.EROFS, True), (errno.EACCES, True), (errno.EMFILE, False), (errno.ENOSPC, False)]
)
def test_a_read_only_lake_is_read_and_never_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, read: bool
) -> None:
    lake, opened = kept(tmp_path, trace("a", 1.0)), Path.open

    def refused(path: Path, *how: Any, **more: Any) -> Any:
        if path.name == LOCK:
            raise OSError(number, "refused", str(path))
        return opened(path, *how, **more)

    monkeypatch.setattr(Path, "open", refused)
    if read:
        assert ids(lake.read(Trace, "triage")) == ["a"]
    else:
        with pytest.raises(OSError, match="refused"):
            lake.read(Trace, "triage")
    with pytest.raises(OSError, match="refused"), lake.unchanged(alone=True):
        pass


def test_without_a_customer_or_a_verdict_outcomes_are_empty_and_not_valid(tmp_path: Path) -> None:
    asked = [
        each.model_copy(update={"input": {"text": "Hi"}})
        for each in (trace("a", 1.0), trace("free", 2.0), trace("late", 9.0), trace("other", 1.0))
    ]
    lake = kept(tmp_path, *asked[:3], asked[3].model_copy(update={"version": 2}))
    assert lake.outcomes("triage", 3, (0.0, 9.0)) == [("", True), ("", False)]


def damaged(path: Path) -> None:
    """Break the bytes of the column `text`, whose pages a reading of ids does not touch."""
    import pyarrow.parquet as pq

    group = pq.ParquetFile(path).metadata.row_group(0)
    column = next(group.column(at) for at in range(group.num_columns) if group.column(at).path_in_schema == "text")
    with path.open("r+b") as file:
        file.seek(column.dictionary_page_offset or column.data_page_offset)
        file.write(b"\xff" * column.total_compressed_size)


@pytest.mark.parametrize("most", [3, 5, 100])
def test_a_file_that_is_broken_beside_its_ids_takes_no_place_in_a_sample(tmp_path: Path, most: int) -> None:
    lake = Lake(tmp_path)
    lake.store("1", lines(*(trace(f"a{at}", 1.0 + at) for at in range(5))))
    lake.store("2", lines(*(trace(f"b{at}", 1.5 + at) for at in range(5))))
    damaged(tmp_path / "traces" / "workload=triage" / "day=1970-01-01" / "2.parquet")
    traces, total = lake.sample("triage", 3, (0.0, 9.0), most)
    assert total == 5 and len(traces) == min(most, 5)
    assert {each.id[0] for each in traces} == {"a"}
    assert len(lake.broken) == 1
    assert lake.sample("triage", 3, (0.0, 9.0), most) == (traces, total)


def test_a_file_that_is_broken_beside_its_ids_is_not_counted(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.store("1", lines(trace("a", 1.0), trace("b", 2.0)))
    lake.store("2", lines(trace("c", 1.0), trace("d", 2.0), trace("e", 2.0)))
    damaged(tmp_path / "traces" / "workload=triage" / "day=1970-01-01" / "2.parquet")
    traces, total = lake.about("triage", {"a", "c"}, (0.0, 9.0))
    assert (ids(traces), total) == (["a"], 2)


def test_a_sample_is_cut_by_rank_where_an_id_is_there_twice(tmp_path: Path) -> None:
    lake, names = Lake(tmp_path), sorted("abcdef", key=lambda name: crc32(name.encode()))
    lake.store("1", lines(*(trace(name, 1.0 + at) for at, name in enumerate(reversed(names)))))
    lake.store("2", lines(trace(names[2], 8.0)))  # again, by somebody who counted wrong
    for most in range(1, 4):
        traces, total = lake.sample("triage", 3, (0.0, 9.0), most)
        assert sorted(ids(traces)) == sorted(names[:most]) and total == 7
    assert len(lake.sample("triage", 3, (0.0, 9.0), 100)[0]) == 7
