"""The spool loses nothing: not to a kill, not to a store that is down."""

import subprocess
import sys
from pathlib import Path

import pytest

from components.records import Feedback
from components.serving.repeating import Repeated
from components.serving.spool import Spool

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
        return [Feedback.model_validate_json(line).trace_id for line in lines]


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


def test_what_a_store_that_is_down_did_not_take_is_stored_later(tmp_path: Path) -> None:
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


def test_a_trouble_that_lasts_is_told_once_and_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
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


def test_a_half_line_was_told_to_nobody_and_is_dropped(tmp_path: Path) -> None:
    whole = feedback("a").model_dump_json()
    (tmp_path / "1-1.jsonl").write_text(f'{whole}\n{{"trace_id": "b", ')
    kept = Kept()
    assert [Spool(tmp_path).drain(kept) for _ in range(2)] == [1, 0]
    assert kept.ids == ["a"]
