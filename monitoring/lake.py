"""The lake: every trace of production, every feedback and every score, as Parquet files in folders by workload and day.

Decides where records lie and how they are read back; what they mean is decided where they are used. A file has the
name of the spool's segment that it came from, so that storing a segment twice changes nothing.
"""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from zlib import crc32

from components.errors import DataError
from components.records import Feedback, Production, Record, Scored, Trace, production_record, request_id

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

AnyRecord = TypeVar("AnyRecord", bound=Record)
KINDS: dict[type[Record], str] = {Trace: "traces", Feedback: "feedback", Scored: "scores"}
_BATCH_ROWS = 16_384


class Lake:
    """The files under one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def store(self, segment: str, lines: list[str]) -> None:
        """Keep the records of a spool's segment; a second time it replaces the first.

        Raises:
            DataError: A line is no record.
            OSError: The disk refuses.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        days: dict[tuple[type[Record], Path], list[dict[str, Any]]] = {}
        for line in lines:
            record = _parsed(line, segment)
            day = datetime.fromtimestamp(record.at, UTC).date().isoformat()
            kind = type(record)
            folder = self.folder / KINDS[kind] / f"workload={record.workload}" / f"day={day}"
            days.setdefault((kind, folder), []).append(record.model_dump(mode="json"))
        for (kind, folder), rows in days.items():
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / f".{segment}.part"
            pq.write_table(pa.Table.from_pylist(rows, arrow_schema(kind)), part, compression="zstd")
            part.replace(folder / f"{segment}.parquet")

    def read(
        self, kind: type[AnyRecord], workload: str, since: float = 0.0, until: float = float("inf")
    ) -> list[AnyRecord]:
        """The records of a workload from a window of time [since, until), oldest first."""
        rows = [row for path in self._files(kind, workload, since, until) for row in _rows(path)]
        inside = [row for row in rows if since <= row["at"] < until]
        return [kind.model_validate(row) for row in sorted(inside, key=lambda row: row["at"])]

    def sample(self, workload: str, version: int, window: tuple[float, float], most: int) -> tuple[list[Trace], int]:
        """A random sample of what callers got from a version in a window of time [since, until), and of how many.

        The same traces are drawn at every call (bottom-k of a hash of the id).
        """
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = (pc.field("version") == version) & pc.field("returned")
        kept, ranks, total = None, np.empty(0, np.int64), 0
        for batch in self._batches(workload, window, wanted):
            total += len(batch)
            found = np.fromiter((crc32(name.encode()) for name in batch["id"].to_pylist()), np.int64)
            near = np.flatnonzero(found < (ranks.max() if len(ranks) == most else 2**32))
            piece = pa.Table.from_batches([batch]).take(near)
            kept, ranks = piece if kept is None else pa.concat_tables([kept, piece]), np.append(ranks, found[near])
            if len(ranks) > most:
                best = np.sort(np.argpartition(ranks, most)[:most])
                kept, ranks = kept.take(best).combine_chunks(), ranks[best]
        return _traces([] if kept is None else kept.to_pylist()), total

    def share(self, workload: str, share: float, window: tuple[float, float]) -> list[Trace]:
        """A share in [0, 1] of what callers got in a window of time [since, until), the same ones at every call."""
        import pyarrow.compute as pc

        rows: list[dict[str, Any]] = []
        for batch in self._batches(workload, window, pc.field("returned")):
            places = [at for at, name in enumerate(batch["id"].to_pylist()) if crc32(name.encode()) < share * 2**32]
            rows += batch.take(places).to_pylist() if places else []
        return _traces(rows)

    def about(self, workload: str, requests: Collection[str], window: tuple[float, float]) -> tuple[list[Trace], int]:
        """All answers to these requests in a window of time [since, until), and how many answers there were to any."""
        rows: list[dict[str, Any]] = []
        total = 0
        for batch in self._batches(workload, window):
            total += len(batch)
            places = [at for at, name in enumerate(batch["id"].to_pylist()) if request_id(name) in requests]
            rows += batch.take(places).to_pylist() if places else []
        return _traces(rows), total

    def _batches(
        self, workload: str, window: tuple[float, float], wanted: "pc.Expression | None" = None
    ) -> "Iterator[pa.RecordBatch]":
        """Traces of a window, piece by piece: a window of millions takes no more memory than one of thousands."""
        import pyarrow.compute as pc
        import pyarrow.dataset as ds

        since, until = window
        inside = (pc.field("at") >= since) & (pc.field("at") < until)
        files = [str(path) for path in self._files(Trace, workload, since, until)]
        if files:
            asked = inside if wanted is None else inside & wanted
            yield from ds.dataset(files, schema=arrow_schema(Trace)).to_batches(filter=asked, batch_size=_BATCH_ROWS)

    def _files(self, kind: type[Record], workload: str, since: float, until: float) -> Iterator[Path]:
        """The files of the days that the window touches."""
        for folder in sorted((self.folder / KINDS[kind] / f"workload={workload}").glob("day=*")):
            start = datetime.fromisoformat(f"{folder.name.removeprefix('day=')}T00:00:00+00:00").timestamp()
            if start + 86_400 > since and start < until:
                yield from sorted(folder.glob("*.parquet"))


def arrow_schema(kind: type[Record]) -> "pa.Schema":
    """The columns of a kind's files: the same in every file, whatever its records leave out."""
    import pyarrow as pa

    text, number, truth = pa.string(), pa.float64(), pa.bool_()
    message = pa.struct([("role", text), ("content", text)])
    usage = pa.struct([("input_tokens", pa.int64()), ("output_tokens", pa.int64())])
    shared = [("at", number), ("workload", text)]
    columns: dict[type[Record], list[tuple[str, pa.DataType]]] = {
        Trace: [
            ("id", text), *shared, ("version", pa.int64()), ("method", text), ("input", pa.map_(text, text)),
            ("messages", pa.list_(message)), ("text", text), ("finish_reason", text), ("usage", usage),
            ("latency_ms", number), ("valid", truth), ("confidence", number), ("cost_usd", number), ("route", text),
            ("returned", truth),
        ],
        Feedback: [("trace_id", text), *shared, ("score", number), ("corrected", text)],
        Scored: [
            ("trace_id", text), *shared, ("source", text), ("value", number), ("passed", truth), ("reason", text),
        ],
    }  # fmt: skip
    return pa.schema(columns[kind])


def _rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    return _plain(pq.read_table(path).to_pylist())


def _traces(rows: list[dict[str, Any]]) -> list[Trace]:
    """Rows as records, oldest first."""
    return [Trace.model_validate(row) for row in sorted(_plain(rows), key=lambda row: row["at"])]


def _plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Arrow gives a map as pairs."""
    return [row | {"input": dict(row["input"])} if "input" in row else row for row in rows]


def _parsed(line: str, segment: str) -> Production:
    try:
        return production_record(line)
    except DataError as error:
        raise DataError(f"{error} (segment {segment})") from error
