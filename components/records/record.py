"""A record, and how it is read and written: one as indented JSON, many one a line."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from components.errors import DataError


class Record(BaseModel):
    """A frozen record that refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


AnyRecord = TypeVar("AnyRecord", bound=Record)


def to_json(answer: Any) -> str:
    """The one way in which answers are written: whole numbers without a fraction, one line, text that is encodable."""
    return encodable(json.dumps(_plain(answer), ensure_ascii=False))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    return value


def encodable(text: str) -> str:
    """A text with `?` for each half of a surrogate pair, which JSON can say and nothing can write."""
    return text.encode("utf-8", "replace").decode("utf-8")


def write_jsonl(path: Path, records: Iterable[Record]) -> None:
    """Write records one a line, beside the file first."""
    _write(path, "".join(record.model_dump_json() + "\n" for record in records))


def read_jsonl(path: Path, record: type[AnyRecord]) -> list[AnyRecord]:
    """Read records.

    Raises:
        DataError: The file is missing, or a line is no such record.
    """
    if not path.is_file():
        raise DataError(f"expected a file of {record.__name__} records, found none at {path}")
    records: list[AnyRecord] = []
    *lines, rest = _text(path, record).split("\n")  # U+2028 is text
    if rest:
        raise DataError(f"expected whole lines, found that the last one is cut ({path}:{len(lines) + 1})")
    for number, line in enumerate(lines, start=1):
        try:
            records.append(record.model_validate_json(line))
        except ValidationError as error:
            raise DataError(f"expected a {record.__name__}, found {_reason(error)} ({path}:{number})") from error
    return records


def write_record(path: Path, record: Record) -> None:
    """Write one record as indented JSON, beside the file first."""
    _write(path, record.model_dump_json(indent=1) + "\n")


def read_record(path: Path, record: type[AnyRecord]) -> AnyRecord:
    """Read one record.

    Raises:
        DataError: The file is missing, or holds something else.
    """
    if not path.is_file():
        raise DataError(f"expected a {record.__name__}, found no file at {path}")
    try:
        return record.model_validate_json(_text(path, record))
    except ValidationError as error:
        raise DataError(f"expected a {record.__name__}, found {_reason(error)} ({path})") from error


def _reason(error: ValidationError) -> str:
    """The first thing that is wrong, with the field that it is wrong with."""
    first = error.errors()[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _text(path: Path, record: type[Record]) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"expected a file of {record.__name__} records, found bytes that are not text ({path})"
        ) from error
