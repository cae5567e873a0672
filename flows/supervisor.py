"""The processes of the services: asked through supervisord, and found by their mark where it is no more.

Each of them carries the project's folder in its environment, and so does all that they start, whatever session or
parent it has.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xmlrpc.client import ProtocolError, ServerProxy

from components.errors import ServiceError

if TYPE_CHECKING:
    import psutil

SOCKET = Path("state/up/control.sock")
MARK = "GRADUS_UP"
MOST_END_S = 10.0  # of a process that was asked to end, before it is killed


def processes() -> dict[str, str]:
    """What supervisord says of each service; nothing where it does not run."""
    return {one["name"]: one["statename"] for one in control("getAllProcessInfo") or ()}


def control(question: str, *arguments: Any) -> Any:
    """Ask supervisord; None where it does not run."""
    from supervisor.xmlrpc import SupervisorTransport

    transport = SupervisorTransport(serverurl=f"unix://{SOCKET.absolute()}")
    try:
        with ServerProxy("http://localhost", transport=transport) as supervisord:
            return getattr(supervisord.supervisor, question)(*arguments)
    except (OSError, ProtocolError):
        return None


def runs(pid: int) -> bool:
    """Whether a process has not ended."""
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def sweep(folder: Path) -> bool:
    """End what carries the folder's mark: the services of a supervisord that was killed, and what they started.

    Raises:
        ServiceError: Something does not end.
    """
    import psutil

    found = _marked(folder)
    for end in ("terminate", "kill"):
        for process in _marked(folder):
            with suppress(psutil.NoSuchProcess):
                getattr(process, end)()
        psutil.wait_procs(_marked(folder), timeout=MOST_END_S)
    if left := _marked(folder):
        raise ServiceError(
            f"expected every process of {folder} to end, found {', '.join(str(one.pid) for one in left)}"
        )
    return bool(found)


def _marked(folder: Path) -> "list[psutil.Process]":
    """The living processes that carry the folder's mark, this one left out."""
    import psutil

    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            marked = process.environ().get(MARK) == str(folder) and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, OSError):  # another user's, or it has just ended
            continue
        if marked and process.pid != os.getpid():
            found.append(process)
    return found
