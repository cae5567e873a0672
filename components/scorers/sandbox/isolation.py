"""How a worker is shut in: the command that starts it inside new namespaces, with a root of a few read-only folders.

bubblewrap does it, or util-linux's tools do the same in a few lines of shell. Both leave no network, no home, no /proc,
no /dev, no variable of the environment, and processes of their own only; both end with the thread that started them.
Root stays root inside, but of nothing: each program gives up its capabilities and has a filter of system calls on.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Literal

Wall = Literal["bubblewrap", "unshare", "none_i_trust_the_code"]

# The environment of a worker, whole: hashes are the same in each, so that a program always answers alike.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1"}

# /sys is on every Linux, and nothing that the program may read lies below it: the new root is built there.
_NEW_ROOT = """
set -e
mount -t tmpfs -o mode=755,nosuid,nodev,size=1m sandbox /sys
mkdir /sys/tmp /sys/old
while [ "$1" != -- ]; do
  mkdir -p "/sys$1"
  mount --bind "$1" "/sys$1"
  mount -o remount,bind,ro,nosuid,nodev "/sys$1"
  shift
done
shift
mount -o remount,bind,ro,nosuid,nodev /sys
cd /sys
pivot_root . old
exec "$@"
"""


def missing(wall: Wall) -> str | None:
    """Why this wall cannot be built here, as far as one can tell without trying; None when it may be."""
    if wall == "none_i_trust_the_code":
        return None
    if sys.platform != "linux":
        return f"namespaces are Linux's, and this is {sys.platform}"
    tools = ("bwrap",) if wall == "bubblewrap" else ("setpriv", "unshare", "mount", "pivot_root")
    absent = [tool for tool in tools if shutil.which(tool, path=ENVIRONMENT["PATH"]) is None]
    return f"no {absent[0]} is installed" if absent else None


def shut_in(wall: Wall, script: list[str]) -> list[str]:
    """The command that runs Python with this script (its options and arguments) behind the wall."""
    python = [os.path.realpath(sys.executable), "-s", "-P", "-S", "-B", *script]
    match wall:
        case "bubblewrap":
            binds = [part for path in _readable() for part in ("--ro-bind", path, path)]
            return [
                "bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL",
                "--cap-add", "CAP_SYS_ADMIN", *binds, "--dir", "/tmp", "--remount-ro", "/", "--chdir", "/",
                "--", *python,
            ]  # fmt: skip
        case "unshare":
            return [
                "setpriv", "--pdeathsig", "KILL", "unshare", "--user", "--map-root-user", "--mount", "--pid", "--net",
                "--ipc", "--uts", "--fork", "--kill-child", "sh", "-c", _NEW_ROOT, "sandbox", *_readable(),
                "--", *python,
            ]  # fmt: skip
        case "none_i_trust_the_code":
            return python


def _readable() -> list[str]:
    """The folders that a program may read: the system's libraries and the interpreter's."""
    wanted = ["/usr", "/lib", "/lib64", "/bin", "/sbin", sys.base_prefix]
    found = [path for path in wanted if Path(path).is_dir() and path != "/"]
    return [path for path in found if path == "/usr" or not path.startswith("/usr/")]
