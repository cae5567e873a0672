"""Harvests without forgotten requests: what a harvest and the opinions beside it have of them goes."""

from collections.abc import Callable, Mapping
from pathlib import Path

from components.data.harvest import HARVESTED, Harvested
from components.data.opinions import KINDS
from components.records import Logged, Preference, Thumb, read_jsonl, write_jsonl


def trace_of(line: Harvested | Preference | Thumb | Logged) -> str:
    """The id of the trace that a line of a harvest, or of the opinions beside it, was made from."""
    return (line.example.id if isinstance(line, Harvested) else line.example_id).removeprefix(HARVESTED)


def without(path: Path, forgotten: Callable[[str], bool]) -> list[Mapping[str, str]]:
    """Rewrite a harvest, or its opinions, without forgotten traces; returns the inputs that it had of them.

    A link's target in DVC's cache is not changed.

    Raises:
        DataError: The file is missing or damaged.
    """
    every = read_jsonl(path, KINDS.get(Path(path.stem).suffix.removeprefix("."), Harvested))
    goes = [forgotten(trace_of(line)) for line in every]
    gone = [line for line, out in zip(every, goes, strict=True) if out]
    if gone:
        write_jsonl(path, [line for line, out in zip(every, goes, strict=True) if not out])
    return [line.example.input if isinstance(line, Harvested) else line.input for line in gone]
