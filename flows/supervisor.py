"""The processes of the services: asked through supervisord, and found by their mark where it is no more.

Each of them carries the project's folder in its environment, and so does all that they start, whatever session or
parent it has.
"""

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xmlrpc.client import ProtocolError, ServerProxy

from components.errors import ServiceError

if TYPE_CHECKING:
    import psutil

SOCKET = Path("state/up/control.sock")
MOST_SOCKET_BYTES = 90  # of a socket's path: systems take 104 to 108, and supervisord adds to it while it starts
MARK = "GRADUS_UP"
MOST_END_S = 10.0  # of a process that was asked to end, before it is killed


def processes() -> dict[str, str]:
    """What supervisord says of each service; nothing where it does not run."""
    return {process["name"]: process["statename"] for process in control("getAllProcessInfo") or ()}


def control(question: str, *arguments: Any) -> Any:
    """Ask supervisord; None where it does not run."""
    from supervisor.xmlrpc import SupervisorTransport

    transport = SupervisorTransport(serverurl=f"unix://{socket_path(Path.cwd())}")
    try:
        with ServerProxy("http://localhost", transport=transport) as supervisord:
            return getattr(supervisord.supervisor, question)(*arguments)
    except (OSError, ProtocolError):
        return None


def socket_path(project: Path) -> Path:
    """Where supervisord listens: in the project, or where its path is too long for a socket, in a folder of this user.

    Raises:
        ServiceError: That folder is somebody else's, or open to others.
    """
    path = project / SOCKET
    if len(os.fsencode(path)) <= MOST_SOCKET_BYTES:
        return path
    folder = Path(tempfile.gettempdir()) / f"gradus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    seen = folder.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.getuid() or seen.st_mode & 0o077:
        raise ServiceError(
            f"expected a folder that is yours alone for a socket, found another's or an open one ({folder})"
        )
    return folder / f"{hashlib.sha256(os.fsencode(project)).hexdigest()[:16]}.sock"


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

    marked = _marked(folder)
    for end in ("terminate", "kill"):
        for process in _marked(folder):
            with suppress(psutil.NoSuchProcess):
                getattr(process, end)()
        psutil.wait_procs(_marked(folder), timeout=MOST_END_S)
    if left := _marked(folder):
        raise ServiceError(
            f"expected every process of {folder} to end, found {', '.join(str(process.pid) for process in left)}"
        )
    return bool(marked)


def _marked(folder: Path) -> "list[psutil.Process]":
    """The living processes that carry the folder's mark, this one left out."""
    import psutil

    living: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            marked = process.environ().get(MARK) == str(folder) and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, OSError):  # another user's, or it has just ended
            continue
        if marked and process.pid != os.getpid():
            living.append(process)
    return living
