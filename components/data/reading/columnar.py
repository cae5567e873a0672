"""Reads Parquet, Arrow and datasets saved by the `datasets` library as tables.

Decides how their types become JSON: class numbers become names, times ISO 8601, whole numbers of more than 18 digits
texts; keys without a value are left out of structs (where every struct of a column has all keys).
"""

import json
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from types import NoneType
from typing import Any

from components.data.reading.content import MOST_BYTES
from components.data.reading.table import Table
from components.errors import DataError

_MOST_WHOLE = 10**18  # from here on a whole number is an identifier


def parse(content: bytes, path: Path, kind: str) -> Table:
    """The table of a `parquet` or `arrow` file.

    Raises:
        DataError: The file is damaged, or too large when unpacked.
    """
    import pyarrow
    from pyarrow import ipc, parquet

    try:
        if kind == "parquet":
            file = parquet.ParquetFile(BytesIO(content))
            size = sum(file.metadata.row_group(index).total_byte_size for index in range(file.metadata.num_row_groups))
            if size > MOST_BYTES:
                raise DataError(f"expected at most {MOST_BYTES:,} bytes unpacked, found {size:,} ({path})")
            return of_arrow(file.read(), path)
        if content.startswith(b"ARROW1"):
            return of_arrow(ipc.open_file(BytesIO(content)).read_all(), path)
        return of_arrow(ipc.open_stream(BytesIO(content)).read_all(), path)
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise DataError(f"expected a {kind} file that opens, found a damaged one: {reason} ({path})") from error


def of_arrow(arrow: Any, path: Path) -> Table:
    """An Arrow table as rows, without pandas index columns."""
    labels = _class_names(arrow.schema.metadata or {})
    names = [str(name) for name in arrow.column_names if not str(name).startswith("__index_level_")]
    rows: list[dict[str, Any]] = []
    for row in arrow.select(names).to_pylist(maps_as_pydicts="lossy"):
        rows.append({name: _named(plain(value), labels.get(name)) for name, value in row.items()})
    return Table(path, tuple(names), tuple(rows), tuple(range(1, len(rows) + 1)))


def plain(value: Any) -> Any:
    """A value as JSON."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return next((convert(value) for kinds, convert in _MADE if isinstance(value, kinds)), str(value))


def _whole(value: int) -> int | str:
    """A whole number, or its text if it has more than 18 digits."""
    return value if abs(value) < _MOST_WHOLE else str(value)


def _decimal(value: Decimal) -> int | float | str | None:
    """A number of a database: whole if its column has no decimals, as ids have none; None if it is not finite."""
    if not value.is_finite():
        return None
    return float(value) if value.as_tuple().exponent != 0 else _whole(int(value))


_MADE: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    ((bool, str, NoneType), lambda value: value),
    (int, _whole),
    (datetime, lambda value: value.isoformat(sep=" ")),
    ((date, time), lambda value: value.isoformat()),
    (Decimal, _decimal),
    (bytes, lambda value: value.decode("utf-8", "replace")),
    (float, lambda value: value if abs(value) < float("inf") else None),
)


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Column → names of its class numbers, if `datasets` wrote the file."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {
            str(name): [str(label) for label in feature["names"]]
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _named(value: Any, names: list[str] | None) -> Any:
    if names is None or not isinstance(value, int):
        return value
    return names[value] if 0 <= value < len(names) else None


def saved(folder: Path) -> dict[str, Table]:
    """The splits of a folder saved by `datasets`, by name; an unnamed one is `all`.

    Raises:
        DataError: It cannot be opened.
    """
    import datasets

    try:
        dataset: Any = datasets.load_from_disk(str(folder))
    except Exception as error:  # datasets raises its own, fsspec's and pyarrow's errors for a bad folder
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise DataError(f"expected a dataset that `datasets` saved, found: {reason} ({folder})") from error
    splits: dict[str, Any] = dict(dataset) if isinstance(dataset, dict) else {str(dataset.split or "all"): dataset}
    return {str(name): of_dataset(split, folder / str(name)) for name, split in splits.items()}


def of_dataset(split: Any, path: Path) -> Table:
    """A split that `datasets` has opened, as rows.

    Raises:
        DataError: Its rows are damaged.
    """
    import datasets

    names = [str(name) for name in split.column_names]
    labels = {
        name: list(split.features[name].names)
        for name in names
        if isinstance(split.features[name], datasets.ClassLabel)
    }
    rows = [{name: _named(plain(row[name]), labels.get(name)) for name in names} for row in _rows_of(split, path)]
    return Table(path, tuple(names), tuple(rows), tuple(range(1, len(rows) + 1)))


def _rows_of(dataset: Any, path: Path) -> list[dict[str, Any]]:
    """The rows of a split that `datasets` has opened, which looks at their bytes only now.

    Raises:
        DataError: They are damaged.
    """
    import pyarrow

    try:
        return dataset.to_list()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise DataError(f"expected rows that can be read, found damaged ones: {reason} ({path})") from error
