"""What earlier versions wrote is read by this one; what is broken or foreign is set aside, counted, and blocks nothing.

The files in kept/ were written by the version before formats were named; they are never rewritten.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.errors import DataError
from components.records import (
    FORMAT,
    Feedback,
    Scored,
    Trace,
    production_line,
    production_record,
    read_jsonl,
    read_record,
)
from components.serving.spool import Spool
from components.state import read_state
from flows.retrain import Retrained
from monitoring.candidates import Terms, candidates
from monitoring.lake import Lake
from monitoring.parquet import FORMAT_KEY
from monitoring.watch import Watched

KEPT = Path(__file__).parent / "kept"
DAY = "day=2026-01-01"
KINDS = {"traces": Trace, "feedback": Feedback, "scores": Scored}
WINDOW = (0.0, 2e9)


def place(lake: Lake, kind: str = "traces") -> Path:
    folder = lake.folder / kind / "workload=shop" / DAY
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake of the first format."""
    result = Lake(tmp_path / "lake")
    for kind in KINDS:
        shutil.copyfile(KEPT / f"format-1-{kind}.parquet", place(result, kind) / "s.parquet")
    return result


def read_all(lake: Lake) -> list[Any]:
    """What score, watch, retrain and release read."""
    return [
        *(lake.read(kind, "shop") for kind in (Trace, Feedback, Scored)),
        lake.sample("shop", 1, WINDOW, 10),
        lake.about("shop", ["a"], WINDOW),
        lake.share("shop", 1.0, WINDOW),
        candidates(lake, "shop", 0.0, Terms(1.0)),
    ]


def test_a_lake_of_the_first_format_is_read_whole(lake: Lake) -> None:
    first, shadow = lake.read(Trace, "shop")
    assert (first.id, first.caller, first.returned) == ("a", "", True)
    assert (shadow.id, shadow.returned) == ("a~shadow", False)
    assert lake.sample("shop", 1, WINDOW, 10) == ([first], 1)
    [reported] = lake.read(Feedback, "shop")
    assert (reported.sender, reported.reviewer) == ("", False)
    [harvested] = candidates(lake, "shop", 0.0, Terms(1.0))
    assert (harvested.answer, harvested.sender, harvested.reviewed) == ('{"kind": "bill"}', "", False)
    assert lake.broken == []


def test_a_spool_of_the_first_format_is_stored_as_todays(tmp_path: Path, lake: Lake) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    shutil.copyfile(KEPT / "format-1.jsonl", spool / "1-1.jsonl")
    new = Lake(tmp_path / "new")
    opened = Spool(spool)
    assert opened.drain(new.store) == 4
    assert opened.corrupt == []
    assert read_all(new) == read_all(lake)


@pytest.mark.parametrize(("file", "kind"), [("retrained-1.json", Retrained), ("watched-1.json", Watched)])
def test_state_of_the_first_format_and_with_a_field_more_is_read(tmp_path: Path, file: str, kind: Any) -> None:
    result = read_state(KEPT / file, kind)
    assert result is not None
    assert (result.workload, result.format) == ("shop", 1)
    later = tmp_path / file
    later.write_text(json.dumps(json.loads((KEPT / file).read_text()) | {"a_later_field": 1}))
    assert read_state(later, kind) == result


def test_todays_files_say_their_format(tmp_path: Path) -> None:
    record = production_record((KEPT / "format-1.jsonl").read_text().splitlines()[0])
    assert json.loads(production_line(record))["format"] == FORMAT
    assert production_record(production_line(record)) == record
    lake = Lake(tmp_path)
    lake.store("1", [production_line(record)])
    [path] = tmp_path.rglob("*.parquet")
    assert pq.read_schema(path).metadata[FORMAT_KEY] == str(FORMAT).encode()


