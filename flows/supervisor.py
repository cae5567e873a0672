"""The services' processes: controlled through supervisord, or found by their mark if it is gone.

Each of them has the project's folder in its environment, and so do all processes that they start, whatever their
session or parent.
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
MOST_SOCKET_BYTES = 90  # of a socket's path: systems allow 104 to 108, and supervisord adds some while it starts
MARK = "GRADUS_UP"
MOST_END_S = 10.0  # for a terminated process, before it is killed


def processes() -> dict[str, str]:
    """The state of each service according to supervisord; {} if it is not running."""
    return {process["name"]: process["statename"] for process in control("getAllProcessInfo") or ()}


def control(question: str, *arguments: Any) -> Any:
    """Call supervisord; None if it is not running."""
    from supervisor.xmlrpc import SupervisorTransport

    transport = SupervisorTransport(serverurl=f"unix://{socket_path(Path.cwd())}")
    try:
        with ServerProxy("http://localhost", transport=transport) as supervisord:
            return getattr(supervisord.supervisor, question)(*arguments)
    except (OSError, ProtocolError):
        return None


def socket_path(project: Path) -> Path:
    """The socket of supervisord: in the project or, if its path is too long for a socket, in a folder of this user.

    Raises:
        ServiceError: That folder belongs to someone else, or is open to others.
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


def is_running(pid: int) -> bool:
    """Whether a process is running."""
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def sweep(folder: Path) -> bool:
    """End all processes with the folder's mark: the services of a killed supervisord, and what they started.

    Raises:
        ServiceError: A process does not end.
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
    """The running processes with the folder's mark, except this one."""
    import psutil

    living: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            marked = process.environ().get(MARK) == str(folder) and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, OSError):  # it is another user's, or has just ended
            continue
        if marked and process.pid != os.getpid():
            living.append(process)
    return living
