"""What a stage may tell the record of runs; `components.registry` has the implementation that MLflow keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Dataset:
    """Data that a run used: its version is the digest, its role the split."""

    name: str
    digest: str
    split: str
    source: Path
    rows: int


class Tracker(Protocol):
    """An open run: settings, numbers as `stage/metric`, data as inputs, files as artifacts."""

    @property
    def run_id(self) -> str | None:
        """The run's id, None where nothing is kept."""
        ...

    def params(self, values: dict[str, object]) -> None:
        """Record settings."""
        ...

    def metrics(self, values: dict[str, float], step: int | None = None) -> None:
        """Record numbers, at a step where they form a curve."""
        ...

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Keep a file or a folder."""
        ...

    def dataset(self, data: Dataset) -> None:
        """Record which data the run used, in which role."""
        ...

    def tag(self, values: Mapping[str, str]) -> None:
        """Set tags: what the run can be found by."""
        ...


class NullTracker:
    """A tracker that keeps nothing, for tests and for stages run without a record."""

    run_id: str | None = None

    def params(self, values: dict[str, object]) -> None:
        """Drop settings."""

    def metrics(self, values: dict[str, float], step: int | None = None) -> None:
        """Drop numbers."""

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Drop a file."""

    def dataset(self, data: Dataset) -> None:
        """Drop the name of data."""

    def tag(self, values: Mapping[str, str]) -> None:
        """Drop tags."""