def test_a_line_with_a_field_more_or_less_is_read_and_a_later_format_refused() -> None:
    content = json.loads((KEPT / "format-1.jsonl").read_text().splitlines()[0])
    expected = production_record(json.dumps(content))
    assert production_record(json.dumps(content | {"a_later_field": [1]})) == expected
    assert production_record(json.dumps({key: each for key, each in content.items() if key != "route"})) == expected
    with pytest.raises(DataError, match=f"expected a record of format {FORMAT} or earlier"):
        production_record(json.dumps(content | {"format": FORMAT + 1}))
    with pytest.raises(DataError, match="expected a trace, a feedback or a score"):
        production_record(json.dumps({key: each for key, each in content.items() if key != "version"}))


@pytest.mark.parametrize("column", ["returned", "route", "cost_usd", "confidence", "input"])
def test_a_file_with_a_column_less_is_read(lake: Lake, column: str) -> None:
    before = lake.read(Trace, "shop")
    path = place(lake) / "s.parquet"
    pq.write_table(pq.read_table(path, partitioning=None).drop_columns([column]), path)  # pyright: ignore[reportArgumentType]
    after = lake.read(Trace, "shop")
    assert [each.id for each in after] == [each.id for each in before]
    assert len(lake.about("shop", ["a"], WINDOW)[0]) == 2
    assert lake.sample("shop", 1, WINDOW, 10)[1] == 1
    assert lake.broken == []


def test_a_file_with_a_column_more_is_read(lake: Lake) -> None:
    before = read_all(lake)
    path = place(lake) / "s.parquet"
    table = pq.read_table(path, partitioning=None)  # pyright: ignore[reportArgumentType]
    pq.write_table(table.append_column("later", pa.array(["x"] * len(table))), path)
    assert read_all(lake) == before


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes((KEPT / "format-1-traces.parquet").read_bytes()[:-40])


def half(path: Path) -> None:
    path.write_bytes(
        (KEPT / "format-1-traces.parquet").read_bytes()[: path.stat().st_size // 2 if path.exists() else 900]
    )


def damaged(path: Path) -> None:
    content = bytearray((KEPT / "format-1-traces.parquet").read_bytes())
    content[20:400] = bytes(380)
    path.write_bytes(content)


def text(path: Path) -> None:
    path.write_text("somebody's notes")


def foreign(path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), path)


def other_types(path: Path) -> None:
    table = pq.read_table(KEPT / "format-1-traces.parquet", partitioning=None)  # pyright: ignore[reportArgumentType]
    at = table.column_names.index("at")
    pq.write_table(table.set_column(at, "at", pa.array(["yesterday"] * len(table))), path)


def bytes_that_are_no_text(path: Path) -> None:
    table = pq.read_table(KEPT / "format-1-traces.parquet", partitioning=None)  # pyright: ignore[reportArgumentType]
    at = table.column_names.index("workload")
    pq.write_table(table.set_column(at, "workload", no_text(len(table))), path)


def no_text(rows: int) -> pa.Array:
    """An array of strings as Parquet keeps them, whose bytes are not UTF-8."""
    offsets = pa.py_buffer(np.arange(0, 2 * rows + 1, 2, dtype=np.int32))
    return pa.Array.from_buffers(pa.string(), rows, [None, offsets, pa.py_buffer(b"\xc8\x20" * rows)])


BREAKS = [empty, cut, half, damaged, text, foreign, other_types, bytes_that_are_no_text]


