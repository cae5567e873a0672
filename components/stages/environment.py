"""Corrects environment variables of the user that would break Gradus's own processes."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Of libraries that read them when they are imported: offline and quiet unless the user says otherwise.
DEFAULTS = {"HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1", "TRANSFORMERS_VERBOSITY": "error"}


def settle() -> None:
    """Set a stage's variables in this process, before libraries read them."""
    os.environ.update({**DEFAULTS, **os.environ, **straightened(os.environ)})


def straightened(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables to set: loopback goes through no proxy, and stages use the running Python."""
    return {**unproxied(environment), "PATH": own_python_first(environment.get("PATH", os.defpath))}


def unproxied(environment: Mapping[str, str]) -> dict[str, str]:
    """NO_PROXY with loopback, in both spellings, since libraries read them in different orders."""
    listed = [host.strip() for name in ("no_proxy", "NO_PROXY") for host in environment.get(name, "").split(",")]
    hosts = ",".join(dict.fromkeys((*filter(None, listed), *LOOPBACK)))
    return {"NO_PROXY": hosts, "no_proxy": hosts}


def own_python_first(path: str) -> str:
    """A PATH on which `python` is the running interpreter, for dvc.yaml's commands."""
    own = str(Path(sys.executable).parent)
    folders = path.split(os.pathsep)
    return path if folders[0] == own else os.pathsep.join((own, *folders))
