"""What a stage may tell the record of runs; `components.registry` has the implementation that MLflow keeps."""

from pathlib import Path
from typing import Protocol


class Tracker(Protocol):
    """An open run: numbers as `stage/metric`, files as artifacts."""

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


class NullTracker:
    """A tracker that keeps nothing, for tests and for stages run without a record."""

    run_id: str | None = None

    def params(self, values: dict[str, object]) -> None:
        """Drop settings."""

    def metrics(self, values: dict[str, float], step: int | None = None) -> None:
        """Drop numbers."""

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Drop a file."""
