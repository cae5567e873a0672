"""A write-ahead spool: records are on disk before an answer leaves, and are stored elsewhere when that is possible.

A record is one line, written in one call, so that a process that is killed loses none that was acknowledged and
leaves at most one half line, which nobody was told of. Files are segments; the one that is being written is locked,
so that another process never takes it for finished. What is no record is set aside with its segment, and blocks
nothing. Left out: power failure (nothing waits for the disk itself).
"""

import fcntl
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from components.records import Record, production_record

log = logging.getLogger(__name__)
Store = Callable[[str, list[str]], None]  # (name of the segment, its lines); storing a name again replaces it
CORRUPT = ".corrupt"  # behind the name of a segment that was set aside


class Spool:
    """The segments in a folder; this process appends to one of them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._lock, self._lines, self._trouble = folder, threading.Lock(), 0, ""
        self._stamp = max((_stamp(path) for path in folder.iterdir()), default=0)
        self._file = self._open()

    @property
    def corrupt(self) -> list[Path]:
        """Segments that were set aside, and wait for somebody to look at them."""
        return sorted(self._folder.glob(f"*{CORRUPT}"))

    def health(self) -> str:
        """Why nothing can be written here since the last try, in words; empty where all is well."""
        return self._trouble

    def append(self, record: Record) -> None:
        """Write a record; when this returns, a kill no longer loses it."""
        line = f"{record.model_dump_json()}\n".encode()
        with self._lock, self._noted():
            written = os.write(self._file, line)
            if written != len(line):  # a full disk; the next record must not be joined to half of this one
                os.ftruncate(self._file, os.fstat(self._file).st_size - written)
                raise OSError(f"expected {len(line)} bytes to be written to {self._folder}, found {written}")
            self._lines += 1

    def close(self) -> None:
        """Finish the segment; nothing can be appended any more."""
        with self._lock:
            os.close(self._file)
            self._file, self._lines = -1, 0  # whoever comes late gets an error, and not somebody else's file

    def drain(self, store: Store) -> int:
        """Store all finished segments, the oldest first, and remove them; the number of records.

        A segment that could not be stored stays, and so do those after it: the error goes to the caller. One that holds
        what is no record is set aside after its records are stored; so is one whose content the store refuses.
        """
        self._rotate()
        stored = 0
        for path in sorted(self._folder.glob("*.jsonl")):
            with _finished(path) as content:
                if content is None:
                    continue
                stored += _moved(path, content, store)
        return stored

    @contextmanager
    def _noted(self) -> Generator[None]:
        """Remember whether the last try to write failed, and why."""
        try:
            yield
        except OSError as error:
            self._trouble = f"expected to write to the spool {self._folder}, found {error}"
            raise
        self._trouble = ""

    def _rotate(self) -> None:
        """Go on in a new segment if there is anything in this one."""
        with self._lock:
            if self._lines:
                os.close(self._file)
                self._file, self._lines = self._open(), 0

    def _open(self) -> int:
        """A new segment, locked; another process may have emptied and removed it before the lock was there.

        Its name is later than all before it, whatever the clock says, and is never given twice: what the lake has
        under the name of another segment would be replaced.
        """
        while True:
            self._stamp = max(time.time_ns(), self._stamp + 1)
            path = self._folder / f"{self._stamp:020d}-{uuid.uuid4().hex[:12]}.jsonl"
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file).st_nlink:
                return file
            os.close(file)


def _stamp(path: Path) -> int:
    """The moment in a segment's name, in nanoseconds; 0 for other files."""
    digits = path.name.partition("-")[0]
    return int(digits) if digits.isdecimal() else 0


@contextmanager
def _finished(path: Path) -> Generator[bytes | None]:
    """A segment's content, locked for the body; None where a process writes it, or another one has stored it."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        file = None
    if file is None:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield None
            return
        yield file.read() if path.exists() else None  # who removes it or renames it has the lock


def _moved(path: Path, content: bytes, store: Store) -> int:
    """Store a segment's records and remove it, or set it aside; the number of records."""
    lines, strange = _sorted_out(content)
    trouble = f"expected records, found {strange} lines that are none" if strange else ""
    try:
        if lines:
            store(path.stem, lines)
    except (ValueError, ArithmeticError) as error:  # a value that no column takes; coming again would not help
        lines, trouble = [], f"expected records that can be stored, found {error}"
    if trouble:
        path.rename(path.with_name(path.name + CORRUPT))
        log.warning("%s: %s; set aside.", path, trouble)
    else:
        path.unlink()
    return len(lines)


def _sorted_out(content: bytes) -> tuple[list[str], int]:
    """The lines that are records, and how many are not; behind the last line end is nothing, or half a line."""
    *lines, rest = content.split(b"\n")
    records: list[str] = []
    for line in lines:
        try:
            text = line.decode()
            production_record(text)
        except ValueError:  # a DataError is one, and what is no UTF-8
            continue
        records.append(text)
    return records, len(lines) - len(records) + bool(rest)
