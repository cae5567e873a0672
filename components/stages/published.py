"""The record of a run's last publication: which decision was carried out, and which version got which alias."""

from pathlib import Path
from typing import Literal

from components.records import Record, read_record
from components.registry import Alias
from components.stages.run import Run


class Published(Record):
    """How a decision was carried out (`decision` is a hash of it): which version has which alias.

    `alias` is None if the registry's champion stayed, `canary` in records of earlier versions; `version` is None if
    nobody stands. `question` is what the gate was asked, empty in earlier records.
    """

    decision: str
    champion: str | None
    version: int | None
    alias: Alias | Literal["canary"] | None = None
    reproduced: int = 0
    question: str = ""


def published_file(run: Run) -> Path:
    """The file of a run's last publication."""
    return run.folder / "published.json"


def published(run: Run) -> Published | None:
    """A run's last publication; None if there was none."""
    path = published_file(run)
    return read_record(path, Published) if path.is_file() else None
