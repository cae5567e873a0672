"""One file of a spool: whole lines or nothing, in order of arrival, readable by its owner alone."""

import fcntl
import os
import resource
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from components.serving.segment import Segment

LONG = b"x" * 999 + b"\n"


@contextmanager
def files_of_at_most(size: int) -> Generator[None]:
    """A limit on the size of files cuts a write as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def broken(*_: object) -> Any:
    raise OSError(5, "Input/output error")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "1-1.jsonl"


def test_lines_are_in_the_file_when_they_are_written_one_behind_the_other(path: Path) -> None:
    segment = Segment(path)
    assert segment.empty and segment.usable and segment.content == b""
    for line in (b"a\n", b"bcd\n", LONG):
        segment.write(line)
        assert path.read_bytes() == segment.content
    assert segment.content == b"a\nbcd\n" + LONG
    assert not segment.empty


def test_an_existing_file_is_never_begun_again(path: Path) -> None:
    path.write_bytes(b"a\n")
    with pytest.raises(FileExistsError):
        Segment(path)
    assert path.read_bytes() == b"a\n"


def test_half_a_line_is_taken_back_and_the_next_goes_on_behind_the_last_whole_one(path: Path) -> None:
    segment = Segment(path)
    segment.write(b"whole\n")
    with files_of_at_most(10), pytest.raises(OSError, match="expected 1000 bytes to be written, found 4"):
        segment.write(LONG)
    assert path.read_bytes() == segment.content == b"whole\n"
    with files_of_at_most(6), pytest.raises(OSError, match="File too large"):
        segment.write(LONG)
    assert segment.usable
    segment.write(LONG)
    assert path.read_bytes() == segment.content == b"whole\n" + LONG


def test_where_half_a_line_stays_the_file_takes_no_more_lines(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = Segment(path)
    segment.write(b"whole\n")
    monkeypatch.setattr(os, "ftruncate", broken)
    with files_of_at_most(10), pytest.raises(OSError, match="found 4"):
        segment.write(LONG)
    assert not segment.usable
    assert segment.content == b"whole\n"
    assert path.read_bytes() == b"whole\nxxxx"


def test_a_trial_write_leaves_no_trace(path: Path) -> None:
    segment = Segment(path)
    segment.try_out()
    assert (path.read_bytes(), segment.content, segment.empty) == (b"", b"", True)
    segment.write(b"a\n")
    assert path.read_bytes() == segment.content == b"a\n"
    with files_of_at_most(1), pytest.raises(OSError, match="File too large"):
        segment.write(LONG)
    assert path.read_bytes() == b"a\n"


def test_a_trial_write_needs_room_for_a_page(path: Path) -> None:
    segment = Segment(path)
    with files_of_at_most(4000), pytest.raises(OSError, match="expected 4096 bytes to be written, found 4000"):
        segment.try_out()
    assert path.read_bytes() == b""


def test_a_segment_is_usable_only_while_its_file_is_in_place(path: Path) -> None:
    moved, removed = Segment(path), Segment(path.with_name("2-1.jsonl"))
    removed.write(b"a\n")
    path.rename(path.with_name("elsewhere"))
    path.with_name("2-1.jsonl").unlink()
    assert (moved.usable, moved.removed) == (False, False)
    assert (removed.usable, removed.removed) == (False, True)
    assert removed.content == b"a\n"
    path.write_bytes(b"")  # another file of its name
    assert not moved.usable


def test_a_segment_is_locked_until_it_is_closed(path: Path) -> None:
    segment = Segment(path)
    with path.open("rb") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        segment.close()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("removed", [False, True])
def test_a_segment_that_cannot_be_locked_is_not_left_behind(
    path: Path, monkeypatch: pytest.MonkeyPatch, removed: bool
) -> None:
    def refused(*_: object) -> None:
        if removed:  # by somebody else, meanwhile
            path.unlink()
        broken()

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(OSError, match="Input/output error"):
        Segment(path)
    assert not path.exists()


def test_discarding_a_file_that_is_already_gone_is_no_error(path: Path) -> None:
    segment, other = Segment(path), Segment(path.with_name("2-1.jsonl"))
    path.unlink()
    for holder in (segment, other):
        holder.discard()
    assert list(path.parent.iterdir()) == []


def test_only_its_owner_may_read_a_segment(path: Path) -> None:
    before = os.umask(0)
    try:
        Segment(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
