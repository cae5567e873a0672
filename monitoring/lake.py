"""The lake: every trace of production, every feedback and every score, as Parquet files in folders by workload and day.

It is a folder on this machine, or a path in an S3 bucket (`monitoring.bucket`). Decides where records are stored and
how they are read back; what they mean is decided where they are used. A file has the name of the spool's segment that
it came from, so that storing a segment twice changes nothing.
"""

import errno
import fcntl
import logging
import os
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from zlib import crc32

from components.errors import DataError
from components.records import (
    Feedback,
    Production,
    Record,
    Scored,
    Trace,
    known_fields,
    production_record,
    request_id,
)
from components.state import BROKEN
from monitoring.bucket import in_bucket, lease, place, reached
from monitoring.parquet import arrow_schema, batches, merged_in, plain, row_of, write
from monitoring.spread import spread

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

AnyRecord = TypeVar("AnyRecord", bound=Record)
Part = TypeVar("Part")
KINDS: dict[type[Record], str] = {Trace: "traces", Feedback: "feedback", Scored: "scores"}
DAY_S = 86_400.0
ALWAYS = (0.0, float("inf"))
MERGED = "merged-"  # prefix of files that hold the rows of many
LOCK = ".lock"
ADDRESS = "GRADUS_LAKE"  # the variable that names a bucket, if the lake is shared
log = logging.getLogger(__name__)


