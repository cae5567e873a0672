"""Upkeep of the lake: merges small files into one for each day, removes old days, and forgets requests.

Every record exists exactly once at any moment, even if the process is killed: a merged file names the files that it
replaces, which are ignored as soon as it is in place and removed afterwards. Nobody reads meanwhile (`Lake.unchanged`);
in a bucket, where readers hold no lock, merged files are removed an hour later, and where two processes may merge a day
at once, because one lost its lease, only one can write the file with the next number. The caller decides when.
"""

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from components.data.joining import kindred
from components.records import Record, Trace, request_id
from monitoring.bucket import expired, in_bucket, left, sweep
from monitoring.lake import DAY_S, KINDS, MERGED, Lake, files_of
from monitoring.parquet import batches, is_open, is_scattered, merged_in, sync, write

FEWEST = 20  # files of the current day, from which they are merged
_NUMBERED = re.compile(rf"{MERGED}(\d{{10}})")  # earlier versions named merged files by a hash


def compact(lake: Lake, now: float) -> int:
    """Merge the files of every day into one; returns the number of removed files.

    Raises:
        OSError: The disk refuses. Files that are not merged yet stay.
    """
    gone = 0
    if in_bucket(lake.folder):
        sweep()
    for kind, _, day, folder in _days(lake):
        if _left_over(folder):
            with lake.unchanged(alone=True):
                _clear(folder)
        if _worth_merging(folder, over=day + DAY_S <= now):
            with suppress(FileExistsError), lake.unchanged(alone=True):  # another process has merged them
                gone += _merge(folder, kind)
    return gone


def old_days(lake: Lake, before: float, workload: str) -> list[Path]:
    """The folders of a workload's days that ended before a time."""
    return [folder for _, name, day, folder in _days(lake) if name == workload and day + DAY_S <= before]


def remove_day(lake: Lake, folder: Path) -> None:
    """Remove a day's files, and its folder if that is then empty."""
    with lake.unchanged(alone=True):
        for path in [*folder.glob("*.parquet*"), *folder.glob("*.part")]:
            path.unlink(missing_ok=True)
        if not in_bucket(folder) and not any(folder.iterdir()):
            folder.rmdir()


def conversation(lake: Lake, workload: str, request: str) -> set[str]:
    """A request and the earlier and later turns of its conversation, as far as the lake has them."""
    import pyarrow.compute

    pc: Any = pyarrow.compute  # its functions are made at run time
    named = lake.each(workload, pc.starts_with(pc.field("id"), request))
    traces = [trace for trace in named if belongs(trace.id, request)]
    requests = {request}
    for caller, customer in {(trace.caller, trace.customer) for trace in traces}:
        sent = (pc.coalesce(pc.field("caller"), "") == caller) & (pc.coalesce(pc.field("customer"), "") == customer)
        requests |= kindred(traces, lake.each(workload, sent))
    return requests


def forget(lake: Lake, requests: Collection[str]) -> set[str]:
    """Remove the traces of requests with all feedback and scores; returns the traces' ids."""
    forgotten = set[str]()
    if in_bucket(lake.folder):
        sweep()
    for kind, _, _, folder in _days(lake):
        gone = None
        while gone is None:
            with suppress(FileExistsError), lake.unchanged(alone=True):  # another process has merged them: once more
                _clear(folder)
                gone = _forget_in(folder, kind, requests)
        forgotten |= gone
    return forgotten


def _days(lake: Lake) -> Iterator[tuple[type[Record], str, float, Path]]:
    for kind in KINDS:
        for workload in lake.workloads:
            for day, folder in lake.days(kind, workload):
                yield kind, workload, day, folder


def _worth_merging(folder: Path, *, over: bool) -> bool:
    """Whether a day has files enough; a single one of a day that is over is enough if it is scattered.

    In a bucket that is not looked for, because every look into a file is a request.
    """
    files = _visible(folder)
    if over and len(files) == 1 and not in_bucket(folder):
        return is_scattered(files[0])
    return len(files) >= (2 if over else FEWEST)


