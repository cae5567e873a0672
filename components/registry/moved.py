"""Records whose folder was copied, moved or restored: MLflow stores absolute addresses, which must be updated.

Decides which addresses belong to the record itself: those under an artifact folder with the name that Gradus uses next
to the database. Addresses in buckets and of servers are never among them.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

ARTIFACTS = "mlflow-artifacts"  # the folder next to the database
# Where MLflow stores addresses of files: table, column, and the rows that have one.
_ADDRESSES = (
    ("experiments", "artifact_location", "true"),
    ("runs", "artifact_uri", "true"),
    ("model_versions", "source", "true"),
    ("model_versions", "storage_location", "true"),
    ("logged_models", "artifact_location", "true"),
    ("trace_tags", "value", "key = 'mlflow.artifactLocation'"),
)


def relocate(database: Path, artifacts: Path) -> int:
    """Point the addresses of a record to the folder next to it; return how many other folders they named.

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
    """The local artifact folders that experiments name, except this one (under any of its names)."""
    locations = {str(location) for (location,) in opened.execute("SELECT artifact_location FROM experiments")}
    named = {address: local_folder(address) for address in (location.rpartition("/")[0] for location in locations)}
    return {
        address
        for address, folder in named.items()
        if folder is not None and address.endswith(f"/{ARTIFACTS}") and folder.resolve() != artifacts.resolve()
    }


def local_folder(address: str) -> Path | None:
    """The folder that a local address names, None for a bucket's or a server's."""
    from mlflow.utils.file_utils import local_file_uri_to_path

    return Path(local_file_uri_to_path(address)) if urlsplit(address).scheme in ("", "file") else None
