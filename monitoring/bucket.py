"""The lake in an S3 bucket: paths like those of a folder, and leases instead of locks.

An object appears whole or not at all, so that writing needs no renaming. Readers hold no lock: a merged file is removed
only after READ_S, when no reader has a listing with it any more. Merging and forgetting need a lease: an object that
only one process can create, renewed while the work goes on, and taken over if its holder is dead. One that only stood
still goes on; so what it makes visible has a name that only one process can create. Needs a service with conditional
writes (If-None-Match, If-Match).
"""

import errno
import os
import shutil
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from components.errors import ConfigError

READ_S = 3600.0  # after which no reader uses an older listing
LEFT_S = 3600.0  # without a write, after which a half-written file is a killed process's
LEASE_S = 60.0  # without renewal, after which a lease is free
LOOK_S = 1.0
_CONFLICT, _CHANGED = 409, 412  # HTTP: another process is writing, or has written
_BESIDE = "gradus-lake-"  # prefix of temporary folders


def place(address: str) -> Path:
    """The path in a bucket for an address s3://BUCKET/PATH, with the methods of a folder's path that the lake uses.

    Raises:
        ConfigError: The packages for S3 are missing.
    """
    try:
        from upath import UPath

        return cast(Path, UPath(address, use_listings_cache=False))
    except ImportError as error:
        raise ConfigError("expected a client for a lake on S3, found none: pip install 'gradus[s3]'") from error


def in_bucket(path: Path) -> bool:
    """Whether a path is in a bucket."""
    return not isinstance(path, Path)


@contextmanager
def reached() -> Generator[None]:
    """Turn S3's errors into OSError, as for a disk that refuses.

    Raises:
        OSError: The service cannot be reached.
    """
    try:
        yield
    except Exception as error:
        botocore: Any = sys.modules.get("botocore.exceptions")  # not imported means that S3 was not used
        if botocore is None or not isinstance(error, botocore.BotoCoreError):
            raise
        raise OSError(errno.ENETDOWN, str(error)) from error


def put(file: Path, path: Path, *, new: bool = False) -> None:
    """Upload a local file to a bucket in one piece; with `new` only if nobody has written that path.

    Raises:
        FileExistsError: Somebody has; only with `new`.
        OSError: The service cannot be reached, or refuses.
    """
    remote = cast(Any, path)
    try:
        with reached():
            remote.fs.put_file(str(file), remote.path, mode="create" if new else "overwrite")
    except OSError as error:
        if new and _somebody_was_faster(error):
            raise FileExistsError(errno.EEXIST, "Another process has written it", str(path)) from error
        raise


@contextmanager
def beside(path: Path) -> Generator[Path]:
    """A temporary local file, to be written before it is uploaded to a bucket."""
    with tempfile.TemporaryDirectory(prefix=_BESIDE) as folder:
        yield Path(folder) / path.name


def sweep() -> None:
    """Remove the temporary files of `beside` that killed processes left; running ones still write to theirs."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_BESIDE}*"):
        with suppress(OSError):  # another user's
            if all(map(left, (folder, *folder.iterdir()))):
                shutil.rmtree(folder)


def expired(path: Path) -> bool:
    """Whether a file is so old that no reader uses a listing from before it."""
    return _unchanged_for(path, READ_S)


def left(path: Path) -> bool:
    """Whether nobody goes on with a half-written file."""
    return _unchanged_for(path, LEFT_S)


def _unchanged_for(path: Path, seconds: float) -> bool:
    with suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime > seconds
    return False


@contextmanager
def lease(path: Path) -> Generator[None]:
    """Hold a lease during the body, after waiting for its present holder.

    Raises:
        OSError: The service cannot be reached, or refuses.
    """
    held = _Lease(path)
    held.take()
    keeper = threading.Thread(target=held.keep, daemon=True)
    keeper.start()
    try:
        yield
    finally:
        held.done.set()
        keeper.join()
        held.leave()


class _Lease:
    """An object that its holder keeps rewriting; another process may take it over if it is unchanged for LEASE_S."""

    def __init__(self, path: Path) -> None:
        self._fs, self._path = cast(Any, path).fs, cast(Any, path).path
        self._owner = f"{os.getpid()}-{uuid.uuid4().hex}"
        self.done = threading.Event()

    def take(self) -> None:
        seen, since = "", time.monotonic()
        with reached():
            while not self._make(seen if time.monotonic() - since > LEASE_S else ""):
                if (now := self._tag()) != seen:
                    seen, since = now, time.monotonic()
                time.sleep(LOOK_S)

    def keep(self) -> None:
        """Renew the lease until the work is done; if that keeps failing, another process takes it over."""
        while not self.done.wait(LEASE_S / 6):
            with suppress(OSError), reached():
                if self._holds():
                    self._write()

    def leave(self) -> None:
        with suppress(OSError), reached():  # otherwise it expires by itself
            if self._holds():
                self._fs.rm_file(self._path)

    def _make(self, dead: str) -> bool:
        """Try to take the lease, or to replace a dead holder's; returns whether that worked."""
        try:
            if dead:
                self._write(IfMatch=dead)
            else:
                self._write(mode="create")
        except OSError as error:
            if _somebody_was_faster(error) or (dead and isinstance(error, FileNotFoundError)):
                return False
            raise
        return True

    def _write(self, **condition: str) -> None:
        self._fs.pipe_file(self._path, f"{self._owner} {uuid.uuid4().hex}".encode(), **condition)

    def _holds(self) -> bool:
        try:
            return self._fs.cat_file(self._path).decode().partition(" ")[0] == self._owner
        except FileNotFoundError:
            return False

    def _tag(self) -> str:
        try:
            return str(self._fs.info(self._path, refresh=True)["ETag"])
        except FileNotFoundError:
            return ""


def _somebody_was_faster(error: OSError) -> bool:
    """Whether another process wrote first; an errno alone may also mean that conditions are not supported."""
    answer: Any = getattr(error.__cause__, "response", None) or {}
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return isinstance(error, FileExistsError) or status in (_CONFLICT, _CHANGED)
