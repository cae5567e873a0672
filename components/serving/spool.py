"""A write-ahead spool: records are on disk before an answer leaves, and are stored elsewhere when that is possible.

A record is one line, written in one call, so that a killed process loses no acknowledged record and leaves at most one
half line, which was never acknowledged. Files are segments; the one that is being written is locked, so that another
process never takes it for finished. A segment with something that is not a record is set aside, and blocks nothing.
Does not protect against power failure: nothing waits for the disk itself.
"""

import errno
import fcntl
import logging
import threading
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from components.records import Production, production_line, production_record
from components.serving.segment import Segment

log = logging.getLogger(__name__)
Store = Callable[[str, list[str]], None]  # (name of the segment, its lines); storing a name again replaces it
CORRUPT = ".corrupt"  # suffix of a segment that was set aside


class Spool:
    """The segments in a folder; this process appends to one of them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._lock, self._trouble = folder, threading.Lock(), ""
        self._stamp = max((_stamp(path) for path in folder.iterdir()), default=0)
        self._segment: Segment | None = self._open()

    @property
    def corrupt(self) -> list[Path]:
        """Segments that were set aside, for somebody to look at."""
        return sorted(self._folder.glob(f"*{CORRUPT}"))

    @property
    def waiting(self) -> list[Path]:
        """Segments that are not stored yet, including the open one."""
        return sorted(path for path in self._folder.glob("*.jsonl") if not path.is_dir())

    def health(self) -> str:
        """Why the last attempt to write failed; empty if it did not."""
        return self._trouble

    def check(self) -> None:
        """Try again if the last attempt to write failed.

        Raises:
            OSError: It fails still.
        """
        with self._lock, self._noted():
            if self._trouble:
                self._go_on(tried=True)

    def append(self, record: Production) -> None:
        """Write a record; once this returns, a kill cannot lose it.

        Raises:
            OSError: It could not be written; nothing was.
        """
        line = f"{production_line(record)}\n".encode()
        with self._lock, self._noted():
            if not self._current().usable:  # somebody removed the folder, or moved it
                self._go_on()
            self._current().write(line)

    def close(self) -> None:
        """Finish the segment; nothing can be appended any more."""
        with self._lock:
            segment, self._segment = self._segment, None
            if segment is not None:
                segment.close()

    def drain(self, store: Store) -> int:
        """Store all finished segments, the oldest first, and remove them; returns the number of records.

        If the store fails, its error is raised, and that segment and later ones stay. A segment with something that is
        not a record is set aside after its records are stored; so is one whose content the store refuses. One that
        cannot be read stays, and does not block others.

        Raises:
            OSError: No new segment could be begun, or one could not be read; all others are stored.
        """
        stored, trouble = 0, None
        try:
            self._rotate()
        except OSError as error:  # finished segments can still be stored
            trouble = error
        for path in self.waiting:
            with _finished(path) as content:
                if isinstance(content, OSError):
                    trouble = trouble or content
                elif content is not None:
                    stored += _moved(path, content, store)
        if trouble is not None:
            raise trouble
        return stored

    def _current(self) -> Segment:
        if self._segment is None:
            raise OSError(errno.EBADF, f"expected a spool that is open, found one that was closed ({self._folder})")
        return self._segment

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
        """Begin a new segment if this one has records; if writing failed, try whether it works again.

        The old segment stays open until there is a new one, so that a folder or a disk that refuses loses nothing.
        """
        with self._lock:
            segment = self._segment
            if segment is None:
                return
            with self._noted():
                if not segment.empty or self._trouble or not segment.usable:
                    self._go_on(tried=bool(self._trouble))

    def _go_on(self, *, tried: bool = False) -> None:
        """Replace this segment with a new one; with `tried`, only if bytes can be written to it.

        The records of a segment that somebody deleted are copied to the new one.
        """
        old, new = self._current(), self._open()
        try:
            if tried:
                new.try_out()
            if old.removed and not old.empty:
                new.write(old.content)
        except OSError:
            new.discard()
            raise
        self._segment = new
        old.close()

    def _open(self) -> Segment:
        """A new segment; another one if a process removes it before it is locked.

        Its name is later than all earlier ones, whatever the clock says, and is never used again: the lake replaces
        what it has under the same name.
        """
        while True:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._stamp = max(time.time_ns(), self._stamp + 1)
            segment = Segment(self._folder / f"{self._stamp:020d}-{uuid.uuid4().hex[:12]}.jsonl")
            if segment.usable:
                return segment
            segment.close()


def _stamp(path: Path) -> int:
    """The moment in a segment's name, in nanoseconds; 0 for other files."""
    digits = path.name.partition("-")[0]
    return int(digits) if digits.isdecimal() else 0


@contextmanager
def _finished(path: Path) -> Generator[bytes | OSError | None]:
    """A segment's content, locked during the body; None if a process is writing it, or has stored it.

    An error that keeps it from being read is yielded, not raised.
    """
    with ExitStack() as held:
        yield _locked(path, held)


def _locked(path: Path, held: ExitStack) -> bytes | OSError | None:
    try:
        file = held.enter_context(path.open("rb"))
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return file.read() if path.exists() else None  # only the lock's holder removes or renames it
    except (FileNotFoundError, BlockingIOError):
        return None
    except OSError as error:
        return error


def _moved(path: Path, content: bytes, store: Store) -> int:
    """Store a segment's records and remove it, or set it aside; returns the number of records."""
    lines, strange = _sorted_out(content)
    trouble = f"expected records, found {strange} lines that are not records" if strange else ""
    try:
        if lines:
            store(path.stem, lines)
    except (ValueError, ArithmeticError) as error:  # a value that no column takes; trying again would not help
        lines, trouble = [], f"expected records that can be stored, found {error}"
    if trouble:
        path.rename(path.with_name(path.name + CORRUPT))
        log.warning("%s: %s; set aside.", path, trouble)
    else:
        path.unlink()
    return len(lines)


def _sorted_out(content: bytes) -> tuple[list[str], int]:
    """The lines that are records, in today's format, and how many are not, including half a line at the end."""
    *lines, rest = content.split(b"\n")
    records: list[str] = []
    for line in lines:
        try:
            records.append(production_record(line.decode()).model_dump_json())
        except ValueError:  # a DataError is one; so are errors of text that is not, or cannot become, UTF-8
            continue
    return records, len(lines) - len(records) + bool(rest)
