"""One file of a spool while it is written: whole lines, locked, and never through another file's descriptor.

Decides how lines are written and undone; the spool decides when to begin a new file.
"""

import errno
import fcntl
import os
import weakref
from pathlib import Path


class Segment:
    """A locked file that this process writes; only the lock's holder may remove or rename it.

    A file object owns the descriptor, and forgets its number when it is closed: the kernel gives that number to the
    next file or connection, which a late write would end up in.
    """

    def __init__(self, path: Path) -> None:
        """Create and lock the file.

        Raises:
            OSError: The folder or the disk refuses; nothing is left behind.
        """
        self.broken, self._bytes, self._path = False, 0, path
        self._file = open(path, "x+b", buffering=0, opener=_private)  # noqa: SIM115 - it stays open as long as this object
        weakref.finalize(self, self._file.close)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError:
            self._file.close()
            path.unlink(missing_ok=True)
            raise

    @property
    def removed(self) -> bool:
        """Whether the file was deleted, so that what is written to it is lost when it is closed."""
        return os.fstat(self._file.fileno()).st_nlink == 0

    @property
    def usable(self) -> bool:
        """Whether it ends with a whole line, and is still at its path."""
        try:
            return not self.broken and os.path.samestat(os.fstat(self._file.fileno()), os.stat(self._path))
        except FileNotFoundError:
            return False

    @property
    def empty(self) -> bool:
        """Whether nothing was written, or all of it undone."""
        return self._bytes == 0

    @property
    def content(self) -> bytes:
        """All that was written."""
        return os.pread(self._file.fileno(), self._bytes, 0)

    def write(self, content: bytes) -> None:
        """Write whole lines in one call, or nothing.

        Raises:
            OSError: The disk is full or refuses; the segment is unchanged.
        """
        try:
            written = self._file.write(content) or 0
            if written != len(content):  # a full disk; the next record must not be joined to half of this one
                raise OSError(errno.ENOSPC, f"expected {len(content)} bytes to be written, found {written}")
        except OSError:
            self._undo()
            raise
        self._bytes += written

    def _undo(self) -> None:
        """Cut off what follows the last whole line; if that fails too, the segment takes no more."""
        try:
            os.ftruncate(self._file.fileno(), self._bytes)
        except OSError:
            self.broken = True

    def try_out(self) -> None:
        """Write a page and undo it.

        Raises:
            OSError: It cannot be written.
        """
        self.write(b"\n" * 4096)
        self._bytes = 0
        os.ftruncate(self._file.fileno(), 0)

    def discard(self) -> None:
        """Remove it."""
        self._path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Close the file, which releases its lock."""
        self._file.close()


def _private(path: str, flags: int) -> int:
    """Open a file that only its owner may read; writes always go to its end, even after some were undone."""
    return os.open(path, flags | os.O_APPEND, 0o600)