class Lake:
    """The files under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, folder: Path, environment: Mapping[str, str] = os.environ) -> "Lake":
        """The lake of a project: in the bucket that the environment names, or else in a folder.

        Raises:
            ConfigError: The packages for a bucket are missing.
        """
        address = environment.get(ADDRESS)
        return cls(place(address) if address else folder)

    def store(self, segment: str, lines: list[str]) -> None:
        """Store the records of a spool's segment; storing it again replaces them.

        Raises:
            DataError: A line is not a record.
            OSError: The disk refuses.
        """
        import pyarrow as pa

        days: dict[tuple[type[Record], Path], list[dict[str, Any]]] = {}
        for line in lines:
            record = _parsed(line, segment)
            day = datetime.fromtimestamp(record.at, UTC).date().isoformat()
            kind = type(record)
            folder = self.folder / KINDS[kind] / f"workload={record.workload}" / f"day={day}"
            days.setdefault((kind, folder), []).append(row_of(record))
        for (kind, folder), rows in days.items():
            table = pa.Table.from_pylist(rows, arrow_schema(kind))
            write(table.to_batches(), kind, folder / f"{segment}.parquet")

    def read(
        self, kind: type[AnyRecord], workload: str, since: float = 0.0, until: float = float("inf")
    ) -> list[AnyRecord]:
        """The records of a workload from a window of time [since, until), oldest first."""
        asked = _asked((since, until))
        parts = self._parts(kind, workload, (since, until), lambda path: _records(kind, batches(path, kind, asked)))
        return _joined(kind, parts)

    def sample(
        self, workload: str, version: int, window: tuple[float, float], most: int, *, own: bool = True
    ) -> tuple[list[Trace], int]:
        """At most `most` random answers of a version to callers in a window [since, until); and of how many.

        Includes answers that a second model's replaced: without them the version would seem surer and more often valid
        than it is. The same traces are drawn at every call (bottom-k of a hash of the id). Without `own`, answers to
        callers' own prompts do not count; to tell them apart takes longer, because inputs are decoded.
        """
        asked = _asked(window, _given_by(version))
        with self.unchanged():
            return _drawn(list(self._files(Trace, workload, *window)), asked, most, own=own)

    def first_answer(self, workload: str, version: int) -> float | None:
        """When a caller first got an answer of a version, in seconds since 1970; None if nobody has.

        Of each day before, the files' statistics are read; of the days after, nothing.
        """
        asked, times = _asked(ALWAYS, _got_from(version)), list[float]()
        with self.unchanged():
            for _, folder in self.days(Trace, workload):
                for path in files_of(folder):
                    pieces = batches(path, Trace, asked, columns=["at"])
                    times += [float(piece["at"].to_numpy().min()) for piece in pieces if len(piece)]
                if times:
                    return min(times)
        return None

    def share(self, workload: str, share: float, window: tuple[float, float]) -> list[Trace]:
        """A share in [0, 1] of the answers that callers got in a window [since, until), the same ones at every call."""
        return self.chosen(workload, lambda name: _rank(name) < share * 2**32, window)

    def chosen(
        self, workload: str, wanted: Callable[[str], bool], window: tuple[float, float], *, replaced: bool = False
    ) -> list[Trace]:
        """The answers that callers got in a window of time [since, until) and whose id is wanted.

        With `replaced` also the versions' answers that a second model's replaced.
        """
        asked = _asked(window, _returned() | _of_versions() if replaced else _returned())

        def choose(path: Path) -> tuple[list[Trace], int]:
            return _named(path, asked, [name for ids in _ids(path, asked) for name in ids.to_pylist() if wanted(name)])

        return _joined(Trace, self._parts(Trace, workload, window, choose))

    def with_tools(self, workload: str, window: tuple[float, float]) -> list[Trace]:
        """The answers that callers got in conversations with tools in a window [since, until), oldest first."""
        import pyarrow.compute as pc

        asked = _asked(window, (pc.field("tools").is_valid() | pc.field("turns").is_valid()) & _returned())
        parts = self._parts(Trace, workload, window, lambda path: _records(Trace, batches(path, Trace, asked)))
        return _joined(Trace, parts)

    def outcomes(self, workload: str, version: int, window: tuple[float, float]) -> list[tuple[str, bool]]:
        """The customer, and whether the answer was valid, for a version's answers in a window [since, until).

        Includes turns of conversations with tools, and answers that a second model's answer replaced; not answers to
        callers' own prompts, or in a form of theirs.
        """
        asked = _asked(window, _given_by(version))
        parts = self._parts(Trace, workload, window, lambda path: _outcomes(path, asked))
        return [outcome for part in parts for outcome in part]

    def about(self, workload: str, requests: Collection[str], window: tuple[float, float]) -> tuple[list[Trace], int]:
        """All answers to these requests in a window of time [since, until), and the number of all answers in it."""
        asked, wanted = _asked(window), frozenset(requests)

        def answers(path: Path) -> tuple[tuple[list[Trace], int], int]:
            total, names = 0, list[str]()
            for ids in _ids(path, asked):
                total += len(ids)
                names += [name for name in ids.to_pylist() if request_id(name) in wanted]
            found = _named(path, asked, names)
            return found, total if _rows(found) == len(names) else 0  # a file that cannot be read counts for nothing

        parts = list(self._parts(Trace, workload, window, answers))
        return _joined(Trace, (found for found, _ in parts)), sum(total for _, total in parts)

    def each(self, workload: str, wanted: "pc.Expression") -> Iterator[Trace]:
        """The traces that an expression selects, whether callers got them or not, read piece by piece."""
        for batch in self._batches(Trace, workload, ALWAYS, wanted):
            yield from _joined(Trace, [_records(Trace, [batch])])

    def _parts(
        self, kind: type[Record], workload: str, window: tuple[float, float], work: Callable[[Path], Part]
    ) -> Iterator[Part]:
        """What `work` makes of each file that the window touches; files may be read on a cluster."""
        with self.unchanged():
            yield from spread(list(self._files(kind, workload, *window)), work)

    def _batches(
        self, kind: type[Record], workload: str, window: tuple[float, float], wanted: "pc.Expression | None" = None
    ) -> "Iterator[pa.RecordBatch]":
        """Rows of a window, piece by piece: a window of millions takes no more memory than one of thousands."""
        asked = _asked(window, wanted)
        with self.unchanged():
            for path in self._files(kind, workload, *window):
                yield from batches(path, kind, asked)

    @contextmanager
    def unchanged(self, *, alone: bool = False) -> Generator[None]:
        """Keep others from merging or removing files during the body; with `alone`, also from reading them.

        In a bucket readers hold no lock: files stay for as long as somebody may be reading them.
        """
        if in_bucket(self.folder):
            with lease(self.folder / LOCK) if alone else nullcontext():
                yield
            return
        if not self.folder.is_dir():
            yield
            return
        with ExitStack() as held:
            try:
                file = held.enter_context((self.folder / LOCK).open("a"))
            except OSError as error:
                if alone or error.errno not in (errno.EROFS, errno.EACCES):
                    raise
            else:  # where nobody can write, nothing changes
                fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            yield

    def _files(self, kind: type[Record], workload: str, since: float, until: float) -> Iterator[Path]:
        """The files of the days that the window touches."""
        for day, folder in self.days(kind, workload):
            if day + DAY_S > since and day < until:
                yield from files_of(folder)

    def days(self, kind: type[Record], workload: str) -> Iterator[tuple[float, Path]]:
        """The folders of a kind and a workload with the beginnings of their days, in seconds since 1970."""
        with reached():
            folders = sorted((self.folder / KINDS[kind] / f"workload={workload}").glob("day=*"))
        for folder in folders:
            try:
                day = datetime.fromisoformat(f"{folder.name.removeprefix('day=')}T00:00:00+00:00").timestamp()
            except ValueError:  # somebody else's folder
                continue
            yield day, folder

    @property
    def workloads(self) -> list[str]:
        """The workloads that have any records."""
        with reached():
            names = {path.name.partition("=")[2] for path in self.folder.glob("*/workload=*")}
        return sorted(names)

    @property
    def broken(self) -> list[Path]:
        """Files that were set aside, for somebody to look at; none in a bucket."""
        return [] if in_bucket(self.folder) else sorted(self.folder.rglob(f"*{BROKEN}"))


def files_of(folder: Path) -> list[Path]:
    """The files of a day whose rows count, without those that were merged into another file."""
    with reached():
        files = sorted(path for path in folder.glob("*.parquet") if not _hidden(path))
    merged = frozenset[str]().union(*(merged_in(path) for path in files if path.name.startswith(MERGED)))
    return [path for path in files if path.stem not in merged]


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _got_from(version: int) -> "pc.Expression":
    """A filter for answers that callers got from a version."""
    import pyarrow.compute as pc

    return (pc.field("version") == version) & _returned()


def _given_by(version: int) -> "pc.Expression":
    """A filter for a version's answers to callers, also for those that a second model's replaced."""
    import pyarrow.compute as pc

    return (pc.field("version") == version) & _of_versions()


def _returned() -> "pc.Expression":
    """A filter for answers that callers got; in files of the first format, that is all of them."""
    import pyarrow.compute as pc

    return pc.field("returned").is_null() | pc.field("returned")


def _of_versions() -> "pc.Expression":
    """A filter for answers by which versions are judged, no shadow's or second model's; old files lack the route."""
    import pyarrow.compute as pc

    return pc.field("route").isin(["champion", "canary"]) | (pc.field("route").is_null() & _returned())


def _asked(window: tuple[float, float], wanted: "pc.Expression | None" = None) -> "pc.Expression":
    """A filter for the rows of a window of time [since, until)."""
    import pyarrow.compute as pc

    inside = (pc.field("at") >= window[0]) & (pc.field("at") < window[1])
    return inside if wanted is None else inside & wanted


def _ids(path: Path, asked: "pc.Expression", *, own: bool = True) -> "Iterator[pa.Array]":
    """The ids of a file's traces; no other column is decoded but, to leave out callers' `own` prompts, the inputs."""
    for batch in batches(path, Trace, asked, columns=["id"] if own else ["id", "input"]):
        ids = batch["id"] if own else batch["id"].filter(_has_entries(batch["input"]))
        yield ids.drop_null()


def _has_entries(maps: Any) -> "pa.Array":
    """Whether each map of an array is there and not empty."""
    import numpy as np
    import pyarrow as pa

    return pa.array(np.diff(maps.offsets.to_numpy()) > 0, mask=maps.is_null().to_numpy(zero_copy_only=False))


def _drawn(files: Sequence[Path], asked: "pc.Expression", most: int, *, own: bool) -> tuple[list[Trace], int]:
    """The `most` traces of the lowest ranks, oldest first, and the number of all in files that can be read."""
    total, lowest = 0, list[tuple[int, str, Path]]()
    parts = spread(files, lambda path: _lowest(path, asked, most, own=own))
    for path, (ranked, many) in zip(files, parts, strict=True):
        total += many
        lowest = sorted([*lowest, *((*each, path) for each in ranked)])[:most]
    names: dict[Path, list[str]] = {}
    for _, name, path in lowest:
        names.setdefault(path, []).append(name)
    found = list(spread(list(names), lambda path: _named(path, asked, names[path])))
    unread = {path for path, part in zip(names, found, strict=True) if _rows(part) < len(names[path])}
    if unread:
        return _drawn([path for path in files if path not in unread], asked, most, own=own)
    traces = sorted(_joined(Trace, found), key=lambda trace: _rank(trace.id))[:most]
    return sorted(traces, key=attrgetter("at")), total


def _lowest(path: Path, asked: "pc.Expression", most: int, *, own: bool) -> tuple[list[tuple[int, str]], int]:
    """The `most` lowest ranks of a file's traces with their ids, and the number of all."""
    import numpy as np

    total, lowest = 0, list[tuple[int, str]]()
    for ids in _ids(path, asked, own=own):
        total += len(ids)
        ranks = np.fromiter(map(crc32, ids.cast("binary").to_pylist()), np.int64, len(ids))  # `_rank` of each
        limit = lowest[-1][0] if len(lowest) == most else 2**32
        if most < len(ranks):
            limit = min(limit, np.partition(ranks, most)[most])
        near = np.flatnonzero(ranks <= limit)
        ranked = zip(ranks[near].tolist(), ids.take(near).to_pylist(), strict=True)
        lowest = sorted([*lowest, *ranked])[:most]
    return lowest, total