def _visible(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*.parquet") if not path.name.startswith(".")]


def _left_over(folder: Path) -> list[Path]:
    """A day's half-written files that killed processes left, as long as nobody merges.

    One that is not a merged file's may be a server's, which is writing it.
    """
    parts = [] if in_bucket(folder) else folder.glob("*.part")
    return [path for path in parts if path.name.startswith(f".{MERGED}") or left(path)]


def _clear(folder: Path) -> None:
    for path in _left_over(folder):
        path.unlink(missing_ok=True)


def _merge(folder: Path, kind: type[Record], gone: Collection[str] = ()) -> int:
    """Replace all files of a day by one, without the rows of the traces `gone`; returns the number of removed files.

    A single file is replaced only if it is scattered, or to leave out rows.

    Raises:
        FileExistsError: In a bucket, another process has replaced them at the same time; nothing has changed.
    """
    # Listed before the files to merge: a file that another process writes now is among those, or has the number below.
    names = {path.stem for path in folder.glob(f"{MERGED}*.parquet")}
    live = [path for path in files_of(folder) if is_open(path)]
    held = {path.stem for path in live}.union(*(merged_in(path) for path in live))
    replaced = len(live) > 1 or bool(live and (gone or is_scattered(live[0])))
    if replaced:
        rows = (_without(piece, kind, gone) for path in live for piece in batches(path, kind, all_or_none=True))
        write(rows, kind, folder / f"{MERGED}{_next(names | held):010d}.parquet", held, new=True)
    dead = [path for path in folder.glob("*.parquet") if path.stem in held and (replaced or path not in live)]
    if in_bucket(folder):
        dead = _unread(folder, dead)
    for path in dead:
        path.unlink(missing_ok=True)
    sync(folder)
    return len(dead)


def _next(names: Collection[str]) -> int:
    """The number after those of all merged files."""
    return 1 + max((int(match[1]) for name in names if (match := _NUMBERED.fullmatch(name))), default=0)


def _unread(folder: Path, dead: list[Path]) -> list[Path]:
    """The files in a bucket that were merged so long ago that nobody reads them any more."""
    merged = (path for path in folder.glob(f"{MERGED}*.parquet") if expired(path))
    long_held = frozenset[str]().union(*(merged_in(path) for path in merged))
    return [path for path in dead if path.stem in long_held]


def _forget_in(folder: Path, kind: type[Record], requests: Collection[str]) -> set[str]:
    """Rewrite a day's files without the rows of requests, if they have any; returns the removed ids.

    Raises:
        FileExistsError: In a bucket, another process has merged them at the same time.
    """
    found = {path: ids for path in _visible(folder) if (ids := _ids(path, kind, requests))}
    gone = set[str]().union(*found.values())
    if gone and in_bucket(folder):
        # Takes the number of a merge that read these rows before and, without its lease, would bring them back.
        _merge(folder, kind, gone)
    for path in [path for path in found if path.exists()]:
        kept = (_without(piece, kind, gone) for piece in batches(path, kind, all_or_none=True))
        write(kept, kind, path, merged_in(path))
    return gone


def _ids(path: Path, kind: type[Record], requests: Collection[str]) -> set[str]:
    """The ids of a file's traces that belong to requests."""
    names = (name for piece in batches(path, kind) for name in piece[_name_of(kind)].to_pylist())
    return {name for name in names if any(belongs(name, request) for request in requests)}


def _without(piece: Any, kind: type[Record], gone: Collection[str]) -> Any:
    """The rows of a piece but for those of some traces."""
    import pyarrow as pa

    kept = [name not in gone for name in piece[_name_of(kind)].to_pylist()] if gone else []
    return piece.filter(pa.array(kept, pa.bool_())) if gone else piece


def _name_of(kind: type[Record]) -> str:
    return "id" if kind is Trace else "trace_id"


def belongs(trace_id: str, request: str) -> bool:
    """Whether a trace belongs to a request: its own, a further completion, another route's, or a further try's."""
    name = request_id(trace_id)
    return name == request or (name.startswith(f"{request}-") and name[len(request) :].replace("-", "").isdecimal())
