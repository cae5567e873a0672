"""The spool loses nothing: not to a kill, not to a store that is down."""

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.records import Feedback, Trace, Usage, production_record
from components.serving.repeating import Repeated
from components.serving.spool import Spool
from monitoring.lake import Lake

ROOT = Path(__file__).resolve().parents[3]
WRITER = """
import sys
from pathlib import Path
from components.records import Feedback
from components.serving.spool import Spool
spool = Spool(Path(sys.argv[1]))
number = 0
while True:
    spool.append(Feedback(trace_id=str(number), at=0.0, workload="w"))
    print(number, flush=True)  # acknowledged
    number += 1
"""


class Kept:
    """A store in memory, that may be down."""

    def __init__(self) -> None:
        self.segments: dict[str, list[str]] = {}
        self.down = False

    def __call__(self, segment: str, lines: list[str]) -> None:
        if self.down:
            raise OSError("the lake is away")
        self.segments[segment] = lines

    @property
    def ids(self) -> list[str]:
        lines = [line for segment in sorted(self.segments) for line in self.segments[segment]]
        records = [production_record(line) for line in lines]
        return [record.trace_id for record in records if isinstance(record, Feedback)]


def feedback(name: str) -> Feedback:
    return Feedback(trace_id=name, at=0.0, workload="w")


def test_records_are_stored_in_order_and_their_segments_removed(tmp_path: Path) -> None:
    spool, kept = Spool(tmp_path), Kept()
    for name in "abc":
        spool.append(feedback(name))
    assert spool.drain(kept) == 3
    spool.append(feedback("d"))
    assert spool.drain(kept) == 1
    assert kept.ids == list("abcd")
    assert spool.drain(kept) == 0
    assert len(list(tmp_path.iterdir())) == 1  # the one that is open


def test_what_a_store_could_not_take_while_down_is_stored_later(tmp_path: Path) -> None:
    spool, kept = Spool(tmp_path), Kept()
    kept.down = True
    for name in "ab":
        spool.append(feedback(name))
        with pytest.raises(OSError, match="away"):
            spool.drain(kept)
    kept.down = False
    spool.drain(kept)
    assert kept.ids == ["a", "b"]


def test_a_living_process_keeps_its_segment(tmp_path: Path) -> None:
    other, mine, kept = Spool(tmp_path), Spool(tmp_path), Kept()
    other.append(feedback("theirs"))
    assert mine.drain(kept) == 0
    other.close()
    assert mine.drain(kept) == 1


def test_lasting_trouble_is_reported_once_and_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool, kept = Spool(tmp_path), Kept()
    kept.down = True
    spool.append(feedback("a"))
    repeated = Repeated(lambda: spool.drain(kept), 60, lambda: "traces wait in the spool")
    repeated.once()
    repeated.once()
    assert caplog.text.count("the lake is away; traces wait in the spool.") == 1
    kept.down = False
    repeated.once()
    assert kept.ids == ["a"]


@pytest.mark.parametrize("after", [1, 40, 400])
def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path, after: int) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        acknowledged = [process.stdout.readline().strip() for _ in range(after)]
        process.kill()
        acknowledged += [line for line in process.stdout.read().split("\n") if line]
    kept = Kept()
    Spool(tmp_path).drain(kept)
    assert kept.ids[: len(acknowledged)] == acknowledged
    assert len(kept.ids) <= len(acknowledged) + 1  # one may have been written and not yet told


def written(*lines: bytes, to: Path) -> None:
    to.write_bytes(b"".join(lines))


WHOLE = [feedback(name).model_dump_json().encode() + b"\n" for name in "abc"]