def _rank(name: str) -> int:
    """A hash of a trace's id, by which random traces are drawn."""
    return crc32(name.encode())


def _rows(found: tuple[list[Trace], int]) -> int:
    """How many rows were read, those that are no traces included."""
    return len(found[0]) + found[1]


def _named(path: Path, asked: "pc.Expression", names: Collection[str]) -> tuple[list[Trace], int]:
    """The traces with these ids, and the number of rows that are none."""
    import pyarrow.compute as pc

    return _records(Trace, batches(path, Trace, asked & pc.field("id").isin(names))) if names else ([], 0)


def _outcomes(path: Path, asked: "pc.Expression") -> list[tuple[str, bool]]:
    """Customer and validity of each row; equal ones are one object, which takes little memory and is sent once."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    read = batches(path, Trace, asked, columns=["customer", "valid", "input", "tools", "turns"])
    pieces = [piece.select(["customer", "valid"]).filter(_is_judged(piece)) for piece in read]
    if not pieces:
        return []
    rows = pa.Table.from_batches(pieces)
    customers = pc.fill_null(rows["customer"], "").combine_chunks().dictionary_encode()
    valid = pc.fill_null(rows["valid"], False).to_numpy()
    codes = 2 * customers.indices.to_numpy() + valid
    names, pairs = customers.dictionary.to_pylist(), np.empty(2 * len(customers.dictionary), object)
    for code in np.flatnonzero(np.bincount(codes)):
        pairs[code] = (names[code // 2], bool(code % 2))
    return pairs[codes].tolist()


def _is_judged(piece: "pa.RecordBatch") -> "pa.Array":
    """Whether each answer counts for its version: one of the workload, or a turn of a conversation with tools."""
    import numpy as np
    import pyarrow as pa

    kinds = _has_entries(piece["input"]).fill_null(False), piece["tools"].is_valid(), piece["turns"].is_valid()
    return pa.array(np.logical_or.reduce([kind.to_numpy(zero_copy_only=False) for kind in kinds]))


def _records(kind: type[AnyRecord], pieces: "Iterable[pa.RecordBatch]") -> tuple[list[AnyRecord], int]:
    """Rows as records, and the number of those that are none."""
    records: list[AnyRecord] = []
    strange = 0
    for row in (row for piece in pieces for row in piece.to_pylist()):
        try:
            records.append(kind.model_validate(known_fields(kind, plain(row))))
        except ValueError:  # not JSON; a ValidationError is one, too
            strange += 1
    return records, strange


def _joined(kind: type[AnyRecord], parts: Iterable[tuple[list[AnyRecord], int]]) -> list[AnyRecord]:
    """All records, oldest first; the number of rows that are none is logged."""
    read = list(parts)
    if strange := sum(part[1] for part in read):
        log.warning("Expected rows of %s, found %s that are not; left out.", KINDS[kind], f"{strange:,}")
    return sorted((record for part in read for record in part[0]), key=attrgetter("at"))


def _parsed(line: str, segment: str) -> Production:
    try:
        return production_record(line)
    except DataError as error:
        raise DataError(f"{error} (segment {segment})") from error
