"""A write-ahead spool: records are on disk before an answer leaves, and are stored elsewhere when that is possible.

A record is one line, written in one call, so that a process that is killed loses none that was acknowledged and
leaves at most one half line, which nobody was told of. Files are segments; the one that is being written is locked,
so that another process never takes it for finished. Left out: power failure (nothing waits for the disk itself).
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from components.records import Record

Store = Callable[[str, list[str]], None]  # (name of the segment, its lines); storing a name again replaces it


class Spool:
    """The segments in a folder; this process appends to one of them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._lock, self._lines = folder, threading.Lock(), 0
        self._file = self._open()

    def append(self, record: Record) -> None:
        """Write a record; when this returns, a kill no longer loses it."""
        line = f"{record.model_dump_json()}\n".encode()
        with self._lock:
            written = os.write(self._file, line)
            if written != len(line):  # a full disk; the next record must not be joined to half of this one
                os.ftruncate(self._file, os.fstat(self._file).st_size - written)
                raise OSError(f"expected {len(line)} bytes to be written to {self._folder}, found {written}")
            self._lines += 1

    def close(self) -> None:
        """Finish the segment; nothing can be appended any more."""
        with self._lock:
            os.close(self._file)

    def drain(self, store: Store) -> int:
        """Store all finished segments, the oldest first, and remove them; the number of records.

        A segment that could not be stored stays, and so do those after it: the error goes to the caller.
        """
        self._rotate()
        stored = 0
        for path in sorted(self._folder.glob("*.jsonl")):
            with path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:  # a living process writes it
                    continue
                whole = file.read().split(b"\n")[:-1]  # behind the last line end: nothing, or a half line
                if whole:
                    store(path.stem, [line.decode() for line in whole])
                path.unlink()  # under the lock: whoever is about to write here sees that it is gone
                stored += len(whole)
        return stored

    def _rotate(self) -> None:
        """Go on in a new segment if there is anything in this one."""
        with self._lock:
            if self._lines:
                os.close(self._file)
                self._file, self._lines = self._open(), 0

    def _open(self) -> int:
        """A new segment, locked; another process may have emptied and removed it before the lock was there."""
        while True:
            path = self._folder / f"{time.time_ns()}-{os.getpid()}.jsonl"
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file).st_nlink:
                return file
            os.close(file)
