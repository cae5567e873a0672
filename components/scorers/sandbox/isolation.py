"""The command that starts a worker in new namespaces, whose root has only a few read-only folders.

bubblewrap does it, or util-linux's tools with a few lines of shell. Inside there is no network, no home, no /proc, no
/dev, no environment variable and no foreign process; workers end with the thread that started them. Root stays root
inside, but without power: each program gives up its capabilities and is under a system call filter.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Literal

Isolation = Literal["bubblewrap", "unshare", "none_i_trust_the_code"]

# A worker's whole environment; hashes are fixed, so that a program always gives the same answers.
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1"}

# The new root is built in /sys, which every Linux has and which contains nothing that programs may read.
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


def missing(isolation: Isolation) -> str | None:
    """Why this isolation cannot work here, as far as one can tell without trying; None if it may."""
    if isolation == "none_i_trust_the_code":
        return None
    if sys.platform != "linux":
        return f"namespaces need Linux, and this is {sys.platform}"
    tools = ("bwrap",) if isolation == "bubblewrap" else ("setpriv", "unshare", "mount", "pivot_root")
    absent = [tool for tool in tools if shutil.which(tool, path=ENVIRONMENT["PATH"]) is None]
    return f"no {absent[0]} is installed" if absent else None


def isolated_command(isolation: Isolation, script: list[str]) -> list[str]:
    """The command that runs Python with this script (its options and arguments) in isolation."""
    python = [os.path.realpath(sys.executable), "-s", "-P", "-S", "-B", *script]
    match isolation:
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
    candidates = ["/usr", "/lib", "/lib64", "/bin", "/sbin", sys.base_prefix]
    folders = [path for path in candidates if Path(path).is_dir() and path != "/"]
    return [path for path in folders if not path.startswith("/usr/")]
