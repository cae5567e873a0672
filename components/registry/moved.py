"""A record whose folder was copied, moved or restored: MLflow keeps whole addresses of files, and they have to follow.

Decides which addresses belong to the record itself: those under a folder of artifacts as Gradus names it, beside the
database that is opened.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

ARTIFACTS = "mlflow-artifacts"  # the folder beside the database
# Where MLflow keeps addresses of files, and which rows hold them.
_ADDRESSES = (
    ("experiments", "artifact_location", "true"),
    ("runs", "artifact_uri", "true"),
    ("model_versions", "source", "true"),
    ("model_versions", "storage_location", "true"),
    ("logged_models", "artifact_location", "true"),
    ("trace_tags", "value", "key = 'mlflow.artifactLocation'"),
)


def settle(database: Path, artifacts: Path) -> int:
    """Let the addresses of a record name the folder beside it; how many folders they named before.

    Raises:
        sqlite3.Error: The database refuses.
    """
    with closing(sqlite3.connect(database, timeout=60)) as opened, opened:
        before = _elsewhere(opened, artifacts)
        for folder in before:
            here = artifacts.as_uri() if folder.startswith("file:") else str(artifacts)
            for table, column, rows in _ADDRESSES:
                opened.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?)"
                    f" WHERE substr({column}, 1, ?) = ? AND {rows}",
                    (here, len(folder) + 1, len(folder) + 1, f"{folder}/"),
                )
    return len(before)


def _elsewhere(opened: sqlite3.Connection, artifacts: Path) -> set[str]:
    """The folders of artifacts that experiments name and that are not this one under another name."""
    places = {str(place) for (place,) in opened.execute("SELECT artifact_location FROM experiments")}
    folders = {place.rpartition("/")[0] for place in places}
    return {
        folder
        for folder in folders
        if folder.endswith(f"/{ARTIFACTS}") and _path(folder).resolve() != artifacts.resolve()
    }


def _path(address: str) -> Path:
    from mlflow.utils.file_utils import local_file_uri_to_path

    return Path(local_file_uri_to_path(address))