@pytest.mark.parametrize(
    "strange",
    [
        b"{]\n",
        b"\xff\xfe\x00\n",
        b"\n",
        b"17\n",
        b'{"trace_id": "x"}\n',
        WHOLE[1][:20] + b"\n",
        b"[" * 100_000 + b"\n",
        WHOLE[1].replace(b'"b"', b'"\\ud800"'),
    ],
    ids=["not JSON", "not UTF-8", "empty", "a number", "no record", "cut", "too deep", "half a character"],
)
def test_a_corrupt_segment_is_set_aside_and_holds_up_nothing(
    tmp_path: Path, strange: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = tmp_path / "1-1.jsonl", tmp_path / "2-1.jsonl"
    written(WHOLE[0], strange, WHOLE[1], to=first)
    written(WHOLE[2], to=second)
    spool, kept = Spool(tmp_path), Kept()
    assert spool.drain(kept) == 3
    assert kept.ids == ["a", "b", "c"]
    assert [path.name for path in spool.corrupt] == ["1-1.jsonl.corrupt"]
    assert spool.corrupt[0].read_bytes() == WHOLE[0] + strange + WHOLE[1]
    assert f"{first}: expected records, found 1 lines that are not records; set aside." in caplog.text
    assert spool.drain(kept) == 0


@given(st.binary(max_size=200), st.integers(0, 300))
def test_whatever_bytes_a_segment_holds_later_ones_are_stored(damage: bytes, place: int) -> None:
    with TemporaryDirectory() as folder:
        content = b"".join(WHOLE[:2])
        written(content[:place], damage, content[place:], to=Path(folder) / "1-1.jsonl")
        written(WHOLE[2], to=Path(folder) / "2-1.jsonl")
        kept = Kept()
        Spool(Path(folder)).drain(kept)
        assert kept.ids[-1] == "c"


def strange_trace(workload: str = "w", tokens: int = 1) -> Trace:
    return Trace(
        id="a", at=0.0, workload=workload, version=1, method="sft", messages=(), text="", finish_reason="stop",
        usage=Usage(input_tokens=tokens, output_tokens=1), latency_ms=1.0, valid=True,
    )  # fmt: skip


# An integer that no column takes, and a name that no file system has.
@pytest.mark.parametrize("strange", [strange_trace(tokens=10**30), strange_trace("a\0b")], ids=["integer", "name"])
def test_a_value_that_the_lake_cannot_hold_holds_up_nothing(
    tmp_path: Path, strange: Trace, caplog: pytest.LogCaptureFixture
) -> None:
    written(strange.model_dump_json().encode() + b"\n", to=tmp_path / "1-1.jsonl")
    written(WHOLE[2], to=tmp_path / "2-1.jsonl")
    spool, lake = Spool(tmp_path), Lake(tmp_path / "lake")
    assert spool.drain(lake.store) == 1
    assert [path.name for path in spool.corrupt] == ["1-1.jsonl.corrupt"]
    assert "expected records that can be stored, found" in caplog.text
    assert [word.trace_id for word in lake.read(Feedback, "w")] == ["c"]


def test_half_a_line_at_the_end_is_set_aside_too(tmp_path: Path) -> None:
    written(WHOLE[0], WHOLE[1][:12], to=tmp_path / "1-1.jsonl")
    spool, kept = Spool(tmp_path), Kept()
    assert [spool.drain(kept) for _ in range(2)] == [1, 0]
    assert kept.ids == ["a"]
    assert len(spool.corrupt) == 1


def test_a_strange_line_and_half_a_line_count_as_two(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    written(WHOLE[0], b"strange\n", WHOLE[1][:12], to=tmp_path / "1-1.jsonl")
    spool, kept = Spool(tmp_path), Kept()
    assert spool.drain(kept) == 1
    assert len(spool.corrupt) == 1
    assert "expected records, found 2 lines that are not records" in caplog.text


def test_a_clock_that_jumps_back_neither_reuses_a_name_nor_changes_the_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = iter([5_000, 4_000, 4_000, 10, 0])  # 0: a machine that begins at 1970
    monkeypatch.setattr(time, "time_ns", lambda: next(moments))
    spool, kept = Spool(tmp_path), Kept()
    kept.down = True
    for name in "abc":
        spool.append(feedback(name))
        with pytest.raises(OSError, match="away"):
            spool.drain(kept)
    spool.close()
    kept.down = False
    later = Spool(tmp_path)  # another process, begun after the clock went back once more
    later.append(feedback("d"))
    later.close()
    monkeypatch.undo()
    Spool(tmp_path).drain(kept)
    assert kept.ids == list("abcd")
    moments = iter([])
    assert [int(name.partition("-")[0]) for name in sorted(kept.segments)] == [5_000, 5_001, 5_002, 5_004]


def test_a_segment_that_another_process_has_stored_is_left_alone(tmp_path: Path) -> None:
    first, second, kept = Spool(tmp_path), Spool(tmp_path), Kept()
    first.append(feedback("a"))
    first.close()

    def drain_too(segment: str, lines: list[str]) -> None:
        assert second.drain(kept) == 0  # the one that is being stored is locked
        kept(segment, lines)

    assert Spool(tmp_path).drain(drain_too) == 1
    assert second.drain(kept) == 0
    assert kept.ids == ["a"]


def test_writing_after_the_end_is_refused(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.close()
    with pytest.raises(OSError, match="expected a spool that is open"):
        spool.append(feedback("late"))
