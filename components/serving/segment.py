"""One file of a spool while it is written: whole lines, locked, and never through a number that is somebody else's.

Decides how lines get into the file and how they are taken back; when a new one is begun is the spool's business.
"""

import errno
import fcntl
import os
import weakref
from pathlib import Path


class Segment:
    """A file that this process writes, locked; whoever removes or renames it has the lock.

    Its descriptor belongs to a file object, which forgets the number when it closes it: the kernel gives a number
    that was closed to the next file or connection, and what is written to it then goes to somebody else.
    """

    def __init__(self, path: Path) -> None:
        """Make it.

        Raises:
            OSError: The folder or the disk refuses; nothing is left behind.
        """
        self.broken, self._bytes, self._path = False, 0, path
        self._file = open(path, "x+b", buffering=0, opener=_private)  # noqa: SIM115 - it is open as long as this lives
        weakref.finalize(self, self._file.close)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError:
            self._file.close()
            path.unlink(missing_ok=True)
            raise

    @property
    def removed(self) -> bool:
        """Whether no folder names it any more, so that what is written to it is gone when it is closed."""
        return os.fstat(self._file.fileno()).st_nlink == 0

    @property
    def usable(self) -> bool:
        """Whether it ends with a whole line, and is still to be found where it was made."""
        try:
            return not self.broken and os.path.samestat(os.fstat(self._file.fileno()), os.stat(self._path))
        except FileNotFoundError:
            return False

    @property
    def empty(self) -> bool:
        """Whether nothing was written, or all of it taken back."""
        return self._bytes == 0

    @property
    def content(self) -> bytes:
        """All that was written."""
        return os.pread(self._file.fileno(), self._bytes, 0)

    def write(self, content: bytes) -> None:
        """Write whole lines in one call, or nothing.

        Raises:
            OSError: The disk is full or refuses. The segment is as it was.
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
        """Take back what goes beyond the last whole line; where that fails too, nothing more belongs in here."""
        try:
            os.ftruncate(self._file.fileno(), self._bytes)
        except OSError:
            self.broken = True

    def try_out(self) -> None:
        """Write a page and take it back.

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
        """Let others have it."""
        self._file.close()


def _private(path: str, flags: int) -> int:
    """Open a file that nobody else may read; what is written goes to its end, whatever was taken back before."""
    return os.open(path, flags | os.O_APPEND, 0o600)
