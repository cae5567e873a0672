"""Upkeep of the lake: merges small files into one for each day, removes old days, and forgets requests.

Every record exists exactly once at any moment, even if the process is killed: a merged file names the files that it
replaces, which are ignored as soon as it is in place and removed afterwards. Nobody reads meanwhile (`Lake.unchanged`);
in a bucket, where readers hold no lock, merged files are removed an hour later. The caller decides when.
"""

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from components.data.joining import kindred
from components.records import Record, Trace, request_id
from monitoring.bucket import expired, in_bucket
from monitoring.lake import DAY_S, KINDS, MERGED, Lake, files_of
from monitoring.parquet import batches, is_open, merged_in, sync, write

FEWEST = 20  # files of the current day, from which they are merged


def compact(lake: Lake, now: float) -> int:
    """Merge the files of every day into one; returns the number of removed files.

    Raises:
        OSError: The disk refuses. Files that are not merged yet stay.
    """
    gone = 0
    for kind, _, day, folder in _days(lake):
        least = 2 if day + DAY_S <= now else FEWEST
        if sum(not path.name.startswith(".") for path in folder.glob("*.parquet")) >= least:
            gone += _merge(lake, kind, folder)
    return gone


def old_days(lake: Lake, before: float, workload: str) -> list[Path]:
    """The folders of a workload's days that ended before a time."""
    return [folder for _, name, day, folder in _days(lake) if name == workload and day + DAY_S <= before]


def remove_day(lake: Lake, folder: Path) -> None:
    """Remove a day's files, and its folder if that is then empty."""
    with lake.unchanged(alone=True):
        for path in folder.glob("*.parquet*"):
            path.unlink()
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
    for kind, _, _, folder in _days(lake):
        with lake.unchanged(alone=True):
            for path in [path for path in folder.glob("*.parquet") if not path.name.startswith(".")]:
                forgotten |= _forget_in(path, kind, requests)
    return forgotten


def _days(lake: Lake) -> Iterator[tuple[type[Record], str, float, Path]]:
    for kind in KINDS:
        for workload in lake.workloads:
            for day, folder in lake.days(kind, workload):
                yield kind, workload, day, folder


def _merge(lake: Lake, kind: type[Record], folder: Path) -> int:
    """Replace all files of a day by one; returns the number of removed files."""
    with lake.unchanged(alone=True):
        live = [path for path in files_of(folder) if is_open(path)]
        held = {path.stem for path in live}.union(*(merged_in(path) for path in live))
        named = hashlib.sha256("\n".join(sorted(held)).encode()).hexdigest()[:32]
        new = folder / f"{MERGED}{named}.parquet"
        if len(live) > 1:
            write((piece for path in live for piece in batches(path, kind, all_or_none=True)), kind, new, held)
        dead = [path for path in folder.glob("*.parquet") if path.stem in held and (len(live) > 1 or path not in live)]
        if in_bucket(folder):
            dead = _unread(folder, dead)
        for path in dead:
            path.unlink()
        sync(folder)
        return len(dead)


def _unread(folder: Path, dead: list[Path]) -> list[Path]:
    """The files in a bucket that were merged so long ago that nobody reads them any more."""
    merged = (path for path in folder.glob(f"{MERGED}*.parquet") if expired(path))
    long_held = frozenset[str]().union(*(merged_in(path) for path in merged))
    return [path for path in dead if path.stem in long_held]


def _forget_in(path: Path, kind: type[Record], requests: Collection[str]) -> set[str]:
    """Rewrite a file without the rows of requests, if it has any; returns the removed ids."""
    name = _name_of(kind)

    def ids() -> Iterator[str]:
        for piece in batches(path, kind):
            yield from piece[name].to_pylist()

    forgotten = {trace_id for trace_id in ids() if any(belongs(trace_id, request) for request in requests)}
    if forgotten:
        import pyarrow as pa

        kept = (
            piece.filter(pa.array([trace_id not in forgotten for trace_id in piece[name].to_pylist()]))
            for piece in batches(path, kind, all_or_none=True)
        )
        write(kept, kind, path, merged_in(path))
    return forgotten


def _name_of(kind: type[Record]) -> str:
    return "id" if kind is Trace else "trace_id"


def belongs(trace_id: str, request: str) -> bool:
    """Whether a trace belongs to a request: its own, a further completion, or another route's."""
    name = request_id(trace_id)
    return name == request or (name.startswith(f"{request}-") and name[len(request) + 1 :].isdecimal())
