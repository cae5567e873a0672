"""The lake in a bucket of S3: paths as those of a folder, and what takes the place of its locks.

An object appears whole or not at all, so that writing needs no renaming. Readers hold no lock: what was merged into
another file goes only after READ_S, when nobody reads by a list that names it. Who merges or forgets does so alone, by
a lease: an object that only one can make, renewed while the work goes on, and taken over from a holder that is dead.
Needs a service with conditional writes (If-None-Match, If-Match).
"""

import errno
import os
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

READ_S = 3600.0  # after which nobody reads a file by a list that is older
LEASE_S = 60.0  # without a sign of life, after which a lease is nobody's
LOOK_S = 1.0
_CONFLICT, _CHANGED = 409, 412  # of HTTP: somebody writes at the same time, or has written


def place(address: str) -> Path:
    """A path in a bucket, by an address s3://BUCKET/PATH; as a folder's as far as the lake uses one.

    Raises:
        ConfigError: The packages for it are missing.
    """
    try:
        from upath import UPath

        return cast(Path, UPath(address, use_listings_cache=False))
    except ImportError as error:
        raise ConfigError("expected a client for a lake on S3, found none: pip install gradus[s3]") from error


def in_bucket(path: Path) -> bool:
    """Whether a path is one of a bucket."""
    return not isinstance(path, Path)


@contextmanager
def reached() -> Generator[None]:
    """Let a service that is away be an error of the system, as a disk that refuses is.

    Raises:
        OSError: It is away.
    """
    try:
        yield
    except Exception as error:
        botocore: Any = sys.modules.get("botocore.exceptions")  # where it was not imported, nobody asked S3
        if botocore is None or not isinstance(error, botocore.BotoCoreError):
            raise
        raise OSError(errno.ENETDOWN, str(error)) from error


def put(file: Path, path: Path) -> None:
    """Copy a file of this machine to a bucket, in one piece.

    Raises:
        OSError: The service is away, or refuses.
    """
    remote = cast(Any, path)
    with reached():
        remote.fs.put_file(str(file), remote.path)


@contextmanager
def beside(path: Path) -> Generator[Path]:
    """A file of this machine to write what is to go to a bucket; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="gradus-lake-") as folder:
        yield Path(folder) / path.name


def expired(path: Path) -> bool:
    """Whether nobody reads by a list that is older than a file."""
    with suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime > READ_S
    return False


@contextmanager
def lease(path: Path) -> Generator[None]:
    """Hold an object alone for the body, waiting for whoever holds it.

    Raises:
        OSError: The service is away, or refuses.
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
    """An object that its holder makes anew again and again; whoever sees it unchanged for LEASE_S may take it over."""

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
        """Renew it until the work is done; where that fails again and again, another one takes it over."""
        while not self.done.wait(LEASE_S / 6):
            with suppress(OSError), reached():
                if self._holds():
                    self._write()

    def leave(self) -> None:
        with suppress(OSError), reached():  # it ends by itself
            if self._holds():
                self._fs.rm_file(self._path)

    def _make(self, dead: str) -> bool:
        """Whether this one holds it now; in the place of a dead holder's, if it still is that one."""
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
    """Whether a condition was not met; an errno alone may also mean that the service knows none."""
    answer: Any = getattr(error.__cause__, "response", None) or {}
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return isinstance(error, FileExistsError) or status in (_CONFLICT, _CHANGED)
