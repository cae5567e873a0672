"""Every record exists exactly once before, during and after a merge, even if that is killed."""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from components.records import Feedback, Message, Scored, Trace
from monitoring import parquet
from monitoring.lake import Lake
from monitoring.upkeep import belongs, compact, conversation, forget, old_days, remove_day
from tests.monitoring.test_candidates import answered

DAY = 86_400.0


def filled(folder: Path, files: int = 4, at: float = 100.0) -> Lake:
    lake = Lake(folder)
    for number in range(files):
        reported = Feedback(trace_id=f"{number}-0", at=at, workload="shop", score=1.0)
        traces = [answered(f"{number}-{part}", at=at) for part in range(3)]
        lake.store(f"segment-{number}", [each.model_dump_json() for each in (*traces, reported)])
    return lake


def contents(lake: Lake) -> tuple[Counter[str], Counter[str]]:
    traces = Counter(each.id for each in lake.read(Trace, "shop"))
    return traces, Counter(each.trace_id for each in lake.read(Feedback, "shop"))


def files(lake: Lake) -> int:
    return len(list(lake.folder.rglob("*.parquet")))


def test_the_files_of_a_day_become_one_with_the_same_records(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    before, read = contents(lake), lake.read(Trace, "shop")
    assert set(before[0].values()) == {1} and len(before[0]) == 12
    assert compact(lake, 3 * DAY) == 8
    assert files(lake) == 2  # of traces and of feedback
    assert contents(lake) == before
    assert sorted(lake.read(Trace, "shop"), key=lambda each: each.id) == sorted(read, key=lambda each: each.id)
    assert compact(lake, 3 * DAY) == 0
    assert [path.name for path in lake.folder.rglob("*.part")] == []


def row_groups(lake: Lake) -> list[int]:
    return sorted(pq.read_metadata(path).num_row_groups for path in lake.folder.rglob("*.parquet"))


def test_rows_of_small_files_share_a_row_group_and_of_large_ones_have_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = filled(tmp_path / "many", 40)
    compact(many, 3 * DAY)
    assert row_groups(many) == [1, 1]
    monkeypatch.setattr(parquet, "BATCH_ROWS", 7)
    by_rows = filled(tmp_path / "by rows", 8)  # of traces 3 each: 9, 9 and 6; of feedback one each: 7 and 1
    compact(by_rows, 3 * DAY)
    assert row_groups(by_rows) == [2, 3]
    monkeypatch.setattr(parquet, "BATCH_BYTES", 1)
    by_bytes = filled(tmp_path / "by bytes", 5)
    compact(by_bytes, 3 * DAY)
    assert row_groups(by_bytes) == [5, 5]


def test_a_file_of_many_small_row_groups_is_written_anew_once_its_day_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = filled(tmp_path, 40)
    with monkeypatch.context() as earlier:
        earlier.setattr(parquet, "BATCH_BYTES", 1)  # as before: a row group of each file
        compact(lake, 3 * DAY)
    assert row_groups(lake) == [40, 40]
    before, read = contents(lake), lake.read(Trace, "shop")
    assert compact(lake, DAY - 1) == 0 and compact(lake, 3 * DAY) == 2
    assert (row_groups(lake), contents(lake), lake.read(Trace, "shop")) == ([1, 1], before, read)
    assert compact(lake, 3 * DAY) == 0


def test_later_records_join_and_repeated_ones_count_once(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    compact(lake, 3 * DAY)
    before = contents(lake)
    filled(tmp_path)  # a spool that was killed before it removed its segments stores them once more
    assert contents(lake) == before
    lake.store("later", [answered("later").model_dump_json()])
    compact(lake, 3 * DAY)
    filled(tmp_path)
    assert contents(lake)[0] == before[0] + Counter(["later"])
    compact(lake, 3 * DAY)
    assert contents(lake)[0] == before[0] + Counter(["later"])
    assert files(lake) == 2


def test_a_file_of_a_later_format_is_merged_into_none_and_stays(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    later = next((tmp_path / "traces").rglob("segment-0.parquet"))
    named = {parquet.FORMAT_KEY: str(parquet.FORMAT + 1)}
    pq.write_table(pq.read_table(later).replace_schema_metadata(named), later)
    before, kept = contents(lake), later.read_bytes()
    assert compact(lake, 3 * DAY) == 7
    assert later.read_bytes() == kept
    assert contents(lake) == before and len(before[0]) == 9
    assert compact(lake, 3 * DAY) == 0


def test_a_day_that_is_not_over_is_merged_when_it_is_worth_it(tmp_path: Path) -> None:
    assert compact(filled(tmp_path / "few", 19), DAY - 1) == 0
    assert compact(filled(tmp_path / "many", 20), DAY - 1) == 40


def killed_at(step: int, act: Callable[[], Any]) -> bool:
    """Run it in a process that exits silently at its n-th change of the disk; returns whether it did."""
    child = os.fork()
    if child == 0:
        left = [step]

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def change(*arguments: Any, **named: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    os._exit(9)
                return real(*arguments, **named)

            return change

        for name in ("unlink", "replace"):
            setattr(Path, name, counted(getattr(Path, name)))
        parquet.sync = counted(parquet.sync)  # type: ignore[assignment]
        try:
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_a_kill_at_any_step_of_merging_loses_and_doubles_nothing(tmp_path: Path) -> None:
    lake = filled(tmp_path / "lake")
    before = contents(lake)
    step = 0
    while killed_at(step, lambda: compact(lake, 3 * DAY)):
        assert contents(lake) == before, step
        if step % 3 == 0:
            assert compact(lake, 3 * DAY) >= 0
            assert (contents(lake), files(lake)) == (before, 2), step
            shutil.rmtree(tmp_path / "lake")
            filled(tmp_path / "lake")
        step += 1
    assert step > 6
    compact(lake, 3 * DAY)
    assert (contents(lake), files(lake)) == (before, 2)


def test_what_a_killed_merge_left_goes_with_its_day(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    assert killed_at(0, lambda: compact(lake, 3 * DAY))
    assert list(lake.folder.rglob("*.part"))
    for folder in old_days(lake, 2 * DAY, "shop"):
        remove_day(lake, folder)
    assert old_days(lake, 2 * DAY, "shop") == []


def test_a_request_is_forgotten_in_what_a_killed_merge_left(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    assert killed_at(0, lambda: compact(lake, 3 * DAY))
    assert list(lake.folder.rglob("*.part"))
    assert forget(lake, ["0-0"]) == {"0-0"}
    assert list(lake.folder.rglob("*.part")) == []


def test_half_written_files_are_cleared_but_for_one_that_a_server_may_be_writing(tmp_path: Path) -> None:
    lake = filled(tmp_path, files=1)
    day = next((tmp_path / "traces").rglob("day=*"))
    for name in (".merged-0a.part", ".old.part", ".new.part"):
        (day / name).write_bytes(b"PAR1")
    os.utime(day / ".old.part", (0, 0))
    assert compact(lake, 3 * DAY) == 0
    assert [path.name for path in day.glob("*.part")] == [".new.part"]


def test_a_file_that_an_earlier_version_merged_is_merged_again(tmp_path: Path) -> None:
    lake = filled(tmp_path)
    before = contents(lake)
    compact(lake, 3 * DAY)
    for path in list(lake.folder.rglob("merged-*.parquet")):
        path.rename(path.with_name(f"merged-{'7' * 32}.parquet"))  # a hash
    lake.store("later", [answered("later").model_dump_json()])
    filled(tmp_path)  # what was merged is stored once more
    assert compact(lake, 3 * DAY) == 2 + 4 + 4  # of traces the merged file and the later one too
    assert contents(lake) == (before[0] + Counter(["later"]), before[1])


def test_a_request_is_forgotten_with_its_feedback_and_scores_and_nothing_else(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    names = ["chatcmpl-a", "chatcmpl-a-1", "chatcmpl-a~shadow", "chatcmpl-ab", "chatcmpl-b"]
    for number, name in enumerate(names):
        reported = Feedback(trace_id=name, at=101.0, workload="shop", score=1.0)
        score = Scored(trace_id=name, at=101.0, workload="shop", source="judge", value=1.0, passed=True)
        lake.store(str(number), [each.model_dump_json() for each in (answered(name), reported, score)])
    compact(lake, 3 * DAY)
    lake.store("again", [answered("chatcmpl-a").model_dump_json()])
    assert forget(lake, ["chatcmpl-a"]) == set(names[:3])
    for kind, key in ((Trace, "id"), (Feedback, "trace_id"), (Scored, "trace_id")):
        assert sorted(getattr(each, key) for each in lake.read(kind, "shop")) == names[3:]
    assert all(b"chatcmpl-a~" not in path.read_bytes() for path in lake.folder.rglob("*.parquet"))
    lake.store("0", [answered("chatcmpl-a").model_dump_json()])  # merged before: it counts no more
    assert [each.id for each in lake.read(Trace, "shop")] == names[3:]
    assert forget(lake, ["nobody"]) == set()


def test_a_request_s_conversation_is_all_that_holds_its_text(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    first = answered("chatcmpl-a")
    further, unseen = (first.model_copy(update={"id": f"chatcmpl-a{end}", "text": end}) for end in ("-1", "~shadow"))
    turns = (*first.messages, further.reply, Message(role="user", content="Sure?"))
    later, stranger = (
        first.model_copy(update={"id": name, "messages": turns, "customer": customer, "at": 3 * DAY})
        for name, customer in (("chatcmpl-b", first.customer), ("chatcmpl-c", "somebody else"))
    )
    lake.store("0", [each.model_dump_json() for each in (first, further, unseen, answered("chatcmpl-ab"))])
    lake.store("1", [each.model_dump_json() for each in (later, stranger)])
    assert conversation(lake, "shop", "chatcmpl-a") == {"chatcmpl-a", "chatcmpl-b"}
    assert conversation(lake, "shop", "chatcmpl-b") == {"chatcmpl-a", "chatcmpl-b"}
    assert conversation(lake, "shop", "chatcmpl-c") == {"chatcmpl-c"}
    assert conversation(lake, "shop", "nobody") == {"nobody"}


def test_a_trace_belongs_to_its_request() -> None:
    names = ("x", "x-1", "x-12~shadow", "x~fallback", "x-101", "x-1-101", "x-", "x-y", "x-1-y", "xy", "y")
    assert [belongs(name, "x") for name in names] == [True] * 6 + [False] * 5


def test_days_beyond_their_term_are_removed(tmp_path: Path) -> None:
    lake = filled(tmp_path, at=100.0)
    lake.store("new", [answered("new", at=5 * DAY).model_dump_json()])
    gone = old_days(lake, 2 * DAY, "shop")
    assert {path.name for path in gone} == {"day=1970-01-01"}
    for folder in gone:
        remove_day(lake, folder)
    assert [each.id for each in lake.read(Trace, "shop")] == ["new"]


@pytest.mark.parametrize("mode", ["sample", "share", "about"])
def test_every_way_to_read_sees_a_merged_day(tmp_path: Path, mode: str) -> None:
    lake = filled(tmp_path)
    ways: dict[str, Callable[[], Any]] = {
        "sample": lambda: sorted(each.id for each in lake.sample("shop", 1, (0, DAY), 100)[0]),
        "share": lambda: sorted(each.id for each in lake.share("shop", 0.5, (0, DAY))),
        "about": lambda: sorted(each.id for each in lake.about("shop", {"1-0", "2-2"}, (0, DAY))[0]),
    }
    before = ways[mode]()
    compact(lake, 3 * DAY)
    assert ways[mode]() == before
