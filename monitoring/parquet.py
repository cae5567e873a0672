"""A file of the lake: its columns, how it is written, and what happens to one that cannot be read.

A file is written under another name, synced and then renamed, so that neither a kill nor a power cut leaves half a
file. Its metadata has its format and the names of the files that it replaces, which are then ignored. A broken or
foreign file is set aside and logged; it does not stop readers.
"""

import errno
import json
import logging
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.records import FORMAT, Feedback, Record, Scored, Trace
from components.state import BROKEN
from monitoring.bucket import beside, in_bucket, put, reached

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

log = logging.getLogger(__name__)
FORMAT_KEY, MERGED_KEY = b"gradus.format", b"gradus.merged"
BATCH_ROWS, BATCH_BYTES = 16_384, 64_000_000  # of a row group, whichever is reached first
SCATTERED_ROWS = 64  # of a row group on average, below which a file is written anew; BATCH_BYTES hold more
# Parts of conversations with tools are stored as JSON: `messages` keeps the type that existing files have.
TURNS, IN_JSON = "turns", ("tools", "calls", "turns")
_PASSED_OVER = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.ELOOP, errno.EIO)  # problems of that file alone


class Unreadable(ValueError):
    """The file is not a complete file of the lake."""


def arrow_schema(kind: type[Record]) -> "pa.Schema":
    """The columns of a kind's files, the same in every file."""
    import pyarrow as pa

    text, number, truth = pa.string(), pa.float64(), pa.bool_()
    message = pa.struct([("role", text), ("content", text)])
    usage = pa.struct([("input_tokens", pa.int64()), ("output_tokens", pa.int64())])
    shared, sender = [("at", number), ("workload", text)], [("sender", text), ("reviewer", truth)]
    columns: dict[type[Record], list[tuple[str, pa.DataType]]] = {
        Trace: [
            ("id", text), *shared, ("version", pa.int64()), ("method", text), ("input", pa.map_(text, text)),
            ("messages", pa.list_(message)), ("text", text), ("finish_reason", text), ("usage", usage),
            ("latency_ms", number), ("valid", truth), ("confidence", number), ("cost_usd", number), ("route", text),
            ("returned", truth), ("caller", text), ("customer", text),
            *((name, text) for name in IN_JSON),
        ],
        Feedback: [("trace_id", text), *shared, ("score", number), ("corrected", text), *sender],
        Scored: [
            ("trace_id", text), *shared, ("source", text), ("value", number), ("passed", truth), ("reason", text),
            *sender,
        ],
    }  # fmt: skip
    return pa.schema(columns[kind])


