"""Forgotten requests: their records that still wait in a spool are never stored.

Decides how running servers know them: by a file of hashes, which does not reveal the requests; every drain reads it.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from components.records import Trace, choices_id, production_record
from components.serving.spool import CORRUPT, Store

_HEX = 64


def note(path: Path, request: str) -> None:
    """Record durably that a request is forgotten; call this before anything of it is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", encoding="ascii") as file:
        file.write(f"{_digest(request)}\n")
        file.flush()
        os.fsync(file.fileno())


def sparing(store: Store, path: Path) -> Store:
    """A store that never gets the records of forgotten requests."""

    def stored(segment: str, lines: list[str]) -> None:
        noted = _forgotten(path)
        kept = [line for line in lines if _request(line) not in noted] if noted else lines
        if kept:
            store(segment, kept)

    return stored


def forgotten_in(path: Path) -> Callable[[str], bool]:
    """Whether a trace, by its id, belongs to a request that is forgotten until now."""
    noted = _forgotten(path)
    return lambda trace_id: _digest(choices_id(trace_id)) in noted


def forget_waiting(folder: Path, request: str) -> tuple[int, int]:
    """Remove a request from a spool's finished segments.

    Returns how many lines were removed, and how many remain in a segment that a server is writing.
    """
    gone = held = 0
    for path in [*folder.glob("*.jsonl"), *folder.glob(f"*{CORRUPT}")]:
        try:
            file = path.open("rb")
        except FileNotFoundError:
            continue
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                mine = True
            except BlockingIOError:  # a server is writing it: its drain leaves out forgotten requests
                mine = False
            lines = file.read().splitlines(keepends=True)
            kept = [line for line in lines if request.encode() not in line]
            if len(kept) == len(lines) or not path.exists():  # only the lock's holder removes or renames it
                continue
            if mine:
                _replace(path, b"".join(kept))
                gone += len(lines) - len(kept)
            else:
                held += len(lines) - len(kept)
    return gone, held


def _replace(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _forgotten(path: Path) -> frozenset[str]:
    try:
        lines = path.read_text(encoding="ascii", errors="replace").split("\n")  # a damaged line hides no others
    except FileNotFoundError:
        return frozenset()
    return frozenset(line for line in lines if len(line) == _HEX)


def _request(line: str) -> str:
    """The hash of a line's request; further completions and other routes belong to the same request."""
    record = production_record(line)
    return _digest(choices_id(record.id if isinstance(record, Trace) else record.trace_id))


def _digest(request: str) -> str:
    return hashlib.sha256(request.encode()).hexdigest()
