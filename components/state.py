"""What one call of Gradus keeps under state/ for the next: readable by later and by earlier versions of it.

Decides what becomes of a file that cannot be read: it is set aside, and the work goes on as if nothing had been kept.
"""

import logging
from pathlib import Path
from typing import TypeVar

from pydantic import ConfigDict

from components.errors import DataError
from components.records import Record, read_record

log = logging.getLogger(__name__)
BROKEN = ".broken"  # behind the name of a file that was set aside


class State(Record):
    """What one version of Gradus keeps under state/ for the next call: a later one may have more fields, or fewer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int = 1


AnyState = TypeVar("AnyState", bound=State)


def read_state(path: Path, kind: type[AnyState]) -> AnyState | None:
    """What was kept, None where nothing was. A file that holds something else is set aside, and told of in the log."""
    if not path.is_file():
        return None
    try:
        return read_record(path, kind)
    except DataError as error:
        log.warning("%s; set aside.", error)
        path.replace(path.with_name(path.name + BROKEN))
        return None