def write(
    pieces: "Iterable[pa.RecordBatch]",
    kind: type[Record],
    path: Path,
    merged: Collection[str] = (),
    *,
    new: bool = False,
) -> None:
    """Write a file atomically and durably; `merged` names the files whose rows it holds.

    Raises:
        FileExistsError: In a bucket, a file that was to be new is there already.
        OSError: The disk refuses; nothing has changed.
    """
    if in_bucket(path):
        with beside(path) as part:
            _fill(part, pieces, kind, merged)
            put(part, path, new=new)
        return
    _make(path.parent)
    part = path.with_name(f".{path.stem}.part")
    try:
        _fill(part, pieces, kind, merged)
        sync(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    sync(path.parent)


def _fill(part: Path, pieces: "Iterable[pa.RecordBatch]", kind: type[Record], merged: Collection[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    named = {FORMAT_KEY: str(FORMAT), MERGED_KEY: "\n".join(sorted(merged))}
    with pq.ParquetWriter(part, arrow_schema(kind).with_metadata(named), compression="zstd") as file:
        for group in _row_groups(pieces):
            file.write_table(pa.Table.from_batches(group))


def _row_groups(pieces: "Iterable[pa.RecordBatch]") -> "Iterator[list[pa.RecordBatch]]":
    """Pieces by row groups, each with as many as it takes: every row group costs its readers time and space."""
    group, rows, size = list["pa.RecordBatch"](), 0, 0
    for piece in pieces:
        group.append(piece)
        rows, size = rows + len(piece), size + piece.nbytes
        if rows >= BATCH_ROWS or size >= BATCH_BYTES:
            yield group
            group, rows, size = [], 0, 0
    if rows:
        yield group


def sync(path: Path) -> None:
    """Sync a file or a folder's entries to disk; in a bucket there is nothing to do."""
    if in_bucket(path):
        return
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _make(folder: Path) -> None:
    """Make a folder and its parents, durably."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def merged_in(path: Path) -> frozenset[str]:
    """The names of the files whose rows a file holds; empty if it cannot be read."""
    try:
        metadata = _schema(path).metadata or {}
        return frozenset(metadata.get(MERGED_KEY, b"").decode().split())
    except (ValueError, OSError) as error:
        if in_bucket(path) and isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise  # otherwise rows could be counted twice
        return frozenset()


def is_open(path: Path) -> bool:
    """Whether `batches` would read a file: it is readable and in no later format. Others must not be merged."""
    try:
        return _format(_schema(path)) <= FORMAT
    except OSError as error:
        return error.errno not in _PASSED_OVER and not in_bucket(path)
    except ValueError:  # not Parquet: it will be set aside
        return not in_bucket(path)


def _schema(path: Path) -> "pa.Schema":
    import pyarrow.parquet as pq

    if not in_bucket(path):
        return pq.read_schema(path)
    with reached(), path.open("rb") as file:
        return pq.read_schema(file)


def _format(there: "pa.Schema") -> int:
    return int((there.metadata or {}).get(FORMAT_KEY, b"1"))


def rows_of(path: Path) -> int:
    """The number of rows in a file; 0 if it cannot be read."""
    import pyarrow.parquet as pq

    try:
        with reached(), path.open("rb") as file:
            return pq.read_metadata(file).num_rows
    except (ValueError, OSError):
        return 0


def is_scattered(path: Path) -> bool:
    """Whether a file has many more row groups than its rows need, as earlier versions merged them."""
    import pyarrow.parquet as pq

    try:
        with reached(), path.open("rb") as file:
            held = pq.read_metadata(file)
    except (ValueError, OSError):
        return False
    return held.num_row_groups > 1 + held.num_rows // SCATTERED_ROWS


def batches(
    path: Path,
    kind: type[Record],
    wanted: "pc.Expression | None" = None,
    *,
    columns: list[str] | None = None,
    all_or_none: bool = False,
) -> "Iterator[pa.RecordBatch]":
    """The rows of a file in batches; none if it cannot be read, and then it is set aside.

    Only `columns` are decoded, all by default; missing ones are null, unknown ones are left out. With `all_or_none` an
    unreadable file is an error, for callers that copy its rows and then remove it.

    Raises:
        OSError: The problem is not the file, such as too few descriptors or too little memory.
    """
    import pyarrow as pa

    try:
        yield from _scanned(path, kind, wanted, columns)
    except FileNotFoundError:
        return  # merged or forgotten just now
    except OSError as error:
        if in_bucket(path) and (error.errno is not None or all_or_none):
            raise
        if error.errno in _PASSED_OVER and not all_or_none:
            log.warning("%s: expected a file that can be read, found %s; passed over.", path, error)
        elif error.errno is None:  # raised by Parquet: the content is broken
            set_aside(path, error)
        else:
            raise
    except (pa.ArrowException, ValueError, TypeError, KeyError) as error:
        if in_bucket(path) and all_or_none:
            raise OSError(errno.EIO, f"{path}: {error}") from error
        set_aside(path, error)


def _scanned(
    path: Path, kind: type[Record], wanted: "pc.Expression | None", columns: list[str] | None
) -> "Iterator[pa.RecordBatch]":
    there = _schema(path)
    known = arrow_schema(kind)
    lacking = [name for name, field in kind.model_fields.items() if field.is_required() and name not in there.names]
    if lacking:
        raise Unreadable(f"expected the column {lacking[0]}, found {', '.join(there.names)[:200]}")
    strange = [
        field.name for field in known if field.name in there.names and there.field(field.name).type != field.type
    ]
    if strange:
        raise Unreadable(f"expected {known.field(strange[0])}, found {there.field(strange[0])}")
    if (kept := _format(there)) > FORMAT:
        log.warning("%s: expected format %s or earlier, found %s; passed over.", path, FORMAT, kept)
        return
    with reached():
        for batch in _dataset(path, known).to_batches(columns=columns, filter=wanted, batch_size=BATCH_ROWS):
            batch.validate(full=True)  # Parquet accepts any bytes as text; invalid UTF-8 would crash a reader
            yield batch


def _dataset(path: Path, columns: "pa.Schema") -> "ds.Dataset":
    import pyarrow.dataset as ds

    if not in_bucket(path):
        return ds.dataset([str(path)], schema=columns)
    remote: Any = path
    return ds.dataset([remote.path], schema=columns, filesystem=remote.fs, format="parquet")


def set_aside(path: Path, reason: object) -> None:
    """Rename an unreadable file, so that it is not tried again.

    In a bucket it stays: no file there is half written, and one that is being replaced may be unreadable for a moment.
    """
    if in_bucket(path):
        log.warning("%s: expected records, found %s; passed over.", path, " ".join(str(reason).split())[:200])
        return
    log.warning("%s: expected records, found %s; set aside.", path, " ".join(str(reason).split())[:200])
    try:
        path.rename(path.with_name(path.name + BROKEN))
    except OSError as error:  # a disk that is mounted read-only
        log.warning("%s could not be renamed: %s.", path, error)


def row_of(record: Record) -> dict[str, Any]:
    """A record as a row, with the parts in `IN_JSON` as JSON."""
    row = record.model_dump(mode="json")
    if not isinstance(record, Trace):
        return row
    held = {**row, TURNS: row["messages"] if any(turn.keys() - {"role", "content"} for turn in row["messages"]) else ()}
    return row | {name: json.dumps(held[name], ensure_ascii=False) if held[name] else None for name in IN_JSON}


def plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row with the record's types: maps, which Arrow gives as pairs, as dicts, and JSON parsed.

    Raises:
        ValueError: A JSON column is not JSON.
    """
    if "input" not in row:
        return row
    read = {name: json.loads(row[name]) for name in IN_JSON if row.get(name)}
    messages = read.pop(TURNS, row["messages"])
    kept = {name: value for name, value in row.items() if name not in IN_JSON}
    return {**kept, **read, "messages": messages, "input": dict(row["input"] or [])}