@pytest.mark.parametrize("broken", BREAKS)
def test_a_broken_file_is_set_aside_once_and_the_others_are_read(
    lake: Lake, broken: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    before = read_all(lake)
    broken(place(lake) / "broken.parquet")
    assert read_all(lake) == before
    assert [path.name for path in lake.broken] == ["broken.parquet.broken"]
    assert "broken.parquet: expected records, found" in caplog.text
    caplog.clear()
    assert read_all(lake) == before
    assert caplog.text == ""


def test_strange_folders_and_unreadable_files_are_passed_over(lake: Lake) -> None:
    before = read_all(lake)
    (lake.folder / "traces" / "workload=shop" / "day=bad").mkdir()
    (lake.folder / "traces" / "workload=shop" / "day=bad" / "x.parquet").write_text("x")
    (lake.folder / "traces" / "workload=shop" / "day=2026-13-45").mkdir()
    (lake.folder / "traces" / "workload=shop" / "notes").mkdir()
    (place(lake) / "folder.parquet").mkdir()
    (place(lake) / "loop.parquet").symlink_to("loop.parquet")
    (place(lake) / ".hidden.parquet").write_text("x")
    assert read_all(lake) == before


def test_running_out_of_open_files_sets_no_file_aside(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more_files(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(pq, "read_schema", no_more_files)
    with pytest.raises(OSError, match="Too many open files"):
        lake.read(Trace, "shop")
    assert lake.broken == []


def test_a_later_format_is_passed_over_and_kept(lake: Lake) -> None:
    path = place(lake) / "s.parquet"
    table = pq.read_table(path, partitioning=None)  # pyright: ignore[reportArgumentType]
    pq.write_table(table.replace_schema_metadata({FORMAT_KEY: str(FORMAT + 1)}), place(lake) / "later.parquet")
    assert len(lake.read(Trace, "shop")) == 2
    assert lake.broken == []
    assert (place(lake) / "later.parquet").is_file()


def test_a_row_that_is_not_a_record_is_left_out(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    path = place(lake) / "s.parquet"
    table = pq.read_table(path, partitioning=None)  # pyright: ignore[reportArgumentType]
    at = table.column_names.index("route")
    pq.write_table(table.set_column(at, "route", pa.array(["champion", "a later route"])), path)
    assert [each.id for each in lake.read(Trace, "shop")] == ["a"]
    assert "found 1 that are not; left out" in caplog.text


def test_a_cut_or_binary_file_of_records_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"trace_id": "a", "at": 0, "workload": "w"}\n{"trace_id": ')
    with pytest.raises(DataError, match=r"expected whole lines, found that the last one is cut \(.*x\.jsonl:2\)"):
        read_jsonl(tmp_path / "x.jsonl", Feedback)
    (tmp_path / "x.jsonl").write_bytes(b"\xff\xfe\n")
    for read in (read_jsonl, read_record):
        with pytest.raises(DataError, match="found bytes that are not text"):
            read(tmp_path / "x.jsonl", Feedback)


def test_what_is_stored_is_on_the_disk_itself_before_its_segment_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file and every folder that names one is synced before the spool removes what they came from."""
    from monitoring import parquet

    synced: list[Path] = []
    real = parquet.sync
    monkeypatch.setattr(parquet, "sync", lambda path: (synced.append(path), real(path))[1])
    spool, lake = Spool(tmp_path / "spool"), Lake(tmp_path / "lake")
    spool.append(production_record((KEPT / "format-1.jsonl").read_text().splitlines()[0]))

    def store(segment: str, lines: list[str]) -> None:
        lake.store(segment, lines)
        folder = place(lake)
        part = folder / f".{segment}.part"
        assert synced.index(part) < synced.index(folder)
        assert {folder, *folder.parents} & {*synced} >= {
            folder,
            *[parent for parent in folder.parents if parent > tmp_path],
        }
        assert not part.exists()

    assert spool.drain(store) == 1


def test_a_disk_that_fills_up_leaves_neither_half_a_file_nor_less_than_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (KEPT / "format-1.jsonl").read_text().splitlines()
    spool, lake = Spool(tmp_path / "spool"), Lake(tmp_path / "lake")
    spool.append(production_record(lines[0]))
    with monkeypatch.context() as patch:

        def full(path: Path) -> None:
            if path.is_file():
                path.write_bytes(path.read_bytes()[:10])
                raise OSError(28, "No space left on device")

        patch.setattr("monitoring.parquet.sync", full)
        with pytest.raises(OSError, match="No space"):
            spool.drain(lake.store)
    assert [path.name for path in tmp_path.rglob("*") if path.suffix in (".part", ".parquet")] == []
    assert spool.drain(lake.store) == 1
    assert len(lake.read(Trace, "shop")) == 1
