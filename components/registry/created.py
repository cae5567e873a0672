"""A new record in SQLite: whole or not at all.

MLflow makes its tables in 1,700 statements that are no transaction, and opens none that a kill left half-made. So they
are made in a file of their own, which gets the record's name when it is whole.
"""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

# What disks say that know no second name of a file, such as exFAT's and some of a network.
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)
PREFIX = ".mlflow-"  # of folders in which a record is made; a kill leaves one


def create(database: Path) -> None:
    """Make an empty record in this file, unless there is one, or another process is faster.

    Raises:
        MlflowException: MLflow cannot make it.
        OSError: The disk refuses.
    """
    from mlflow import MlflowClient

    if database.exists():
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=database.parent, prefix=PREFIX, ignore_cleanup_errors=True) as folder:
        made, whole = Path(folder) / "made.db", Path(folder) / "whole.db"
        MlflowClient(tracking_uri=f"sqlite:///{made}").search_experiments(max_results=1)
        shutil.copyfile(made, whole)  # MLflow keeps the other one open
        with suppress(FileExistsError):  # another process was faster
            give_name(whole, database)


def give_name(whole: Path, name: Path) -> None:
    """Give a file that is whole its name on the same disk; the one before may stay as a second name.

    Raises:
        FileExistsError: There is such a file, which stays as it is.
        OSError: The disk refuses.
    """
    try:
        os.link(whole, name)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if name.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(name)) from error
        whole.rename(name)
